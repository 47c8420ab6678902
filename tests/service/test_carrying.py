"""Quarantine as the service runs it: real folders in, files moved, alerts that say so, and what people ask of it."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepdupe_daemon.act import Kind, Priority, Record, quarantine_folder
from deepdupe_daemon.clock import ManualClock, SystemClock
from deepdupe_daemon.config import Config, load_config
from deepdupe_daemon.errors import ActionRefused, ControlError
from deepdupe_daemon.judge import JudgePolicy, PairEvidence, Ruling
from deepdupe_daemon.ledger import ActionState, Ledger
from deepdupe_daemon.model import FileState, VerdictClass
from deepdupe_daemon.service import ControlClient, open_quarantine_desk, quarantine_numbers
from deepdupe_daemon.service.carrying import Carrying
from deepdupe_daemon.service.switches import Switches, switches
from tests.conftest import Eventually
from tests.service.pictures import photo, save
from tests.service.service_thread import ServiceThread
from tests.service.test_pipeline import running

Write = Callable[..., Config]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


@pytest.fixture
def write(tmp_path: Path, photos: Path) -> Write:
    """A configuration file with `photos` quarantined from, and what else is given."""

    def write(more: str = "", *, action: str = "quarantine", wait_s: float = 0.0) -> Config:
        path = tmp_path / "deepdupe.yaml"
        path.write_text(
            f"roots:\n  - path: {photos}\n    action: {action}\nstate_dir: {tmp_path}/state\n"
            f"judge:\n  bundle_wait_s: {wait_s}\nchroma:\n  mode: 'off'\n{more}"
        )
        return load_config(path)

    return write


def numbers(config: Config) -> dict[str, Any]:
    with Ledger.open(config.state_dir, SystemClock(), readonly=True) as ledger:
        return quarantine_numbers(ledger)


def indexed(config: Config, files: int) -> bool:
    with Ledger.open(config.state_dir, SystemClock(), readonly=True) as ledger:
        return ledger.counts()[FileState.INDEXED] == files


def switched(config: Config, photos: Path) -> bool:
    """Whether what was there before the switch is known as that."""
    with Ledger.open(config.state_dir, SystemClock(), readonly=True) as ledger:
        switch = switches(ledger).get(os.fsencode(photos))
        return switch is not None and switch.walked_at_ns is not None


def begin(service: ServiceThread, config: Config, photos: Path, files: int, eventually: Eventually) -> None:
    """Wait until all that was there is judged, and the first walk since the switch is over."""
    eventually(lambda: indexed(config, files) and switched(config, photos), timeout_s=60)


def test_a_copy_that_arrives_is_moved_told_listed_and_restored_for_good(
    photos: Path, write: Write, tmp_path: Path, eventually: Eventually
) -> None:
    told = tmp_path / "told.jsonl"
    hook = tmp_path / "hook"
    hook.write_text(f"#!{sys.executable}\nimport sys\nopen({str(told)!r}, 'ab').write(sys.stdin.buffer.read())\n")
    hook.chmod(0o700)
    config = write(f"hooks:\n  - command: [{hook}]\n    events: [quarantined]\n")
    save(photo(1), photos / "old.png")
    shutil.copy(photos / "old.png", photos / "there-before.png")
    with running(config, eventually) as service:
        begin(service, config, photos, 2, eventually)
        save(photo(1), photos / "sub" / "new.jpg", quality=90)
        (moved,) = eventually(lambda: service.told(Kind.QUARANTINED), timeout_s=60)
        alerts = eventually(lambda: alerts_by_name(service, 2), timeout_s=60)
        assert alerts == {b"there-before.png": "observed", b"new.jpg": "quarantined"}
        assert "new.jpg is a copy of" in service.told(Kind.DUPLICATE_FOUND)[-1].message
        assert service.told(Kind.DUPLICATE_FOUND)[-1].message.endswith(", quarantined")
        assert (moved.fields["ACTION_ID"], moved.fields["VERDICT"]) == ("q1", "re-encoded")
        assert not (photos / "sub" / "new.jpg").exists()
        folder = Path(os.fsdecode(bytes(moved.fields["QUARANTINE"])))  # type: ignore[arg-type] # a path
        assert sorted(each.name for each in folder.iterdir()) == ["0.jpg", "manifest.json"]
        assert (photos / "there-before.png").exists(), "it was there before the switch"
        client = ControlClient.find(config)
        assert client is not None
        with pytest.raises(ControlError, match="there is no action q9"):
            client.request("quarantine-restore", action_id=9)
        with pytest.raises(ControlError, match="action_id must be a whole number"):
            client.request("quarantine-restore", action_id="1")
        assert len(client.request("quarantine-restore", action_id=1)["files"]) == 1
        eventually(lambda: indexed(config, 3), timeout_s=60)
        assert [record.fields["ACTION_ID"] for record in service.told(Kind.RESTORED)] == ["q1"]
        save(photo(2), photos / "other.png")
        eventually(lambda: indexed(config, 4), timeout_s=60)
        assert (photos / "sub" / "new.jpg").exists(), "it is not quarantined again"
        assert numbers(config) == {"actions": {"restored": 1}, "waiting": 0, "breaker": None}
        assert client.request("status")["quarantine"] == numbers(config)


def alerts_by_name(service: ServiceThread, count: int) -> dict[bytes, object] | None:
    records = service.told(Kind.DUPLICATE_FOUND)
    names = {os.path.basename(bytes(r.fields["PATH"])): r.fields["ACTION"] for r in records}  # type: ignore[arg-type]
    return names if len(names) == count else None


@pytest.mark.parametrize("action", ["observe", "protected"])
def test_no_other_folder_is_touched(action: str, photos: Path, write: Write, eventually: Eventually) -> None:
    config = write(action=action)
    save(photo(1), photos / "old.png")
    with running(config, eventually) as service:
        eventually(lambda: indexed(config, 1), timeout_s=60)
        shutil.copy(photos / "old.png", photos / "new.png")
        (alert,) = eventually(lambda: service.told(Kind.DUPLICATE_FOUND), timeout_s=60)
    assert alert.fields["ACTION"] == "observed"
    assert sorted(each.name for each in photos.iterdir()) == ["new.png", "old.png"]


def test_the_breaker_stops_stays_over_a_restart_and_lets_go_when_told(
    photos: Path, write: Write, eventually: Eventually
) -> None:
    config = write("quarantine:\n  breaker:\n    most: 2\n    most_share: 1\n")
    for seed in range(5):
        save(photo(seed), photos / f"{seed}.png")
    with running(config, eventually) as service:
        begin(service, config, photos, 5, eventually)
        for seed in range(5):
            shutil.copy(photos / f"{seed}.png", photos / f"{seed}-copy.png")
        eventually(lambda: alerts_by_name(service, 5), timeout_s=60)
        alerts = alerts_by_name(service, 5)
        assert sorted(map(str, (alerts or {}).values())) == ["held", "held", "held", "quarantined", "quarantined"]
        (stop,) = service.told(Kind.BREAKER_OPEN)
        assert "2 files were quarantined within the last hour" in stop.message
        assert "-copy.png (identical-bytes), a copy of" in stop.message
        assert len(list(photos.glob("*-copy.png"))) == 3
    with running(config, eventually) as service:
        found = numbers(config)
        assert (found["waiting"], found["actions"]) == (3, {"quarantined": 2})
        assert "quarantine.breaker.most" in found["breaker"]["reason"]
        with open_quarantine_desk(config, SystemClock(), lambda _record: None) as desk:
            answer = desk.resume(discard=False)
            assert (answer["was_open"], answer["waiting"]) == (True, 3)
            eventually(lambda: numbers(config)["breaker"], timeout_s=60)
            assert numbers(config)["actions"] == {"quarantined": 4}, "two more, and it stops again"
            assert desk.resume(discard=True)["waiting"] == 1
        assert numbers(config) == {"actions": {"quarantined": 4}, "waiting": 0, "breaker": None}
        assert service.told(Kind.DUPLICATE_FOUND) == [], "they were told of before"
    assert len(list(photos.glob("*-copy.png"))) == 1


def test_the_breaker_bounds_what_a_mistaken_threshold_does(
    photos: Path, write: Write, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is proposed is taken for the same picture."""

    def mistaken(_evidence: PairEvidence, _policy: JudgePolicy) -> Ruling:
        return Ruling(VerdictClass.IDENTICAL_PIXELS, (), "a mistake")

    for module in ("examiner", "neighbourhood"):
        monkeypatch.setattr(f"deepdupe_daemon.service.{module}.decide", mistaken)
        monkeypatch.setattr(f"deepdupe_daemon.service.{module}.proposed", lambda _evidence, _policy: True)
    for module in ("proofs", "neighbourhood"):
        monkeypatch.setattr(f"deepdupe_daemon.service.{module}.needs", lambda _evidence, _policy: None)
    config = write(
        "quarantine:\n  breaker:\n    most: 5\n    most_share: 1\nmodels:\n  - name: pdq\n    threshold: 0.01\n"
    )
    save(photo(0), photos / "first.png")
    with running(config, eventually) as service:
        begin(service, config, photos, 1, eventually)
        for seed in range(1, 21):
            save(photo(seed), photos / f"{seed}.png")
        (stop,) = eventually(lambda: service.told(Kind.BREAKER_OPEN), timeout_s=120)
        eventually(lambda: not_judged(config) == 0, timeout_s=120)
    assert numbers(config)["actions"] == {"quarantined": 5}
    assert len(list(photos.glob("*.png"))) == 16, "a mistake costs five moves, and each can be undone"
    assert (stop.level, stop.fields["REASON"]) == (
        Priority.CRITICAL,
        "5 files were quarantined within the last hour (quarantine.breaker.most)",
    )
    with open_quarantine_desk(config, SystemClock(), lambda _record: None) as desk:
        for action_id in range(1, 6):
            desk.restore(action_id, free_name=False)
    assert len(list(photos.glob("*.png"))) == 21


