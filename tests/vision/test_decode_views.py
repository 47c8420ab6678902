"""Whatever a picture is stored as, it is seen as it looks: upright, on white paper, in sRGB, its first frame."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from deepdupe_daemon.model import InputSpec, U8Array
from deepdupe_daemon.vision.decode.opening import load_decoders
from tests.vision.paintings import distance_bits, encode, psnr_db, scene, see, small, view, with_orientation

LOSSLESS = ["PNG", "BMP", "TIFF", "PPM", "TGA", "QOI", "SGI", "PCX"]
LOSSY = ["JPEG", "WEBP", "AVIF", "HEIF", "JPEG2000"]

#: decoded and resized by us, and by Pillow: apart by rounding
SAME_DB = 48.0


@pytest.fixture(scope="module", autouse=True)
def decoders() -> tuple[str, ...]:
    return load_decoders()


@pytest.mark.parametrize("name", LOSSLESS)
def test_every_lossless_format_shows_the_same_picture(name: str) -> None:
    pixels = scene()
    data = encode(pixels, name)
    facts = see(data).facts
    assert (facts.width_px, facts.height_px, facts.format, facts.lossless) == (320, 240, name, True)
    assert psnr_db(view(data), small(pixels)) > SAME_DB


@pytest.mark.parametrize("name", LOSSY)
def test_every_lossy_format_shows_nearly_the_same_picture(name: str) -> None:
    pixels = scene()
    data = encode(pixels, name, quality=95) if name != "JPEG2000" else encode(pixels, name)
    facts = see(data).facts
    assert (facts.width_px, facts.height_px, facts.format) == (320, 240, name)
    assert psnr_db(view(data), small(pixels)) > 36
    assert distance_bits(see(data).pdq.bits, see(encode(pixels, "PNG")).pdq.bits) <= 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_orientation_is_applied_to_views_sizes_and_hash(name: str, orientation: int) -> None:
    pixels = scene(240, 136)
    options = {} if name in {"PNG", "TIFF"} else {"quality": 95}
    seen = see(with_orientation(pixels, orientation, name, **options), [InputSpec(side_px=80)])
    plain = see(with_orientation(pixels, 1, name, **options), [InputSpec(side_px=80)])
    assert (seen.facts.width_px, seen.facts.height_px, seen.facts.orientation) == (240, 136, orientation)
    assert psnr_db(seen.inputs[0], plain.inputs[0]) > 38  # a lossy coder sees other blocks in a turned picture
    assert distance_bits(seen.pdq.bits, plain.pdq.bits) <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_crop_of_odd_width_falls_on_the_same_pixels_in_every_orientation(orientation: int) -> None:
    pixels = scene(333, 200, seed=4)
    want = see(with_orientation(pixels, 1, "PNG"), [InputSpec(side_px=100)]).inputs[0]
    assert psnr_db(see(with_orientation(pixels, orientation, "PNG"), [InputSpec(side_px=100)]).inputs[0], want) > 60


def test_alpha_is_composed_on_white() -> None:
    pixels = scene()
    alpha = np.zeros((240, 320), np.uint8)
    alpha[:, 160:] = 255
    alpha[:, 120:160] = 128
    data = encode(np.dstack([pixels, alpha]), "PNG")
    paper = np.where(alpha[:, :, None] == 255, pixels, 255)
    paper[:, 120:160] = np.round(pixels[:, 120:160] * (128 / 255) + 255 * (127 / 255))
    assert psnr_db(view(data), small(paper.astype(np.uint8))) > 45
    assert see(data).facts.has_alpha
    assert view(data)[:, :30].min() == 255


def test_an_opaque_alpha_channel_is_no_transparency() -> None:
    opaque = np.dstack([scene(), np.full((240, 320), 255, np.uint8)])
    assert not see(encode(opaque, "PNG")).facts.has_alpha
    assert (view(encode(opaque, "PNG")) == view(encode(scene(), "PNG"))).all()


def test_a_transparent_palette_colour_is_white() -> None:
    image = Image.fromarray(scene()).quantize(32)
    index = image.getpixel((0, 0))
    data = encode(image, "GIF", transparency=index)
    assert see(data).facts.has_alpha
    hidden = np.asarray(image) == index
    paper = np.where(hidden[:, :, None], 255, np.asarray(image.convert("RGB"))).astype(np.uint8)
    assert psnr_db(view(data), small(paper)) > SAME_DB


def test_a_transparent_grey_of_a_png_is_white() -> None:
    grey = np.full((64, 64), 100, np.uint8)
    grey[:, 32:] = 7
    assert view(encode(grey, "PNG", transparency=7), 64)[32, 60].tolist() == [255, 255, 255]
    assert view(encode(grey, "PNG", transparency=7), 64)[32, 4].tolist() == [100, 100, 100]


def test_grey_is_three_equal_channels() -> None:
    grey = scene()[:, :, 0]
    for name in ("JPEG", "PNG", "TIFF"):
        seen = view(encode(grey, name, **({"quality": 100} if name == "JPEG" else {})))
        assert (seen[:, :, 0] == seen[:, :, 1]).all()
        assert psnr_db(seen[:, :, 0], np.asarray(Image.fromarray(grey).resize((96, 96), 2))) > 44


def test_16_bits_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 128 * 128).reshape(128, 128).astype(np.uint16)
    for data in (encode(ramp, "PNG"), encode(ramp, "TIFF")):
        seen = view(data, 128)[:, :, 0].astype(int)
        assert np.abs(seen - np.round(ramp / 257)).max() <= 1
        assert see(data).facts.mode.startswith("I;16")


def test_floats_and_wide_integers_are_scaled_by_their_range() -> None:
    ramp = np.linspace(0, 1, 100 * 100).reshape(100, 100).astype(np.float32)
    want = np.round(ramp * 255)
    for values in (ramp, ramp * 255, ramp * 65535, ramp * 1e7 - 3e6):
        seen = view(encode(values.astype(np.float32), "TIFF"), 100)[:, :, 0].astype(int)
        assert np.abs(seen - want).max() <= 1
    wide = view(encode((ramp * 1_000_000).astype(np.int32), "TIFF"), 100)[:, :, 0].astype(int)
    assert np.abs(wide - want).max() <= 1


def test_not_a_number_is_black() -> None:
    values = np.full((64, 64), 0.5, np.float32)
    values[:, :32] = np.nan
    seen = view(encode(values, "TIFF"), 64)
    assert seen[32, 4, 0] == 0
    assert seen[32, 60, 0] == 128


def test_bilevel_is_black_and_white() -> None:
    ink = np.zeros((64, 64), bool)
    ink[:, 32:] = True
    seen = view(encode(Image.fromarray(ink), "PNG"), 64)
    assert seen[32, 4].tolist() == [0, 0, 0]
    assert seen[32, 60].tolist() == [255, 255, 255]


def test_cmyk_jpegs_go_through_pillow_at_a_scaled_size() -> None:
    pixels = scene(1600, 1200)
    data = encode(Image.fromarray(pixels).convert("CMYK"), "JPEG", quality=95)
    assert see(data).facts.mode == "CMYK"
    assert psnr_db(view(data), small(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))) > 42


def test_only_the_first_frame_is_seen_and_all_are_counted() -> None:
    for name in ("GIF", "WEBP", "TIFF", "PNG", "AVIF"):
        frames = [Image.fromarray(scene(seed=seed)) for seed in (1, 2, 3)]
        data = encode(frames[0], name, save_all=True, append_images=frames[1:])
        facts = see(data).facts
        assert facts.frames == 3
        assert distance_bits(see(data).pdq.bits, see(encode(frames[0], "PNG")).pdq.bits) <= 16
        assert distance_bits(see(data).pdq.bits, see(encode(frames[1], "PNG")).pdq.bits) > 60


def test_the_bytes_decide_the_format() -> None:
    assert see(encode(scene(), "WEBP")).facts.format == "WEBP"  # no name is ever given


def test_lossy_and_lossless_webp_and_tiff_are_told_apart() -> None:
    pixels = scene()
    assert see(encode(pixels, "WEBP", lossless=True)).facts.lossless
    assert not see(encode(pixels, "WEBP", quality=80)).facts.lossless
    assert see(encode(pixels, "TIFF", compression="tiff_lzw")).facts.lossless
    assert not see(encode(pixels, "TIFF", compression="jpeg")).facts.lossless
    assert not see(encode(pixels, "JPEG")).facts.lossless


def test_a_heif_that_only_its_exif_turns_is_left_as_it_is() -> None:
    """As viewers show it (ISO/IEC 23008-12: EXIF orientation is ignored)."""
    exif = Image.Exif()
    exif[0x0112] = 6
    facts = see(encode(scene(), "HEIF", exif=exif)).facts
    assert (facts.width_px, facts.height_px) == (320, 240)


def test_jpeg_xl_where_its_plug_in_is_installed(decoders: tuple[str, ...]) -> None:
    if "JXL" not in decoders:
        pytest.skip("the jxl extra is not installed")
    data = encode(scene(), "JXL", lossless=True)
    assert see(data).pdq == see(encode(scene(), "PNG")).pdq
    turned = see(with_orientation(scene(), 6, "JXL")).facts
    assert (turned.width_px, turned.height_px) in {(320, 240), (240, 320)}


def _profile(gamma: float) -> bytes:
    """An RGB profile that differs from sRGB by its tone curve: sRGB's with the curves replaced."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    out = bytearray(srgb)
    count = int.from_bytes(out[128:132], "big")
    for entry in range(count):
        at = 132 + 12 * entry
        if out[at : at + 4] in (b"rTRC", b"gTRC", b"bTRC"):
            offset = int.from_bytes(out[at + 4 : at + 8], "big")
            # a curve with one entry is a gamma, as u8Fixed8 (ICC.1:2010, 10.5)
            out[offset : offset + 14] = (
                b"curv" + bytes(4) + (1).to_bytes(4, "big") + round(gamma * 256).to_bytes(2, "big")
            )
            out[at + 8 : at + 12] = (14).to_bytes(4, "big")
    return bytes(out)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_a_picture_in_another_colour_space_looks_like_its_copy_in_srgb(name: str) -> None:
    pixels = scene()
    profile = _profile(1.2)
    to_srgb = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), "RGB", "RGB"
    )
    shown = np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), to_srgb))
    assert psnr_db(shown, pixels) < 20  # the profile does matter
    options = {"quality": 95} if name != "PNG" else {}
    assert psnr_db(view(encode(pixels, name, icc_profile=profile, **options)), small(shown)) > 34
    hashes = [see(encode(p, "PNG", **o)).pdq.bits for p, o in ((pixels, {"icc_profile": profile}), (shown, {}))]
    assert distance_bits(*hashes) <= 4


