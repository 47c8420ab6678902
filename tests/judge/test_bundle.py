"""Which files belong together, and which only look so."""

from __future__ import annotations

import random

import pytest

from deepdupe_daemon.judge import BundleFile, bundles, same_bundle
from deepdupe_daemon.model import ExifFacts


def _found(*names: bytes) -> list[tuple[bytes, ...]]:
    return [bundle.paths for bundle in bundles(BundleFile(name) for name in names)]


@pytest.mark.parametrize(
    "names",
    [
        (b"/p/IMG_1.CR2", b"/p/IMG_1.JPG"),
        (b"/p/IMG_1.CR2", b"/p/IMG_1.CR2.xmp", b"/p/IMG_1.jpg"),
        (b"/p/IMG_1.HEIC", b"/p/IMG_1.MOV"),
        (b"/p/IMG_1.AAE", b"/p/IMG_1.HEIC"),
        (b"/p/IMG_1234.HEIC", b"/p/IMG_E1234.HEIC", b"/p/IMG_O1234.AAE"),
        (b"/p/a.jpg", b"/p/a.jpg.json"),
        (b"/p/a.jpg", b"/p/a.jpg.supplemental-metadata.json"),
        (b"/p/a.jpg", b"/p/a.jpg.supplemen.json"),
        (b"/p/caf\xe9.jpg", b"/p/caf\xe9.xmp"),
    ],
)
def test_files_of_one_shot_are_one_bundle(names: tuple[bytes, ...]) -> None:
    assert _found(*names) == [tuple(sorted(names))]


@pytest.mark.parametrize(
    "names",
    [
        (b"/p/IMG_1.jpg", b"/q/IMG_1.CR2"),  # another folder
        (b"/p/IMG_1.jpg", b"/p/IMG_1.png"),  # a converted copy is a duplicate
        (b"/p/IMG_1.jpg", b"/p/IMG_2.CR2"),
        (b"/p/IMG_1.jpg", b"/p/IMG_1 (1).jpg"),
        (b"/p/.xmp", b"/p/.jpg"),
    ],
)
def test_files_that_only_look_so_stay_apart(names: tuple[bytes, ...]) -> None:
    assert _found(*names) == []


def test_sidecars_go_with_the_picture_that_they_name() -> None:
    found = _found(b"/p/a.jpg", b"/p/a.png", b"/p/a.jpg.json", b"/p/a.png.json")
    assert found == [(b"/p/a.jpg", b"/p/a.jpg.json"), (b"/p/a.png", b"/p/a.png.json")]


def test_a_live_photo_is_joined_by_its_content_id() -> None:
    live = ExifFacts(content_id="C1")
    files = [BundleFile(b"/p/photo.heic", live), BundleFile(b"/p/clip.mov", live), BundleFile(b"/q/photo.heic", live)]
    assert [bundle.paths for bundle in bundles(files)] == [(b"/p/clip.mov", b"/p/photo.heic")]


def test_a_copy_of_a_live_photo_s_image_is_no_member() -> None:
    live = ExifFacts(content_id="C1")
    files = [BundleFile(b"/p/a.heic", live), BundleFile(b"/p/a copy.heic", live)]
    assert bundles(files) == []


def test_the_frames_of_a_burst_are_one_bundle_and_a_copied_frame_is_not() -> None:
    frames = [BundleFile(b"/p/%d.jpg" % n, ExifFacts(burst_id="B", subsec=str(n))) for n in range(3)]
    copy = BundleFile(b"/p/copy.jpg", ExifFacts(burst_id="B", subsec="1"))
    (found,) = bundles([*frames, copy])
    assert found.paths in ((b"/p/0.jpg", b"/p/1.jpg", b"/p/2.jpg"), (b"/p/0.jpg", b"/p/2.jpg", b"/p/copy.jpg"))
    assert len(found.paths) == 3


def test_the_order_of_arrival_does_not_matter() -> None:
    names = [b"/p/a.jpg", b"/p/a.CR2", b"/p/a.xmp", b"/p/b.heic", b"/p/b.mov", b"/p/c.png"]
    expected = _found(*names)
    shuffler = random.Random(3)
    for _ in range(20):
        shuffler.shuffle(names)
        assert _found(*names) == expected


def test_members_of_a_bundle_are_never_duplicates_and_copies_are() -> None:
    def same(a: bytes, b: bytes) -> bool:
        assert same_bundle(BundleFile(a), BundleFile(b)) == same_bundle(BundleFile(b), BundleFile(a))
        return same_bundle(BundleFile(a), BundleFile(b))

    assert same(b"/p/IMG_1.CR2", b"/p/IMG_1.JPG")
    assert same(b"/p/IMG_1234.HEIC", b"/p/IMG_E1234.HEIC")
    assert not same(b"/p/IMG_1.JPG", b"/p/IMG_1.PNG")
    assert not same(b"/p/IMG_1.CR2", b"/q/IMG_1.JPG")
    assert not same(b"/p/a.jpg", b"/p/a.jpg")


def test_other_frames_of_a_burst_are_one_bundle_and_a_copied_frame_is_not_of_it() -> None:
    one, two, copy = (BundleFile(b"/p/%d.jpg" % n, ExifFacts(burst_id="B", subsec=str(n % 2))) for n in (1, 2, 3))
    assert same_bundle(one, two)
    assert not same_bundle(one, copy)
    assert not same_bundle(one, BundleFile(b"/q/2.jpg", two.exif)), "another folder"
