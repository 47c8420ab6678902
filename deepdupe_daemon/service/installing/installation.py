"""What is done to install a service, and to take it away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deepdupe_daemon.config import DEFAULT_STATE_DIR, Config
from deepdupe_daemon.errors import ConfigError, StateError
from deepdupe_daemon.service.installing.interpreter import in_a_home, suitable_interpreter
from deepdupe_daemon.service.installing.opening import drop_in_text, needs_gpu
from deepdupe_daemon.service.installing.program import (
    PROJECT,
    build_program,
    distributions_needed,
    is_checkout,
    remove_program,
)
from deepdupe_daemon.service.installing.step import Step, command, remove_file, write_file
from deepdupe_daemon.service.installing.target import CPU_ONLY, DROP_IN, UNIT, Target, shipped_units

__all__ = ["Wish", "installation", "removal", "systemd_version"]

_BUILT_IN_PREFIX = "/opt/deepdupe-daemon"
_USER = "deepdupe"
_SHIPPED_CPU_ONLY = "deepdupe-daemon-cpu.conf"
_CATALOG, _SYSUSERS, _SYSCTL = (f"deepdupe-daemon{end}" for end in (".catalog", ".sysusers.conf", ".sysctl.conf"))


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for. `source`: the configuration's file; `in_place`: the program stays where it is."""

    config: Config
    source: Path
    enable: bool = False
    in_place: bool = False
    run_as: str | None = None


def systemd_version() -> int:
    """The number of `systemctl --version`; 0 where there is none."""
    try:
        shown = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=True).stdout
        return int(shown.split()[1].split(".")[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return 0


def installation(target: Target, wish: Wish) -> list[Step]:
    """The steps, in order. Looks, and changes nothing. Raises ConfigError, StateError."""
    program = _program(target, wish)
    return [*program.steps, *_files(target, wish, program.prefix), *_told_to_systemd(target, wish)]


def removal(target: Target) -> list[Step]:
    """The steps that take away what `installation` put in place; state and configuration stay."""
    return list(_removed(target))


@dataclass(frozen=True, slots=True)
class _Program:
    prefix: Path
    steps: tuple[Step, ...]


def _program(target: Target, wish: Wish) -> _Program:
    units = shipped_units()
    if wish.in_place:
        prefix = Path(os.path.realpath(sys.prefix))
        if not (prefix / "bin" / PROJECT).exists():
            raise ConfigError("the running program has no folder of its own", where="--in-place")
        if is_checkout() or (not target.user and in_a_home(prefix)):
            raise ConfigError(
                f"{prefix} is a checkout or lies in a home, which a service must not depend on",
                where="--in-place",
                hint="without --in-place a copy is made",
            )
        return _Program(prefix, ())
    interpreter = suitable_interpreter()
    names = distributions_needed()

    def build() -> None:
        build_program(target.prefix, interpreter, names, units)

    python = "a copy of this Python" if interpreter.copied is not None else str(interpreter.executable)
    text = f"copy the program and the {len(names) - 1} packages that it needs to {target.prefix}, on {python}"
    return _Program(target.prefix, (Step(text, build),))


def _files(target: Target, wish: Wish, prefix: Path) -> Iterator[Step]:
    shipped = shipped_units()
    names = [f"user/{UNIT}"] if target.user else [UNIT, UNIT.replace(".", "@.")]
    for name in names:
        text = (shipped / name).read_text().replace(_BUILT_IN_PREFIX, str(prefix))
        yield write_file(target.units / Path(name).name, text)
    opened = drop_in_text(
        wish.config, target.config, user=target.user, run_as=wish.run_as, systemd_version=systemd_version()
    )
    yield write_file(target.drop_in, opened)
    if not target.user:
        cpu_only = target.drop_in.with_name(CPU_ONLY)
        if needs_gpu(wish.config):
            if cpu_only.exists():
                yield remove_file(cpu_only)
        else:
            yield write_file(cpu_only, (shipped / _SHIPPED_CPU_ONLY).read_text())
    if target.shared is not None and target.sysctl is not None:
        yield write_file(target.shared / "systemd/catalog" / _CATALOG, (shipped / _CATALOG).read_text())
        sysusers = target.shared / "sysusers.d/deepdupe-daemon.conf"
        yield write_file(sysusers, (shipped / _SYSUSERS).read_text())
        yield write_file(target.sysctl / "60-deepdupe-daemon.conf", (shipped / _SYSCTL).read_text())
    if wish.source != target.config:
        yield _configuration(wish.source, target.config)


def _configuration(source: Path, goal: Path) -> Step:
    text = source.read_text()
    if goal.exists() and goal.read_text() != text:
        raise ConfigError(
            f"there is another configuration already: {goal}",
            where=str(source),
            hint=f"change {goal}, or move it away",
        )
    step = write_file(goal, text)
    return Step(f"copy {source} to {goal}", step.do)


def _told_to_systemd(target: Target, wish: Wish) -> Iterator[Step]:
    if target.shared is not None and target.sysctl is not None:
        yield command("systemd-sysusers", str(target.shared / "sysusers.d/deepdupe-daemon.conf"))
        yield command("journalctl", "--update-catalog", may_fail=True)
        # in a container the kernel's settings are the host's
        yield command("sysctl", "--quiet", "--load", str(target.sysctl / "60-deepdupe-daemon.conf"), may_fail=True)
    yield command(*target.systemctl, "daemon-reload")
    if not target.user:
        yield from (_may_read(wish.run_as or _USER, root.path) for root in wish.config.roots)
    if wish.enable:
        yield command(*target.systemctl, "enable", "--now", target.unit)


def _may_read(user: str, folder: Path) -> Step:
    """No more than a word: a service that may not read a folder says so itself."""

    def do() -> None:
        words = ("runuser", "-u", user, "--", "test", "-r", str(folder), "-a", "-x", str(folder))
        if subprocess.run(words, capture_output=True, check=False).returncode != 0:
            hint = f"--run-as USER names one who may, or: setfacl -R -m u:{user}:rX,d:u:{user}:rX {folder}"
            raise StateError(f"{user} may not read it, or it is not there", where=str(folder), hint=hint)

    return Step(f"see whether {user} may read {folder}", do, may_fail=True)


def _removed(target: Target) -> Iterator[Step]:
    yield command(*target.systemctl, "disable", "--now", UNIT, may_fail=True)
    files = [target.units / UNIT]
    for folder in sorted(target.drop_ins.glob("deepdupe-daemon*.service.d")):
        files += [folder / DROP_IN, folder / CPU_ONLY]
    if not target.user:
        files.append(target.units / UNIT.replace(".", "@."))
        yield command(*target.systemctl, "stop", UNIT.replace(".", "@*."), may_fail=True)
        files += sorted(target.drop_ins.glob("*.wants/deepdupe-daemon@*.service"))
    if target.shared is not None and target.sysctl is not None:
        files += [
            target.shared / "systemd/catalog" / _CATALOG,
            target.shared / "sysusers.d/deepdupe-daemon.conf",
            target.sysctl / "60-deepdupe-daemon.conf",
        ]
    yield from (remove_file(path) for path in files if os.path.lexists(path))
    if target.prefix.exists():
        yield Step(f"remove {target.prefix}", lambda: remove_program(target.prefix))
    yield command(*target.systemctl, "daemon-reload", may_fail=True)
    if target.shared is not None:
        yield command("journalctl", "--update-catalog", may_fail=True)
        if not DEFAULT_STATE_DIR.exists():  # else somebody has to own it
            yield command("userdel", _USER, may_fail=True)
