"""The end of `setup`: are the weights there, and shall they be fetched now?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdupe_daemon.cli.download_view import download_view
from deepdupe_daemon.cli.failure import exit_code_of
from deepdupe_daemon.cli.questions import Cancelled, Questions
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.weights_place import service_environ
from deepdupe_daemon.errors import ModelError

if TYPE_CHECKING:
    from deepdupe_daemon.config import ModelConfig

__all__ = ["bring_weights"]


def bring_weights(model: ModelConfig, questions: Questions | None, shell: Shell) -> bool:
    """Whether the model's weights are on disk, at the end: where they are not, a person is asked whether to fetch them.

    A fetch that fails is told, and is no failure of the set-up: the configuration is written.
    """
    from deepdupe_daemon.vision import fetch_model, weights_at_hand

    environ = service_environ(shell.environ)
    if weights_at_hand(model, environ=environ):
        return True
    if questions is None or not _agreed(model, questions):
        return False
    try:
        with download_view(shell) as show:
            fetched = fetch_model(model, environ=environ, on_progress=show)
    except ModelError as problem:
        exit_code_of(problem, shell)
        return False
    shell.remark(f"{model.name}: {fetched.bytes / 1e6:,.0f} MB, SHA-256 {fetched.sha256}")
    return True


def _agreed(model: ModelConfig, questions: Questions) -> bool:
    try:
        return questions.confirm(f"\nThe weights of {model.name} are not on disk. Download them now?")
    except Cancelled:  # the file is written, and stays
        return False
