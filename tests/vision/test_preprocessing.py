"""What preprocessing files say, and what of it is refused rather than guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deepdupe_daemon.errors import ModelError
from deepdupe_daemon.model import InputSpec
from deepdupe_daemon.vision.preprocessing import Preprocessing, from_open_clip, from_processor_file

DINOV3 = {
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 2,
    "size": {"height": 224, "width": 224},
    "rescale_factor": 0.00392156862745098,
}


def read(folder: Path, input_px: int | None = None, **changes: object) -> Preprocessing:
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({key: value for key, value in {**DINOV3, **changes}.items() if value is not None}))
    return from_processor_file(path, input_px)


def test_a_square_is_a_squash(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.spec == InputSpec(side_px=224, fit="squash", filter="bilinear")
    assert found.mean == (0.485, 0.456, 0.406)
    assert read(tmp_path, 256).spec.side_px == 256


def test_a_shorter_edge_with_a_crop(tmp_path: Path) -> None:
    crop = {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": True}
    assert read(tmp_path, **crop, resample=3).spec == InputSpec(
        side_px=224, fit="crop", filter="bicubic", resize_px=256
    )
    assert read(tmp_path, 448, **crop).spec.resize_px == 512, "the margin is kept"
    even = read(tmp_path, size=224, crop_size=224, do_center_crop=True)
    assert even.spec == InputSpec(side_px=224, fit="crop", filter="bilinear")


@pytest.mark.parametrize(
    "changes",
    [
        {"size": {"height": 224, "width": 200}},
        {"size": {"shortest_edge": 224}},
        {"size": None},
        {"resample": 5},
        {"resample": None},
        {"rescale_factor": 0.00784},
        {"do_normalize": False},
        {"do_resize": False},
        {"do_rescale": False},
        {"rescale_factor": "1/255"},
        {"size": {"height": "large", "width": "large"}},
        {"size": {"height": 0, "width": 0}},
        {"size": [224, 224]},
        {"size": 224, "crop_size": {"height": 224, "width": 200}, "do_center_crop": True},
        {"size": 224, "crop_size": 256, "do_center_crop": True},
        {"image_mean": [123.7, 116.3, 103.5]},
        {"image_std": [0.2, 0.0, 0.2]},
        {"image_std": [58.4, 57.1, 57.4]},
        {"image_mean": None},
        {"image_std": [0.2, "x", 0.2]},
    ],
    ids=str,
)
def test_what_cannot_be_done_here_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=r"preprocessor_config\.json"):
        read(tmp_path, **changes)


def test_open_clip_modes() -> None:
    assert from_open_clip({}, 224, where="x") == InputSpec(side_px=224)
    squash = from_open_clip({"resize_mode": "squash", "interpolation": "bilinear"}, 256, where="x")
    assert squash == InputSpec(side_px=256, fit="squash", filter="bilinear")
    for config in ({"resize_mode": "longest"}, {"interpolation": "random"}):
        with pytest.raises(ModelError, match="not supported"):
            from_open_clip(config, 224, where="x")


def test_the_canonical_form_tells_every_difference_apart() -> None:
    base = Preprocessing(InputSpec(), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    forms = {
        base.canonical("ViT-B-32"),
        base.canonical("ViT-B-32-quickgelu"),
        Preprocessing(InputSpec(side_px=256), base.mean, base.std).canonical("ViT-B-32"),
        Preprocessing(base.spec, (0.4, 0.5, 0.5), base.std).canonical("ViT-B-32"),
        Preprocessing(base.spec, base.mean, (0.4, 0.5, 0.5)).canonical("ViT-B-32"),
    }
    assert len(forms) == 5
    assert json.loads(base.canonical("ViT-B-32"))["input"]["filter"] == "bicubic"
