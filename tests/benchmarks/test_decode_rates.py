"""How fast files are seen, against the plain way of doing less.

    .venv/bin/python -m pytest -m benchmark tests/benchmarks/test_decode_rates.py -s

CPU time decides wherever one process is measured, so that other work on the machine does not.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import io
import json
import os
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pdqhash
import pytest
from PIL import Image, ImageOps
from scipy.fft import dct

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import DecoderConfig
from deepdupe_daemon.errors import FileFailed
from deepdupe_daemon.judge import PICTURE_SIDE_PX
from deepdupe_daemon.model import InputSpec, U8Array
from deepdupe_daemon.vision import DecoderPool
from deepdupe_daemon.vision.decode.colour import Profiles
from deepdupe_daemon.vision.decode.opening import load_decoders
from deepdupe_daemon.vision.decode.picture import decode_picture
from deepdupe_daemon.vision.decode.refusal import Refusal
from deepdupe_daemon.vision.decode.resample import resample, to_uint8
from deepdupe_daemon.vision.decode.sight import Decoder, _finish
from deepdupe_daemon.vision.decode.source import Source, read_source
from tests.vision.paintings import large_photos, source_of
from tests.vision.pictures import reference_input
from tests.vision.test_pool import always, key_of

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

PDQ, CLIP = InputSpec(kind="pdq"), InputSpec()
DINO = InputSpec(side_px=256, fit="squash", filter="bilinear")
MEGAPIXELS = (0.5, 2, 12, 24)


def _paths(data_dir: Path) -> list[Path]:
    entries = json.loads((data_dir / "manifest.json").read_text(encoding="utf-8"))
    return [data_dir / entry["set"] / entry["path"] for entry in entries]


def _reference_loop(path: Path) -> None:
    """Open with Pillow, hash, compute PDQ: what a script would do."""
    data = path.read_bytes()
    hashlib.sha256(data).digest()
    with Image.open(io.BytesIO(data)) as image:
        if image.width * image.height < 60_000_000:  # the script would run out of memory
            pdqhash.compute(np.asarray(image.convert("RGB")))


def _cpu_s(call: Callable[[], object]) -> float:
    begin_s = time.process_time()
    call()
    return time.process_time() - begin_s


def _table(rows: Sequence[Sequence[object]]) -> None:
    for row in rows:
        print("  ".join(f"{cell:>16.2f}" if isinstance(cell, float) else f"{cell!s:>16}" for cell in row))


def test_all_evaluation_images_through_the_pool(data_dir: Path) -> None:
    """Kinds, restarts, memory and files per second; and the reference loop in the same run."""
    paths = _paths(data_dir)
    ends: collections.Counter[str] = collections.Counter()
    pool = DecoderPool(DecoderConfig(workers=2), [PDQ], clock=SystemClock(), claim=always)
    pool.start()
    begin_s = time.perf_counter()
    for future in [pool.see(number, key_of(path), live=False) for number, path in enumerate(paths)]:
        try:
            future.result()
            ends["sighting"] += 1
        except FileFailed as failure:
            ends[failure.kind] += 1
    wall_s = time.perf_counter() - begin_s
    status = pool.status()
    pool.stop(5.0)

    load_decoders()
    decoder = Decoder([PDQ], Profiles(), max_pixels=500_000_000)
    ours_s = reference_s = 0.0
    for path in paths:
        ours_s += _cpu_s(lambda path=path: _see_one(decoder, path))
        reference_s += _cpu_s(lambda path=path: _quietly(lambda: _reference_loop(path)))
    print()
    _table([("kind", "files"), *ends.most_common()])
    print(
        f"restarts {status.restarts}, recycled {status.recycled}, peak {status.memory_peak_bytes / 1e6:.0f} MB a worker"
    )
    print(f"pool of 2: {len(paths) / wall_s:.0f} files/s of wall time")
    print(f"one process: ours {len(paths) / ours_s:.0f}, reference {len(paths) / reference_s:.0f} files/s of CPU time")
    assert sum(ends.values()) == len(paths)
    assert status.restarts == 0


def _see_one(decoder: Decoder, path: Path) -> None:
    with open(path, "rb") as file, contextlib.suppress(Refusal):
        decoder.see(read_source(file.fileno(), 1 << 31))


def _quietly(call: Callable[[], object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(Exception):  # the reference meets the hostile files too
            call()


def _resampled(data_dir: Path, megapixels: float, count: int) -> list[bytes]:
    """Real photos brought to a size, quality 92, 4:2:0, as cameras write them."""
    found = []
    for data in large_photos(data_dir, count, least_px=1000):
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        share = (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5
        size = (round(picture.width * share), round(picture.height * share))
        out = io.BytesIO()
        picture.resize(size, Image.Resampling.LANCZOS).save(out, "JPEG", quality=92)
        found.append(out.getvalue())
    return found


def _best_ms(call: Callable[[], object], rounds: int = 5) -> float:
    return min(_cpu_s(call) for _ in range(rounds)) * 1e3


def test_decode_and_preprocess_against_the_models_own_path(data_dir: Path) -> None:
    """Ratios at 0.5, 2, 12 and 24 MP: CLIP and DINOv3 inputs alone, as the reference makes them, and with the hash that
    the daemon makes in the same pass.
    """
    load_decoders()
    rows: list[tuple[object, ...]] = [
        (
            "MP",
            "CLIP ref",
            "CLIP alone",
            "ratio",
            "and PDQ",
            "ratio",
            "DINO ref",
            "DINO alone",
            "ratio",
            "and PDQ",
            "ratio",
        )
    ]
    for megapixels in MEGAPIXELS:
        photos = _resampled(data_dir, megapixels, 6 if megapixels > 5 else 12)

        def reference(spec: InputSpec, photos: Sequence[bytes] = photos) -> None:
            for data in photos:
                picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
                tensor = reference_input(spec, picture).astype(np.float32).transpose(2, 0, 1) / 255
                np.ascontiguousarray((tensor - 0.5) / 0.5)

        def ours(spec: InputSpec, *, hashed: bool, photos: Sequence[bytes] = photos) -> float:
            decoder = Decoder([spec], Profiles(), max_pixels=10**9)
            sources = []
            for data in photos:
                with source_of(data) as source:
                    sources.append(source)
            see = decoder.see if hashed else lambda source: _input_alone(decoder, source, spec)
            return _best_ms(lambda: [see(source) for source in sources]) / len(photos)

        row: list[object] = [megapixels]
        for spec in (CLIP, DINO):
            theirs = _best_ms(lambda s=spec: reference(s), 3) / len(photos)
            alone, hashed = ours(spec, hashed=False), ours(spec, hashed=True)
            row += [theirs, alone, theirs / alone, hashed, theirs / hashed]
        rows.append(tuple(row))
    print("\nCPU ms a photo; `and PDQ`: with PDQ in 8 variants and EXIF facts, which the reference does not make")
    _table(rows)
    assert all(float(str(row[3])) > 1 for row in rows[1:])


def _input_alone(decoder: Decoder, source: Source, spec: InputSpec) -> U8Array:
    """What the reference makes and no more."""
    raster = decoder.decode(source)
    return _finish(to_uint8(resample(raster.pixels, [decoder._picture_plan(raster, spec)])[0]), raster)


def _dct_bits(grey: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The 8 x 8 lowest frequencies of 32 x 32."""
    pixels = np.asarray(grey, dtype=np.float64)
    return dct(dct(pixels, axis=0), axis=1)[:8, :8]


