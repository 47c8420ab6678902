"""Pixels cross shared memory unharmed, and nobody can pull it from under the other's feet."""

from __future__ import annotations

import os

import numpy as np
import pytest

from deepdupe_daemon.model import InputSpec
from deepdupe_daemon.vision.slab import Slab, input_shape

SPECS = (InputSpec(kind="pdq"), InputSpec(side_px=33), InputSpec(side_px=64))


def test_what_one_end_writes_the_other_reads_as_its_own() -> None:
    ours, fd = Slab.create(SPECS)
    theirs = Slab(fd, SPECS)
    os.close(fd)
    rng = np.random.default_rng(1)
    arrays = [rng.integers(0, 256, input_shape(spec), dtype=np.uint8) for spec in SPECS]
    theirs.write(arrays)
    read = ours.read()
    theirs.write([array * 0 for array in arrays])
    assert all(np.array_equal(a, b) for a, b in zip(read, arrays, strict=True))
    ours.close()
    theirs.close()


def test_it_can_be_neither_shrunk_nor_grown() -> None:
    slab, fd = Slab.create(SPECS)
    for size in (0, slab.size_bytes * 2):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
    os.close(fd)
    slab.close()


def test_no_spec_at_all_is_no_problem() -> None:
    slab, fd = Slab.create(())
    os.close(fd)
    assert slab.read() == []
    slab.close()
