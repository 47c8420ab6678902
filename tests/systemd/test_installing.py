"""`service install` and `service uninstall` in a machine that is thrown away: what they leave, and what they do not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from deepdupe_daemon.service.installing.interpreter import Interpreter
from tests.systemd.booted import Box, why_not
from tests.systemd.installed import HOME_ROOT, PROGRAM, UNIT, Installed
from tests.systemd.private_root import Plan

Eventually = Callable[..., None]

#: where an installation may put anything; and where the system's tools keep what follows from it
PLACES = ("/etc", "/usr/local", "/opt", "/home")
FOLLOWS = r"/(passwd|group|g?shadow|sub[ug]id)-?$|/etc/\.pwd\.lock$"


@pytest.fixture(scope="module")
def box(plan: Plan, interpreter: Interpreter) -> Iterator[Installed]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with Box(plan) as made:
        installed = Installed(made, interpreter)
        installed.prepare()
        yield installed


def files(box: Installed) -> set[str]:
    found = box.box.run("find", *PLACES, "-not", "-type", "d").splitlines()
    return {path for path in found if not re.search(FOLLOWS, path)}


def test_what_is_installed_and_what_is_left_when_it_is_uninstalled(box: Installed) -> None:
    before = files(box)
    planned = box.program("service", "install", "--in-place", "--enable", "--dry-run")
    assert files(box) == before, "a dry run changes nothing"
    done = box.install()
    assert [line.removeprefix("would ") for line in planned.splitlines()] == [
        line for line in done.splitlines() if not line.startswith(("next: ", "  not done"))
    ]
    added = files(box) - before
    assert added == {
        "/usr/local/lib/systemd/system/deepdupe-daemon.service",
        "/usr/local/lib/systemd/system/deepdupe-daemon@.service",
        "/usr/local/lib/systemd/catalog/deepdupe-daemon.catalog",
        "/usr/local/lib/sysusers.d/deepdupe-daemon.conf",
        "/etc/sysctl.d/60-deepdupe-daemon.conf",
        f"/etc/systemd/system/{UNIT}.d/40-cpu-only.conf",
        f"/etc/systemd/system/{UNIT}.d/50-watched-folders.conf",
        f"/etc/systemd/system/multi-user.target.wants/{UNIT}",
    }
    assert box.show("ActiveState", "UnitFileState") == {"ActiveState": "active", "UnitFileState": "enabled"}, box.log()
    assert "deepdupe" in box.box.run("getent", "passwd", "deepdupe")
    again = box.install()
    assert files(box) - before == added, again

    gone = box.program("service", "uninstall")
    assert files(box) == before
    assert box.show("ActiveState", "LoadState") == {"ActiveState": "inactive", "LoadState": "not-found"}, gone
    assert box.box.path("/var/lib/deepdupe-daemon/ledger.sqlite").exists(), "state stays"
    assert box.box.path("/etc/deepdupe-daemon/deepdupe.yaml").exists(), "configuration stays"


def test_systemd_has_nothing_to_say_against_the_installed_units_and_scores_them_low(box: Installed) -> None:
    box.install()
    for unit in (UNIT, "deepdupe-daemon@photos.service"):
        said = box.box.run("systemd-analyze", "verify", "--man=no", unit)
        assert [line for line in said.splitlines() if "deepdupe" in line] == []
    score = re.search(
        r"exposure level for \S+: ([\d.]+)", box.box.run("systemd-analyze", "security", "--no-pager", UNIT)
    )
    assert score is not None
    assert float(score[1]) <= 0.3, "with the drop-in for a machine without a GPU"


def test_a_second_configuration_is_an_instance_with_an_opening_of_its_own(box: Installed) -> None:
    before = files(box)
    box.install()
    box.box.path("/home/dan/Pictures").mkdir(parents=True, exist_ok=True)
    config = "/etc/deepdupe-daemon/dan.yaml"
    box.write(config, "roots: [{path: /home/dan/Pictures}]\nstate_dir: /var/lib/deepdupe-daemon/dan\n")
    box.box.path("/home/dan").chmod(0o700)
    said = box.install("--config", config)
    assert "deepdupe may not read it" in said, "which is told, with the remedy"
    box.box.path("/home/dan").chmod(0o755)
    assert "Pictures" in box.systemctl("show", "deepdupe-daemon@dan.service", "-p", "BindReadOnlyPaths")
    assert box.systemctl("is-active", "deepdupe-daemon@dan.service").strip() == "active", box.log()
    box.program("service", "uninstall")
    assert files(box) - before == {config}
    box.box.path(config).unlink()


def test_only_root_may_install_for_the_machine(box: Installed) -> None:
    said = box.box.run("setpriv", "--reuid=65534", f"{PROGRAM}/bin/deepdupe-daemon", "service", "install", check=False)
    assert "only root can do this" in said


def test_a_service_of_ones_own(box: Installed, eventually: Eventually) -> None:
    box.box.run("useradd", "--create-home", "--uid", "4242", "bea")
    box.box.run("install", "-d", "-o", "bea", "-m", "700", "/run/user/4242", "/home/bea/Pictures")
    manager = ("--unit=manager-of-bea", "--uid=bea", "-p", "Delegate=yes", "-p", "Type=notify")
    environment = ("HOME=/home/bea", "XDG_RUNTIME_DIR=/run/user/4242")
    variables = [word for each in environment for word in ("-E", each)]
    box.box.run("systemd-run", *manager, *variables, "/lib/systemd/systemd", "--user")

    def as_bea(*words: str, check: bool = True) -> str:
        return box.box.run("runuser", "-u", "bea", "--", "env", *environment, *words, check=check)

    box.write("/home/bea/d.yaml", "roots: [{path: ~/Pictures}]\nstate_dir: ~/.local/state/deepdupe-daemon\n")
    program = f"{PROGRAM}/bin/deepdupe-daemon"
    as_bea(program, "service", "install", "--user", "--in-place", "--enable", "--config", "/home/bea/d.yaml")
    assert as_bea("systemctl", "--user", "is-active", UNIT).strip() == "active"
    assert "running (pid" in as_bea(program, "status")
    as_bea("systemctl", "--user", "reload", UNIT)
    as_bea(program, "service", "uninstall", "--user")
    left = box.box.run("find", "/home/bea", "-name", "*deepdupe*").split()
    config, state = "/home/bea/.config/deepdupe-daemon", "/home/bea/.local/state/deepdupe-daemon"
    assert sorted(left) == [config, f"{config}/deepdupe.yaml", state]


def test_the_drop_in_opens_the_folders_as_they_are_named(box: Installed) -> None:
    box.install()
    text = box.box.path(f"/etc/systemd/system/{UNIT}.d/50-watched-folders.conf").read_text()
    shown = box.show("BindReadOnlyPaths")["BindReadOnlyPaths"]
    assert HOME_ROOT in shown.replace("\\", ""), text