def _imagehash_phash(data: bytes) -> object:
    """`imagehash.phash` 4.3 by its definition: grey, then Lanczos to 32 x 32, DCT, cut at the median."""
    low = _dct_bits(Image.open(io.BytesIO(data)).convert("L").resize((32, 32), Image.Resampling.LANCZOS))
    return low > np.median(low)


def _imagededup_phash(data: bytes) -> object:
    """`imagededup.methods.PHash` 0.3 by its definition: RGB, then Lanczos to 32 x 32, grey, DCT, median without DC."""
    picture = Image.open(io.BytesIO(data)).convert("RGBA").convert("RGB")
    low = _dct_bits(picture.resize((32, 32), Image.Resampling.LANCZOS).convert("L"))
    return low >= np.median(low.ravel()[1:])


def test_all_that_we_compute_against_a_perceptual_hash_alone(data_dir: Path) -> None:
    """Digest, decode, PDQ with its variants, EXIF facts, CLIP's input and the verifier's picture, against pHash alone
    as two libraries make it from a plain open.

    The verifier's picture costs a decode of its own, which the daemon makes of candidates alone: hence two columns.
    """
    load_decoders()
    rows: list[tuple[object, ...]] = [
        ("photos", "imagehash", "imagededup", "PDQ+CLIP", "ratio", "ratio", "+ verifier's", "ratio", "ratio")
    ]
    real = large_photos(data_dir, 20, least_px=1000)
    small = [
        path.read_bytes() for path in _paths(data_dir) if path.parts[-3:-1] == ("101_ObjectCategories", "Leopards")
    ]
    for name, photos in (("camera, 20", real), ("300 x 200, " + str(len(small)), small)):

        def ms(see: Callable[[bytes], object], photos: Sequence[bytes] = photos) -> float:
            return _best_ms(lambda: [see(data) for data in photos], 3) / len(photos)

        decoder, profiles = Decoder([PDQ, CLIP], Profiles(), max_pixels=10**9), Profiles()

        def seen(data: bytes, decoder: Decoder = decoder) -> None:
            with source_of(data) as source:
                decoder.see(source)

        def compared(data: bytes, decoder: Decoder = decoder, profiles: Profiles = profiles) -> None:
            with source_of(data) as source:
                decoder.see(source)
                decode_picture(source, profiles, side_px=PICTURE_SIDE_PX, max_pixels=10**9)

        hashes, dedup, ours, whole = ms(_imagehash_phash), ms(_imagededup_phash), ms(seen), ms(compared)
        rows.append((name, hashes, dedup, ours, hashes / ours, dedup / ours, whole, hashes / whole, dedup / whole))
    print("\nCPU ms a photo")
    _table(rows)
    assert len(rows) == 3


