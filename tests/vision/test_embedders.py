"""The weight-free embedders keep the contract, and cosine over `pdq` is the Hamming distance."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from deepdupe_daemon.vision import FakeEmbedder, PdqEmbedder
from tests.vision.embedder_contract import check_contract, inputs


def test_pdq_keeps_the_contract() -> None:
    check_contract(PdqEmbedder(), tolerance=0.0)


def test_fake_keeps_the_contract() -> None:
    check_contract(FakeEmbedder(), tolerance=0.0)
    check_contract(FakeEmbedder("two", embeddings=("final", "hidden"), dim=48, side_px=64), tolerance=0.0)


def test_pdq_similarity_is_one_minus_distance_over_128() -> None:
    """Cosine = 1 - 2d/256 exactly, in float16 as the ledger stores it too."""
    rng = np.random.default_rng(1)
    one = rng.integers(0, 256, (1, 32), dtype=np.uint8)
    for distance in (0, 1, 31, 32, 128, 256):
        bits = np.unpackbits(one, axis=1)
        bits[0, rng.permutation(256)[:distance]] ^= 1
        rows = PdqEmbedder().embed(np.concatenate([one, np.packbits(bits, axis=1)]))["pdq.hash"]
        assert float(rows[0] @ rows[1]) == 1 - 2 * distance / 256
        assert np.array_equal(rows.astype(np.float16).astype(np.float32), rows)


def test_pdq_takes_bit_0_first() -> None:
    """The first component is the first of pdqhash's own vector, which np.packbits writes as the top bit of byte 0."""
    hashed = np.zeros((1, 32), dtype=np.uint8)
    hashed[0, 0] = 0b1000_0000
    row = PdqEmbedder().embed(hashed)["pdq.hash"][0]
    assert row[0] == 1 / 16
    assert (row[1:] == -1 / 16).all()


@pytest.mark.parametrize("embedder", [PdqEmbedder(), FakeEmbedder()], ids=["pdq", "fake"])
def test_wrong_input_is_refused(embedder: PdqEmbedder | FakeEmbedder) -> None:
    with pytest.raises(ValueError, match="expected"):
        embedder.embed(np.zeros((1, 7), dtype=np.uint8))
    with pytest.raises(ValueError, match="expected"):
        embedder.embed(inputs(embedder, 2).astype(np.float32))  # type: ignore[arg-type]


def test_fake_finds_copies_near_and_others_far() -> None:
    embedder = FakeEmbedder()
    pictures = inputs(embedder, 2)
    copy = np.clip(pictures[0].astype(np.int16) + np.random.default_rng(2).integers(-4, 5, pictures[0].shape), 0, 255)
    rows = embedder.embed(np.stack([*pictures, copy.astype(np.uint8)]))["fake.final"]
    assert rows[0] @ rows[2] > 0.95
    assert rows[0] @ rows[1] < 0.8


def test_the_room_and_its_weight_free_parts_import_no_torch() -> None:
    code = (
        "import sys; from deepdupe_daemon.vision import ForwardThread, PdqEmbedder, FakeEmbedder, Job; "
        "bad = {'torch', 'open_clip', 'transformers', 'PIL', 'cv2'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
