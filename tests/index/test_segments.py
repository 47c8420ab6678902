"""A damaged store is told from a sound one without Chroma, and never opened."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepdupe_daemon.index.segments import check_store

pytestmark = pytest.mark.timeout(120)


def segment_of(store: Path) -> Path:
    (found,) = (path.parent for path in store.glob("*/header.bin"))
    return found


def cut(name: str, keep: float) -> Callable[[Path], None]:
    def damage(segment: Path) -> None:
        os.truncate(segment / name, int((segment / name).stat().st_size * keep))

    return damage


def gone(name: str) -> Callable[[Path], None]:
    return lambda segment: (segment / name).unlink()


def words(name: str, at: float, values: list[int]) -> Callable[[Path], None]:
    """Overwrite 32-bit words, `at` being a share of the file."""

    def damage(segment: Path) -> None:
        with open(segment / name, "r+b") as file:
            file.seek(int((segment / name).stat().st_size * at) // 4 * 4)
            file.write(struct.pack(f"<{len(values)}I", *values))

    return damage


def header_field(offset: int, value: int) -> Callable[[Path], None]:
    def damage(segment: Path) -> None:
        with open(segment / "header.bin", "r+b") as file:
            file.seek(offset)
            file.write(struct.pack("<Q", value))

    return damage


def upper_link_to_nowhere(segment: Path) -> None:
    links = np.fromfile(segment / "link_lists.bin", dtype="<u4")
    first = int(np.flatnonzero(links)[0])  # the first element with upper levels: bytes, count, links
    links[first + 2] = 10**9
    links.tofile(segment / "link_lists.bin")


def hostile_pickle(segment: Path) -> None:
    (segment / "index_metadata.pickle").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")


DAMAGE = {
    "links of 1 GiB": words("link_lists.bin", 0.5, [0x3FFFFFFF] * 64),
    "links cut": cut("link_lists.bin", 0.7),
    "links to nowhere": upper_link_to_nowhere,
    "links too long": lambda s: (s / "link_lists.bin").write_bytes((s / "link_lists.bin").read_bytes() + b"\0" * 4096),
    "rows cut": cut("data_level0.bin", 0.3),
    "rows of zeros": words("data_level0.bin", 0.2, [0] * 400),
    "rows that link to nowhere": words("data_level0.bin", 0.0, [3, 10**9, 10**9, 10**9]),
    "header cut": cut("header.bin", 0.5),
    "header empty": cut("header.bin", 0),
    "header with too many rows": header_field(20, 10**9),
    "header with an odd row": header_field(28, 397),
    "header without M": header_field(76, 0),
    "lengths cut": cut("length.bin", 0.1),
    "names cut": cut("index_metadata.pickle", 0.5),
    "names empty": cut("index_metadata.pickle", 0),
    "names that run code": hostile_pickle,
    **{f"without {n}": gone(n) for n in ("header.bin", "data_level0.bin", "length.bin", "link_lists.bin")},
    "without names": gone("index_metadata.pickle"),
}


@pytest.mark.parametrize("damage", list(DAMAGE.values()), ids=list(DAMAGE))
def test_damage_is_seen(filled_state: Path, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    store = tmp_path / "chroma"
    shutil.copytree(filled_state / "chroma", store)
    assert check_store(str(store)) == []
    damage(segment_of(store))
    assert len(check_store(str(store))) == 1
    assert not (tmp_path / "pwned").exists()
    assert not Path("pwned").exists()


def test_a_store_that_lost_its_database_is_seen(filled_state: Path, tmp_path: Path) -> None:
    store = tmp_path / "chroma"
    shutil.copytree(filled_state / "chroma", store)
    (store / "chroma.sqlite3").unlink()
    assert check_store(str(store)) == ["chroma.sqlite3: missing, but there are segments"]


def test_no_store_and_an_empty_folder_are_sound(tmp_path: Path) -> None:
    assert check_store(str(tmp_path / "nowhere")) == []
    (tmp_path / "a-folder").mkdir()
    assert check_store(str(tmp_path)) == []


def test_random_overwrites_of_the_links_never_pass_with_a_link_to_nowhere(filled_state: Path, tmp_path: Path) -> None:
    """Whatever 64 bytes are overwritten with 0xFF anywhere in the level-0 links, it is seen: they would be followed."""
    store = tmp_path / "chroma"
    shutil.copytree(filled_state / "chroma", store)
    path = segment_of(store) / "data_level0.bin"
    header = (segment_of(store) / "header.bin").read_bytes()
    elements, row_bytes = struct.unpack_from("<QQ", header, 20)
    sound = path.read_bytes()
    for element in np.random.default_rng(0).integers(0, elements, 20).tolist():
        path.write_bytes(sound)
        with open(path, "r+b") as file:
            file.seek(element * row_bytes)
            file.write(b"\xff" * 64)
        assert len(check_store(str(store))) == 1