def test_two_workers_against_one(data_dir: Path) -> None:
    """Throughput of the pool at 2 MP, one and two processes, alternating."""
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"deepdupe-bench-{os.getpid()}"
    folder.mkdir()
    paths = []
    try:
        for number, data in enumerate(_resampled(data_dir, 2, 12) * 10):
            paths.append(folder / f"{number}.jpg")
            paths[-1].write_bytes(data)
        best = {1: 0.0, 2: 0.0}
        for _ in range(3):
            for workers in best:
                best[workers] = max(best[workers], _rate(paths, workers))
    finally:
        for path in paths:
            path.unlink()
        folder.rmdir()
    print(f"\none worker {best[1]:.0f}, two {best[2]:.0f} files/s: {best[2] / best[1]:.2f} times")
    assert best[2] > best[1] * 0.8


def _rate(paths: Sequence[Path], workers: int) -> float:
    pool = DecoderPool(DecoderConfig(workers=workers), [PDQ, CLIP], clock=SystemClock(), claim=always)
    pool.start()
    for future in [pool.see(0, key_of(path), live=True) for path in paths[:8]]:
        future.result()
    begin_s = time.perf_counter()
    for future in [pool.see(0, key_of(path), live=False) for path in paths]:
        future.result()
    rate = len(paths) / (time.perf_counter() - begin_s)
    pool.stop(5.0)
    return rate