def not_judged(config: Config) -> int:
    with Ledger.open(config.state_dir, SystemClock(), readonly=True) as ledger:
        counts = ledger.counts()
        return counts[FileState.PENDING] + counts[FileState.SEEN]


def test_what_cannot_be_moved_stays_and_is_told_once(photos: Path, write: Write, eventually: Eventually) -> None:
    config = write()
    save(photo(1), photos / "old.png")
    with running(config, eventually) as service:
        begin(service, config, photos, 1, eventually)
        shutil.copy(photos / "old.png", photos.parent / "new.png")
        os.link(photos.parent / "new.png", photos.parent / "second-name.png")
        (photos.parent / "new.png").rename(photos / "new.png")
        (failed,) = eventually(lambda: service.told(Kind.QUARANTINE_FAILED), timeout_s=60)
        (alert,) = eventually(lambda: service.told(Kind.DUPLICATE_FOUND), timeout_s=60)
    assert (failed.fields["FAILURE"], failed.fields["ACTION"]) == ("hard-linked", "refused")
    assert alert.fields["ACTION"] == "refused"
    assert (photos / "new.png").exists()


def test_an_order_waits_for_late_members_of_its_bundle(photos: Path, write: Write, eventually: Eventually) -> None:
    config = write(wait_s=2.0)
    save(photo(1), photos / "old.png")
    with running(config, eventually) as service:
        begin(service, config, photos, 1, eventually)
        shutil.copy(photos / "old.png", photos / "new.png")
        (alert,) = eventually(lambda: service.told(Kind.DUPLICATE_FOUND), timeout_s=60)
        assert alert.fields["ACTION"] == "held"
        eventually(lambda: service.told(Kind.QUARANTINED), timeout_s=60)
    assert not (photos / "new.png").exists()


