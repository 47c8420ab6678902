"""`setup`: the menu in a terminal, the options in a script."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.cli.gpus import gpu_names
from deepdupe_daemon.cli.processor import half_precision_remark
from deepdupe_daemon.cli.weights_place import service_environ
from deepdupe_daemon.config import Config, load_config
from deepdupe_daemon.vision import PRESETS
from tests.cli.conftest import Deepdupe
from tests.vision.hub_server import Hub
from tests.vision.networks import save_dinov3


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "conf" / "deepdupe.yaml"


def script(written: Path, photos: Path, *more: str) -> list[str]:
    return ["setup", "--yes", "--config", str(written), "--folder", str(photos), "--state-dir", f"{photos}-s", *more]


def test_a_script_gets_the_defaults_of_the_menu(here: Deepdupe, written: Path, photos: Path) -> None:
    done = here(*script(written, photos))
    assert (done.code, done.err) == (0, "")
    assert done.lines == [
        f"written: {written}",
        f"first: deepdupe-daemon models fetch clip-vit-l-14 --config {written}",
        f"next: deepdupe-daemon run --config {written}",
    ]
    config = load_config(written)
    assert [model.name for model in config.models] == ["clip-vit-l-14"]
    assert [root.path for root in config.roots] == [photos]
    assert config.state_dir == Path(f"{photos}-s")
    text = written.read_text()
    assert "# Seconds without a change" in text, "every key is explained"
    assert [path.name for path in written.parent.iterdir()] == ["deepdupe.yaml"]


def test_a_script_can_answer_every_question(here: Deepdupe, written: Path, photos: Path) -> None:
    (photos.parent / "more").mkdir()
    (photos.parent / "w.pt").write_bytes(b"looked into when it is loaded")
    options = [
        "--model",
        "clip-vit-b-32",
        "--embedding",
        "both",
        "--device",
        "cuda:1",
        "--precision",
        "bf16",
        "--action",
        "protected",
    ]
    done = here(*script(written, photos, *options, "--folder", "more", "--weights", "w.pt"))
    assert done.code == 0, done.err
    config = load_config(written)
    (model,) = config.models
    assert (model.name, model.embedding, model.device, model.precision) == ("clip-vit-b-32", "both", "cuda:1", "bf16")
    assert model.weights == str(photos.parent / "w.pt")
    assert config.match == "all", "the dual hash: a pair must match in both"
    assert [(root.path.name, root.action) for root in config.roots] == [("photos", "protected"), ("more", "protected")]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--model", "clip"], "error: --model: found 'clip'; allowed: clip-vit-l-14, clip-vit-b-32, dinov3-vit-l-16,"),
        (["--device", "gpu"], "error: models[0].device: found 'gpu'; allowed: auto, cpu, cuda or cuda:N"),
        (["--precision", "fp8"], "error: models[0].precision: found 'fp8'; allowed: auto, fp16, bf16 or fp32"),
        (["--action", "delete"], "error: roots[0].action: found 'delete'; allowed: observe, quarantine or protected"),
        (["--folder", "none"], "which does not exist; allowed: an existing folder"),
        (["--model", "dinov3-vit-l-16", "--embedding", "hidden"], "'hidden' is not offered"),
        (["--weights", "opnai"], "'opnai' is neither a file nor a weights tag of ViT-L-14"),
        (["--weights", "gone.pt"], "gone.pt: there is no such file"),
        (
            ["--model", "pdq", "--embedding", "final"],
            "error: models[0].embedding: found 'final'; allowed for pdq: ",
        ),
    ],
)
def test_a_wrong_answer_writes_nothing(
    options: list[str], expected: str, here: Deepdupe, written: Path, photos: Path
) -> None:
    done = here(*script(written, photos, *options))
    assert done.code == 78
    assert expected in done.err
    assert not written.exists()


def test_what_needs_no_weights_or_has_them_starts_at_once(here: Deepdupe, written: Path, photos: Path) -> None:
    (photos.parent / "w.pt").write_bytes(b"looked into when it is loaded")
    for options in (["--model", "pdq"], ["--weights", "w.pt", "--overwrite"]):
        done = here(*script(written, photos, *options))
        assert done.lines == [f"written: {written}", f"next: deepdupe-daemon run --config {written}"]


def test_a_program_is_named_by_its_path(here: Deepdupe, written: Path, photos: Path) -> None:
    """SSCD is a TorchScript file: the configuration says where `models fetch` puts it."""
    done = here(*script(written, photos, "--model", "sscd-disc-mixup"))
    assert done.lines[1] == f"first: deepdupe-daemon models fetch sscd-disc-mixup --config {written}"
    weights = load_config(written).models[0].weights
    assert weights is not None
    assert weights.endswith("/weights/sscd_disc_mixup.torchscript.pt")


def test_a_script_must_name_a_folder(here: Deepdupe, written: Path) -> None:
    done = here("setup", "--yes", "--config", written)
    assert (done.code, done.err.splitlines()[0]) == (78, "error: no folder was given")


def test_a_name_that_yaml_cannot_hold_is_refused(here: Deepdupe, written: Path, photos: Path) -> None:
    os.mkdir(os.fsencode(photos.parent) + b"/caf\xe9")
    done = here("setup", "--yes", "--config", written, "--state-dir", "s", "--folder", b"caf\xe9")
    assert done.code == 78
    assert "caf\\xe9: a name that is not UTF-8 cannot stand in a YAML file" in done.err


def test_a_file_is_replaced_on_request_only(here: Deepdupe, written: Path, photos: Path) -> None:
    written.parent.mkdir()
    written.write_text("precious")
    refused = here(*script(written, photos))
    assert (refused.code, written.read_text()) == (78, "precious")
    assert "--overwrite replaces it" in refused.err
    assert here(*script(written, photos, "--overwrite")).code == 0
    assert load_config(written).models[0].name == "clip-vit-l-14"


def test_a_place_that_cannot_be_written_is_told(here: Deepdupe, photos: Path) -> None:
    (photos.parent / "file").touch()
    done = here(*script(photos.parent / "file" / "x.yaml", photos))
    assert done.code == 78
    assert "--config names another" in done.err


class Dialogue:
    """`setup` in a terminal of its own."""

    def __init__(self, command: list[str], environment: dict[str, str], cwd: Path) -> None:
        self._parent, child = pty.openpty()
        # a suite that runs in the background of a shell ignores SIGINT, and its children would inherit that
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.process = subprocess.Popen(
            command, stdin=child, stdout=child, stderr=child, cwd=cwd, env=environment, start_new_session=True
        )
        signal.signal(signal.SIGINT, before)
        os.close(child)
        self.seen = ""

    def answer(self, prompt: str, text: str) -> None:
        """Wait until `prompt` was printed, then type `text`."""
        self.wait_for(prompt)
        self.type(f"{text}\n")

    def type(self, text: str) -> None:
        os.write(self._parent, text.encode())

    def wait_for(self, prompt: str) -> None:
        while prompt not in self.seen:
            assert self._read(), f"no {prompt!r} in {self.seen!r}"
        self.seen = self.seen.split(prompt, 1)[1]

    def interrupt(self) -> None:
        """As Ctrl-C. Again where nothing follows: between a prompt and its read, Python only notes a signal."""
        ready: list[int] = []
        while not ready:
            os.kill(self.process.pid, signal.SIGINT)
            ready, _, _ = select.select([self._parent], [], [], 3)

    def end(self) -> int:
        while self._read():
            pass
        return self.process.wait(30)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._parent)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._parent], [], [], 60)
        assert ready, f"nothing more came after {self.seen!r}"
        try:
            part = os.read(self._parent, 4096)
        except OSError:  # the other end of a terminal that is closed
            return False
        self.seen += part.decode()
        return bool(part)


@pytest.fixture
def dialogue(command: list[str], environment: dict[str, str], tmp_path: Path, written: Path) -> Iterator[Dialogue]:
    dialogue = Dialogue([*command, "setup", "--config", str(written), "--state-dir", "s"], environment, tmp_path)
    yield dialogue
    dialogue.close()


def load(written: Path) -> Config:
    return load_config(written)


@pytest.mark.skipif(bool(gpu_names()), reason="with a GPU there are two more questions")
def test_the_menu_is_the_one_that_people_know(dialogue: Dialogue, written: Path, photos: Path) -> None:
    dialogue.wait_for("--- Model Selection ---")
    dialogue.wait_for("[1] CLIP ViT-Large-14 (768-dim, higher quality, slower) [DEFAULT]")
    dialogue.wait_for("[2] CLIP ViT-Base-32 (512-dim, faster, lower quality)")
    dialogue.wait_for("[3] DINOv3 ViT-Large (1024-dim, excellent dense features)")
    dialogue.answer("[1]: ", "99")
    dialogue.wait_for("found '99'; allowed: a number from 1 to ")
    dialogue.answer("[1]: ", "2")
    dialogue.wait_for("Selected: clip-vit-b-32 (512-dimensional)")
    dialogue.wait_for("[1] Final embedding (512-dim) [DEFAULT]")
    dialogue.wait_for("[2] Last hidden layer (768-dim)")
    dialogue.answer("[1]: ", "3")
    dialogue.answer("Folder to watch: ", "nowhere")
    dialogue.answer("Folder to watch: ", "")
    dialogue.wait_for("at least one folder is needed")
    dialogue.answer("Folder to watch: ", "photos")
    dialogue.answer("Another folder to watch", "")
    dialogue.answer("[1]: ", "2")
    dialogue.answer("The weights of clip-vit-b-32 are not on disk. Download them now? [y/N]: ", "n")
    dialogue.wait_for("next: deepdupe-daemon run --config")
    assert dialogue.end() == 0
    config = load(written)
    assert (config.models[0].name, config.models[0].embedding, config.match) == ("clip-vit-b-32", "both", "all")
    assert [(root.path, root.action) for root in config.roots] == [(photos, "protected")]


@pytest.mark.skipif(bool(gpu_names()), reason="with a GPU there are two more questions")
def test_dinov3_has_no_embedding_to_choose_and_a_gate_to_pass(dialogue: Dialogue, written: Path, photos: Path) -> None:
    dialogue.answer("[1]: ", "3")
    dialogue.wait_for("DINOv3 will use pooler output (no embedding type selection needed)")
    dialogue.wait_for("licence accepted at https://huggingface.co/facebook/dinov3-vitl16-pretrain-lvd1689m")
    dialogue.answer("Folder to watch: ", str(photos))
    dialogue.answer("Another folder to watch", "")
    dialogue.answer("[1]: ", "")
    dialogue.answer("Download them now? [y/N]: ", "")
    assert dialogue.end() == 0
    assert load(written).models[0].name == "dinov3-vit-l-16"


@pytest.fixture
def hub(tmp_path: Path, environment: dict[str, str]) -> Iterator[Hub]:
    """A hub that holds the smallest DINOv3, which `environment` names."""
    known = PRESETS["dinov3-vit-s-16"]
    folder = save_dinov3(known.name, tmp_path / "served")
    started = Hub(known.repo, {path.name: path.read_bytes() for path in folder.iterdir()})
    environment["HF_ENDPOINT"] = started.address
    environment.pop("HF_HUB_OFFLINE", None)
    yield started
    started.close()


@pytest.mark.skipif(bool(gpu_names()), reason="with a GPU there are two more questions")
@pytest.mark.parametrize("answer", ["", "y", "y, without the licence"])
def test_weights_that_are_absent_are_offered(
    answer: str, hub: Hub, dialogue: Dialogue, written: Path, photos: Path
) -> None:
    """Declined, it says the command; fetched, they are there; refused by the gate, it says that, and the file stays."""
    hub.gated = answer == "y, without the licence"
    dialogue.answer("[1]: ", "4")
    dialogue.answer("Folder to watch: ", str(photos))
    dialogue.answer("Another folder to watch", "")
    dialogue.answer("[1]: ", "")
    dialogue.answer("The weights of dinov3-vit-s-16 are not on disk. Download them now? [y/N]: ", answer[:1])
    if hub.gated:
        dialogue.wait_for("accept the licence at https://huggingface.co/facebook/dinov3-vits16-pretrain-lvd1689m")
    if answer == "y":
        dialogue.wait_for("dinov3-vit-s-16: 86 MB, SHA-256 ")
    else:
        dialogue.wait_for(f"first: deepdupe-daemon models fetch dinov3-vit-s-16 --config {written}")
    dialogue.wait_for(f"next: deepdupe-daemon run --config {written}")
    assert dialogue.end() == 0
    assert "Traceback" not in dialogue.seen
    assert load(written).models[0].name == "dinov3-vit-s-16"


@pytest.mark.parametrize("how", ["Ctrl-C", "Ctrl-D"])
def test_ending_the_questions_leaves_nothing(how: str, dialogue: Dialogue, written: Path) -> None:
    dialogue.wait_for("[1]: ")
    if how == "Ctrl-C":
        dialogue.interrupt()
    else:
        dialogue.type("\x04")
    assert dialogue.end() == 130
    assert "cancelled, nothing was written" in dialogue.seen
    assert "Traceback" not in dialogue.seen
    assert not written.parent.exists()


def test_bf16_is_read_from_the_kernel(tmp_path: Path) -> None:
    assert half_precision_remark(str(tmp_path / "none")) == ""
    for flags, remark in (("fpu avx512_bf16 amx_bf16", "it has amx_bf16"), ("avx512_bf16", "avx512_bf16"), ("fpu", "")):
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags\t: {flags}\nbugs:\n")
        said = half_precision_remark(str(tmp_path / "cpuinfo"))
        assert remark in said if remark else said == ""


def test_root_fetches_for_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service has no network and reads the cache dir of its unit, which `models` by a person would not name."""
    cache = tmp_path / "cache"
    for user, there, own, wanted in (
        (0, True, None, str(cache)),
        (0, False, None, None),
        (1000, True, None, None),
        (0, True, "/own", "/own"),
    ):
        cache.rmdir() if cache.exists() else None
        cache.mkdir() if there else None
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        environ = {"CACHE_DIRECTORY": own} if own else {}
        assert service_environ(environ, service_cache=str(cache)).get("CACHE_DIRECTORY") == wanted


def test_gpus_are_read_from_the_driver(tmp_path: Path) -> None:
    assert gpu_names(str(tmp_path / "none")) == []
    for bus, text in (
        ("0000:02:00.0", "Model: \t NVIDIA B\nIRQ: 1\n"),
        ("0000:01:00.0", "Model:  NVIDIA A\n"),
        ("x", ""),
    ):
        (tmp_path / bus).mkdir()
        (tmp_path / bus / "information").write_text(text)
    assert gpu_names(str(tmp_path)) == ["NVIDIA A", "NVIDIA B", "NVIDIA GPU"]
