"""Commands that are run when something happens."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from deepdupe_daemon.config.section import Number, Section, Text

__all__ = ["HOOK_EVENTS", "HookConfig", "HookEvent"]

#: the kinds of record that a hook may be given, by the word that `--json` shows as `kind`
HookEvent = Literal[
    "duplicate-found",
    "related-found",
    "quarantined",
    "quarantine-failed",
    "restored",
    "purged",
    "breaker-open",
    "file-failed",
    "root-offline",
    "root-back",
]
HOOK_EVENTS: tuple[str, ...] = get_args(HookEvent)


class HookConfig(Section):
    """A command that is given the record of an event as one JSON object on its standard input."""

    command: Annotated[tuple[Text, ...], Field(min_length=1)] = Field(
        description="The program, by its absolute path, and its arguments. No shell reads them.",
        examples=[["/usr/local/bin/tell-me", "--quiet"]],
    )
    events: Annotated[tuple[HookEvent, ...], Field(min_length=1)] = Field(
        default=("quarantined", "breaker-open"),
        description=f"When it is run, of {', '.join(HOOK_EVENTS[:-1])} and {HOOK_EVENTS[-1]}.",
    )
    timeout_s: Annotated[Number, Field(gt=0, le=3600)] = Field(
        default=30.0, description="Seconds after which the command is ended."
    )

    @field_validator("command")
    @classmethod
    def _absolute_program(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value[0].startswith("/"):
            raise ValueError(f"found the program {value[0]!r}; allowed: its absolute path, starting with /")
        return value
