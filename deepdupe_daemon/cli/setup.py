"""`setup`: a few questions, and a configuration file with every key explained."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepdupe_daemon.cli.gpus import gpu_names
from deepdupe_daemon.cli.model_menu import ask_embedding, ask_model, menu, selection_text
from deepdupe_daemon.cli.options import SYSTEM_CONFIG
from deepdupe_daemon.cli.processor import half_precision_remark
from deepdupe_daemon.cli.questions import Cancelled, Questions
from deepdupe_daemon.cli.setup_answers import Answers, check_answers, make_config
from deepdupe_daemon.cli.setup_weights import bring_weights
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.weights_place import service_environ
from deepdupe_daemon.errors import ConfigError

if TYPE_CHECKING:
    from deepdupe_daemon.config import ModelConfig
    from deepdupe_daemon.vision import Preset

__all__ = ["setup"]

_HEAD = """\
# Configuration of deepdupe-daemon, written by: deepdupe-daemon setup
# Every key is here. Check it after a change: deepdupe-daemon config check FILE
"""


def setup(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="Where to write the configuration.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", metavar="NAME", help="A preset.")] = None,
    embedding: Annotated[
        str | None, typer.Option(metavar="TYPE", help="final, hidden or both, for models that have several.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="TAG|PATH", help="A weights tag of the preset, or a local checkpoint.")
    ] = None,
    device: Annotated[str | None, typer.Option(metavar="DEVICE", help="auto, cpu, cuda or cuda:N.")] = None,
    precision: Annotated[str | None, typer.Option(metavar="TYPE", help="auto, fp16, bf16 or fp32.")] = None,
    folder: Annotated[list[str] | None, typer.Option(metavar="DIR", help="A folder to watch. Repeatable.")] = None,
    action: Annotated[str | None, typer.Option(metavar="ACTION", help="observe, quarantine or protected.")] = None,
    state_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to keep what is known.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: the defaults for what is not given.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Ask a few questions, and write the configuration.

    Each question has an option, so that a script can answer; what is not given is asked for, in a terminal.
    """
    shell: Shell = ctx.obj
    target = Path(os.path.abspath(config or _default_target(shell.environ)))
    questions = None if yes or not shell.stdin.isatty() else Questions(shell)
    overwrite = _may_write(target, questions, overwrite=overwrite)
    given = Answers(
        folders=tuple(folder or ()),
        model=model,
        embedding=embedding,
        weights=weights,
        device=device,
        precision=precision,
        action=action,
        state_dir=state_dir or _default_state_dir(shell.environ),
    )
    answers = given if questions is None else _ask(given, questions, shell)
    model_config = _write(target, answers, shell, overwrite=overwrite)
    shell.line(f"written: {target}")
    quoted = shlex.quote(os.fspath(target))
    if not bring_weights(model_config, questions, shell):
        shell.line(f"first: deepdupe-daemon models fetch {model_config.name} --config {quoted}")
    shell.line(f"next: deepdupe-daemon run --config {quoted}")


def _ask(given: Answers, questions: Questions, shell: Shell) -> Answers:
    """The answers to what was not given."""
    preset = _preset(given.model) if given.model is not None else ask_model(questions)
    questions.say("\n" + selection_text(preset))
    embedding = given.embedding or ask_embedding(questions, preset)
    device, precision = given.device, given.precision
    gpus = gpu_names() if preset.name != "pdq" else []
    for number, name in enumerate(gpus):
        questions.say(f"\nFound cuda:{number}: {name}")
    if preset.name != "pdq" and not gpus:
        questions.say(f"\nFound no GPU: the model runs on the processor, which is slower{half_precision_remark()}")
    if gpus and device is None:
        device = questions.ask("Device (auto, cpu, cuda:N)", default="auto")
    if gpus and precision is None:
        precision = questions.ask("Precision (auto, fp16, bf16, fp32)", default="auto")
    folders = given.folders or _ask_folders(questions, given, shell)
    action = given.action
    if action is None:
        kinds = ["observe", "protected", "quarantine"]
        texts = [
            "Observe: tell of duplicates, move nothing",
            "Protected: move nothing, and these pictures are always kept",
            "Quarantine: move proven duplicates that arrive to .deepdupe-quarantine, from where they can be restored",
        ]
        action = kinds[questions.choose("Action", texts, what="action")]
    return Answers(folders, preset.name, embedding, given.weights, device, precision, action, given.state_dir)


def _ask_folders(questions: Questions, given: Answers, shell: Shell) -> tuple[str, ...]:
    folders: list[str] = []
    questions.say("\n--- Folders ---")
    while True:

        def accept(answer: str) -> None:
            if answer:
                check_answers([*folders, answer], given.state_dir, shell.environ)
            elif not folders:
                raise ConfigError("at least one folder is needed")

        more = "Another folder to watch (empty: no more)" if folders else "Folder to watch"
        answer = questions.until_fine(more, accept)
        if not answer:
            return tuple(folders)
        folders.append(answer)


def _preset(name: str) -> Preset:
    known = {each.name: each for each in menu()}
    if name not in known:
        raise ConfigError(f"found {name!r}; allowed: {', '.join(known)}", where="--model")
    return known[name]


def _may_write(target: Path, questions: Questions | None, *, overwrite: bool) -> bool:
    """Whether a file there is to be replaced. Raises where there is one and nobody said so."""
    if overwrite or not os.path.lexists(target):
        return overwrite
    if questions is None:
        raise ConfigError("there is a file already", where=os.fspath(target), hint="--overwrite replaces it")
    if not questions.confirm(f"{target} is there already. Replace it?"):
        raise Cancelled("nothing was written")
    return True


def _write(target: Path, answers: Answers, shell: Shell, *, overwrite: bool) -> ModelConfig:
    """Write the file; the model that it names. Raises before that where these weights can never be used."""
    from deepdupe_daemon.cli.new_file import write_new_file
    from deepdupe_daemon.config import commented_yaml
    from deepdupe_daemon.vision import weights_at_hand, with_fetched_file

    _preset(answers.model or menu()[0].name)
    environ = service_environ(shell.environ)
    config = make_config(answers, default_model=menu()[0].name)
    model = with_fetched_file(config.models[0], environ)
    weights_at_hand(model, environ=environ)
    config = config.model_copy(update={"models": (model,)})
    write_new_file(target, commented_yaml(config, head=_HEAD), overwrite=overwrite)
    return model


def _default_target(environ: Mapping[str, str]) -> Path:
    """The system's configuration for root, else the person's own (XDG Base Directory specification 0.8)."""
    if os.geteuid() == 0:
        return SYSTEM_CONFIG
    config_home = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(config_home):
        config_home = os.path.join(environ.get("HOME", "") or os.path.expanduser("~"), ".config")
    return Path(config_home, "deepdupe-daemon", "deepdupe.yaml")


def _default_state_dir(environ: Mapping[str, str]) -> Path:
    from deepdupe_daemon.config import DEFAULT_STATE_DIR, user_state_dir

    return DEFAULT_STATE_DIR if os.geteuid() == 0 else user_state_dir(environ)