def test_a_person_quarantines_what_was_there_before_without_a_daemon(
    photos: Path, write: Write, eventually: Eventually
) -> None:
    config = write()
    save(photo(1), photos / "a.png")
    shutil.copy(photos / "a.png", photos / "copy.png")
    with running(config, eventually):
        eventually(lambda: indexed(config, 2), timeout_s=60)
    records: list[Record] = []
    with open_quarantine_desk(config, SystemClock(), records.append) as desk:
        assert desk.add([1])["orders"] == [[1, "quarantined", None]]
        assert [record.kind for record in records] == [Kind.QUARANTINED]
        assert not (photos / "copy.png").exists()
        with pytest.raises(ActionRefused, match="no action q5"):
            desk.purge(5)
        assert desk.purge(1)["freed_bytes"] > 0
    assert list(Path(os.fsdecode(quarantine_folder(os.fsencode(photos)))).iterdir()) == []


def test_an_unplugged_folder_waits(tmp_path: Path, photos: Path, write: Write, eventually: Eventually) -> None:
    """No action while a root is away, and none of its orders is lost."""
    config = write()
    save(photo(1), photos / "a.png")
    shutil.copy(photos / "a.png", photos / "copy.png")
    with running(config, eventually):
        eventually(lambda: indexed(config, 2), timeout_s=60)
    clock = SystemClock()
    away = [os.fsencode(photos)]
    records: list[Record] = []
    settled = threading.Event()
    carrying = Carrying(
        config,
        open_ledger=lambda: Ledger.open(config.state_dir, clock),
        emit=records.append,
        clock=clock,
        on_settled=settled.set,
        away=lambda: away,
    )
    with Ledger.open(config.state_dir, clock) as ledger:
        ledger.place_orders([(1, os.fsencode(photos))])
        thread = threading.Thread(target=carrying.run)
        thread.start()
        try:
            assert settled.wait(60)
            assert carrying.ask(lambda carrier: carrier.ledger.open_orders()) == 1
            assert (photos / "copy.png").exists()
            away.clear()
            carrying.poke()
            eventually(lambda: ledger.open_orders() == 0, timeout_s=60)
        finally:
            carrying.stop()
            thread.join(60)
    assert [record.kind for record in records] == [Kind.QUARANTINED]
    with pytest.raises(ControlError, match="stopping"):
        carrying.ask(lambda carrier: carrier.next_due_s())


