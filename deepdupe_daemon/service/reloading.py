"""From the configuration in force to another one: what changes at once, and what needs a restart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deepdupe_daemon.config import Config, ModelConfig

__all__ = ["Reload", "plan_reload"]

#: sections that a running service takes over; whatever stands neither here nor below needs a restart
LIVE = ("roots", "judge", "match", "quarantine", "log_level")
#: keys of other sections that it takes over
LIVE_KEYS = {
    "alerts": ("classes",),
    "intake": ("settle_s", "close_settle_s", "rescan_interval_s", "include", "exclude"),
}


@dataclass(frozen=True, slots=True)
class Reload:
    """`config` is what will be in force: the wanted one, with the old values where a restart is needed.

    `changed` and `needs_restart` name keys as they stand in the file (`judge.pdq_max_distance`).
    """

    config: Config
    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]

    @property
    def text(self) -> str:
        """One sentence for people."""
        parts = [f"now in force: {', '.join(self.changed)}"] if self.changed else ["nothing changed"]
        if self.needs_restart:
            parts.append(f"needs a restart: {', '.join(self.needs_restart)}")
        return "; ".join(parts)


def plan_reload(running: Config, wanted: Config) -> Reload:
    """What of `wanted` can take effect without unloading a model. Changes nothing."""
    taken: dict[str, Any] = {}
    changed: list[str] = []
    waiting: list[str] = []
    same_models = [_untuned(model) for model in running.models] == [_untuned(model) for model in wanted.models]
    for name in Config.model_fields:
        old, new = getattr(running, name), getattr(wanted, name)
        if old == new:
            continue
        if name == "models":
            if same_models:
                taken[name] = new
                changed += [f"models.{model.name}.threshold" for model in _retuned(running.models, wanted.models)]
            else:
                waiting.append(name)
        elif name == "match" and not same_models:  # it may name spaces of models that are not loaded
            waiting.append(name)
        elif name in LIVE:
            taken[name] = new
            changed += _keys(name, old, new)
        else:
            keys = _keys(name, old, new)
            live = [key for key in LIVE_KEYS.get(name, ()) if f"{name}.{key}" in keys]
            if live:
                taken[name] = old.model_copy(update={key: getattr(new, key) for key in live})
            changed += [f"{name}.{key}" for key in live]
            waiting += [key for key in keys if key.rpartition(".")[2] not in live]
    return Reload(running.model_copy(update=taken), tuple(changed), tuple(waiting))


def _untuned(model: ModelConfig) -> ModelConfig:
    return model.model_copy(update={"threshold": None})


def _retuned(old: Sequence[ModelConfig], new: Sequence[ModelConfig]) -> list[ModelConfig]:
    return [after for before, after in zip(old, new, strict=True) if before != after]


def _keys(name: str, old: object, new: object) -> list[str]:
    """The keys of a section that differ; the name itself where it is no section."""
    fields = getattr(type(new), "model_fields", None)
    if fields is None or type(old) is not type(new):
        return [name]
    return [f"{name}.{key}" for key in fields if getattr(old, key) != getattr(new, key)]
