"""The globs: which paths a root's filter lets in."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdupe_daemon.config import DEFAULT_EXCLUDE, IntakeConfig, PathFilter, RootConfig


@pytest.mark.parametrize(
    "relpath",
    [
        b"movie.part",
        b"a.jpg.opdownload",
        b"a.jpg.filepart",
        b".pending-1700000000-IMG_2041.jpg",
        b".trashed-1700000000-IMG_2041.jpg",
        b".IMG_2041.jpg.~1f0a33c2",
        b"IMG_2041.jpg.!sync",
        b".tmp.driveupload/12345",
        b"holiday/IMG.JPG.crdownload",
        b"IMG.JPG.CRDOWNLOAD",
        b".syncthing.IMG_1.jpg.tmp",
        b"a/~syncthing~IMG_1.jpg.tmp",
        b"._IMG_1.jpg",
        b"2024/@eaDir/IMG_1.jpg/SYNOPHOTO_THUMB_XL.jpg",
        b".Trash-1000/files/IMG_1.jpg",
        b".deepdupe-quarantine/2024/IMG_1.jpg",
        b"a/.deepdupe-quarantine/IMG_1.jpg",
        b".IMG_1.jpg.Xa91bZ",
        b"a/b/.IMG_1.jpg.swp",
        b".#IMG_1.jpg",
        b"#IMG_1.jpg#",
        b"IMG_1.jpg~",
        b".nfs000000000012",
        b".fuse_hidden0000001200000001",
        b".goutputstream-X2A1B3",
        b"home/.local/share/Trash/files/a.jpg",
        b"repo/.git/objects/ab/cdef",
        b"Thumbs.db",
        b"thumbs.db",
        b"caf\xe9.part",
    ],
)
def test_unfinished_hidden_and_discarded_files_are_left_out_by_default(relpath: bytes) -> None:
    assert not PathFilter().matches_file(relpath)


@pytest.mark.parametrize(
    "relpath",
    [
        b"IMG_1.jpg",
        b"a/b/IMG_1.JPG",
        b"no-extension",
        b".hidden.jpg",
        b".gitignore",
        b"counterpart.jpg",
        b"particle",
        b"a#b.jpg",
        b"Trash.jpg",
        b".IMG_1.jpeg",
        b"party.part.jpg",
        b"caf\xe9\n.jpg",
        b"\xff\xfe",
        "日本.jpg".encode(),
        b"archive.tmpl.png",
    ],
)
def test_pictures_are_let_in_whatever_their_name(relpath: bytes) -> None:
    assert PathFilter().matches_file(relpath)


def test_excluded_folders_are_not_entered_but_a_file_of_that_name_is_looked_at() -> None:
    paths = PathFilter(exclude=("cache/",))
    assert not paths.enters(b"cache")
    assert not paths.enters(b"a/cache")
    assert not paths.enters(b"a/cache/deeper")
    assert not paths.matches_file(b"a/cache/x.jpg")
    assert paths.matches_file(b"a/cache")
    assert paths.enters(b"")
    assert paths.enters(b"cached")


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("a/b", [b"a/b", b"a/b/c.jpg"], [b"x/a/b", b"a/bc"]),
        ("/top", [b"top", b"top/x"], [b"a/top"]),
        ("**/raw", [b"raw", b"a/raw", b"a/b/raw/x.jpg"], [b"araw"]),
        ("a/**/z", [b"a/z", b"a/b/z", b"a/b/c/z"], [b"a/zz", b"b/a/z"]),
        ("a/**", [b"a/x", b"a/x/y"], [b"a", b"ab/x"]),
        ("a/*.jpg", [b"a/x.jpg"], [b"a/b/x.jpg", b"x.jpg"]),
        ("?.jpg", [b"a.jpg", "é.jpg".encode(), "😀.jpg".encode(), b"\xe9.jpg"], [b"ab.jpg", b".jpg"]),
        ("??.jpg", [b"ab.jpg", "éa.jpg".encode()], ["é.jpg".encode(), b"a.jpg"]),
        ("[a-c]x", [b"bx", b"Bx"], [b"dx", b"x"]),
        ("[!a-c]x", [b"dx", "éx".encode()], [b"ax", b"x"]),
        ("[é]x", ["éx".encode()], [b"ex"]),
        ("[]]x", [b"]x"], [b"x"]),
        (r"\*x", [b"*x"], [b"ax"]),
        ("a.b", [b"a.b"], [b"axb"]),
        ("*a*b*", [b"xaxbx", b"ab"], [b"ba"]),
    ],
)
def test_glob_rules(pattern: str, matching: list[bytes], other: list[bytes]) -> None:
    paths = PathFilter(include=(pattern,), exclude=())
    assert [path for path in matching if not paths.matches_file(path)] == []
    assert [path for path in other if paths.matches_file(path)] == []


def test_a_glob_of_undecodable_bytes_matches_them() -> None:
    assert not PathFilter(exclude=(os.fsdecode(b"\xff*"),)).matches_file(b"a/\xffoo")


@pytest.mark.parametrize("pattern", ["[a", "{a,b}", "a//b", "/", "../x", "a\\", "[z-a]", "[à-é]", "a\0b"])
def test_a_glob_that_would_silently_match_nothing_is_refused_by_its_text(pattern: str) -> None:
    with pytest.raises(ValueError, match="found the glob"):
        IntakeConfig(exclude=(pattern,))


def test_a_root_adds_to_the_exclude_list_and_replaces_the_include_list() -> None:
    intake = IntakeConfig(include=("*.png",), exclude=("*.part",))
    plain = RootConfig(path=Path("/a")).path_filter(intake)
    own = RootConfig(path=Path("/a"), include=("*.jpg",), exclude=("private/",)).path_filter(intake)
    assert (plain.matches_file(b"x.png"), plain.matches_file(b"x.jpg")) == (True, False)
    assert (own.matches_file(b"x.png"), own.matches_file(b"x.jpg")) == (False, True)
    assert not own.enters(b"private")
    assert not own.matches_file(b"private/x.jpg")
    assert own.matches_file(b"x.part.jpg")
    assert not own.matches_file(b"x.jpg.part")


@given(
    pattern=st.text(alphabet="ab*?.", min_size=1, max_size=6).filter(lambda text: text not in (".", "..")),
    name=st.text(alphabet="ab.é", min_size=1, max_size=8),
)
def test_single_names_agree_with_fnmatch(pattern: str, name: str) -> None:
    expected = fnmatch.fnmatchcase(name, pattern)
    assert PathFilter(exclude=(pattern,)).matches_file(name.encode()) is not expected


@given(relpath=st.binary(min_size=1, max_size=60).filter(lambda raw: b"\0" not in raw))
def test_any_bytes_are_answered_and_a_file_below_an_unentered_folder_is_never_let_in(relpath: bytes) -> None:
    relpath = b"/".join(part for part in relpath.split(b"/") if part) or b"x"
    paths = PathFilter()
    if not paths.enters(relpath):
        assert not paths.matches_file(relpath + b"/x.jpg")
    assert isinstance(paths.matches_file(relpath), bool)


def test_every_default_exclude_is_a_valid_glob_named_once() -> None:
    assert len(set(DEFAULT_EXCLUDE)) == len(DEFAULT_EXCLUDE)
    assert IntakeConfig().exclude == DEFAULT_EXCLUDE