def test_a_profile_that_means_srgb_and_a_broken_one_change_nothing() -> None:
    pixels = scene()
    plain = view(encode(pixels, "PNG"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert (view(encode(pixels, "PNG", icc_profile=srgb)) == plain).all()
    assert (view(encode(pixels, "PNG", icc_profile=b"no profile" * 30)) == plain).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (3, 2), (5000, 3), (2, 9000)])
def test_extreme_shapes_are_seen(size: tuple[int, int]) -> None:
    pixels: U8Array = scene(max(size[0], 8), max(size[1], 8))[: size[1], : size[0]]
    seen = see(encode(pixels, "PNG"), [InputSpec(side_px=32), InputSpec(side_px=48, fit="squash", filter="bilinear")])
    assert (seen.facts.width_px, seen.facts.height_px) == size
    assert [array.shape for array in seen.inputs] == [(32, 32, 3), (48, 48, 3)]


def test_a_long_strip_needs_no_memory_for_its_length() -> None:
    strip = Image.new("L", (1_000_000, 12), 90)
    seen = see(encode(strip, "PNG"), [InputSpec(side_px=64)])
    assert set(seen.inputs[0].ravel().tolist()) == {90}


def test_inputs_come_in_the_order_of_the_specs_with_the_hash_among_them() -> None:
    specs = [InputSpec(side_px=32), InputSpec(kind="pdq"), InputSpec(side_px=64, fit="squash", filter="bilinear")]
    seen = see(encode(scene(), "PNG"), specs)
    assert [array.shape for array in seen.inputs] == [(32, 32, 3), (32,), (64, 64, 3)]
    assert seen.inputs[1].tobytes() == seen.pdq.bits == seen.variants[0]