def test_a_switch_is_remembered_until_it_is_switched_off(tmp_path: Path, photos: Path, write: Write) -> None:
    clock = ManualClock()
    config = write()
    root = os.fsencode(photos)
    with Ledger.open(tmp_path / "state", clock) as ledger:
        here = Switches(config.roots, clock)
        here.note(ledger)
        began = switches(ledger)[root]
        assert (began.since_ns, began.walked_at_ns) == (clock.now_ns(), None)
        clock.advance(5.0)
        here.note(ledger)
        here.note_walked(ledger, [root])
        assert switches(ledger) == {root: began}, "it is away: nothing of it was walked"
        here.note_walked(ledger, [])
        walked = switches(ledger)[root]
        assert (walked.since_ns, walked.walked_at_ns) == (began.since_ns, clock.now_ns())
        clock.advance(5.0)
        here.note_walked(ledger, [])
        Switches(config.roots, clock, acting=False).note(ledger)
        assert switches(ledger) == {root: walked}
        Switches(write(action="observe").roots, clock).note(ledger)
        assert switches(ledger) == {}
        assert not Switches(config.roots, clock, acting=False).any, "a scan moves nothing"


def test_retention_deletes_what_is_old_and_nothing_where_it_is_off(
    photos: Path, write: Write, eventually: Eventually
) -> None:
    from deepdupe_daemon.service.carrier import Carrier

    plain, kept = write(), write("quarantine:\n  retention_days: 30\n")
    save(photo(1), photos / "a.png")
    shutil.copy(photos / "a.png", photos / "copy.png")
    with running(plain, eventually):
        eventually(lambda: indexed(plain, 2), timeout_s=60)
    clock = ManualClock(now_ns=SystemClock().now_ns())
    records: list[Record] = []
    with Ledger.open(plain.state_dir, clock) as ledger:
        Carrier(plain, ledger, clock, records.append).carry_now([1])
        for days, config, state in ((40, plain, "quarantined"), (0, kept, "purged")):
            clock.advance(days * 86_400.0)
            Carrier(config, ledger, clock, records.append).look_after()
            assert [str(action.state) for action in ledger.actions()] == [state]
    assert [record.kind for record in records] == [Kind.QUARANTINED, Kind.PURGED]
    assert ActionState.PURGED.value in str(records[-1].fields["ACTION"])
