"""The watchdog's ping stands for progress: each stage that hangs is found, and none that only rests or is slow."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.act import Kind, Record
from deepdupe_daemon.clock import ManualClock, SystemClock
from deepdupe_daemon.config import config_for_folders
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.service import supervisor as supervising
from deepdupe_daemon.service.loading import resident_models
from deepdupe_daemon.service.notify import Notifier
from deepdupe_daemon.service.sinks import CallbackSink
from deepdupe_daemon.service.supervisor import Supervisor
from deepdupe_daemon.service.vitals import Vital, Vitals, stack_of
from tests.service.pictures import photo, save

Eventually = Callable[..., None]


def vital(progress: int, *, stage: str = "forward", busy: bool = True) -> Vital:
    return Vital(stage, stage, busy, progress, patience_s=60.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def after(clock: ManualClock, vitals: Vitals, seconds: int, of: list[Vital]) -> str | None:
    """What a look every second says at the end."""
    hung = None
    for _ in range(seconds):
        clock.advance(1.0)
        hung = vitals.look(of)
    return hung.vital.stage if hung is not None else None


def test_a_stage_with_work_that_does_not_move_hangs(clock: ManualClock) -> None:
    vitals = Vitals(clock)
    assert after(clock, vitals, 60, [vital(7)]) is None
    assert after(clock, vitals, 3, [vital(7)]) == "forward"


def test_a_stage_without_work_never_hangs(clock: ManualClock) -> None:
    assert after(clock, Vitals(clock), 1000, [vital(7, busy=False)]) is None


def test_one_that_moves_now_and_then_does_not_hang(clock: ManualClock) -> None:
    vitals = Vitals(clock)
    for step in range(5):
        assert after(clock, vitals, 55, [vital(step)]) is None


def test_the_time_begins_anew_with_the_work(clock: ManualClock) -> None:
    vitals = Vitals(clock)
    after(clock, vitals, 500, [vital(7, busy=False)])
    assert after(clock, vitals, 59, [vital(7)]) is None


def test_the_end_of_the_pipeline_is_named_before_what_it_holds_up(clock: ManualClock) -> None:
    both = [vital(1, stage="judging"), vital(1, stage="decoding")]
    assert after(clock, Vitals(clock), 70, both) == "judging"


def test_a_pause_of_the_whole_process_is_no_stages_fault(clock: ManualClock) -> None:
    vitals = Vitals(clock)
    vitals.look([vital(7)])
    clock.advance(3600.0)  # SIGSTOP, or a suspended machine
    assert vitals.look([vital(7)]) is None


def test_the_stack_of_a_hanging_thread_says_where_it_is(eventually: Eventually) -> None:
    never = threading.Event()
    thread = threading.Thread(target=never.wait, name="stuck-here")
    thread.start()
    try:
        eventually(lambda: "wait" in stack_of("stuck"), timeout_s=60)
    finally:
        never.set()
        thread.join()
    assert stack_of("stuck") == ""


# -- in a real service ------------------------------------------------------------------------------------------------


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def heard(manager: socket.socket) -> list[str]:
    lines: list[str] = []
    while True:
        try:
            lines += manager.recv(4096).decode().split("\n")
        except BlockingIOError:
            return lines


def test_a_hanging_stage_stops_the_pings_is_told_with_its_stack_and_has_systemd_act(
    tmp_path: Path, manager: socket.socket, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    config = config_for_folders([photos], state_dir=tmp_path / "state", environ={})
    records: list[Record] = []
    monkeypatch.setattr(supervising, "STEP_S", 1.0)
    supervisor = Supervisor(
        config,
        clock=SystemClock(),
        sink=CallbackSink(records.append),
        notifier=Notifier(str(tmp_path / "notify"), watchdog_interval_s=0.5),
        models=resident_models(config, {}),
        watch=True,
    )
    release = threading.Event()
    whole = Ledger.record_judged

    def stuck(*arguments: object, **keywords: object) -> object:
        release.wait(120)
        return whole(*arguments, **keywords)  # type: ignore[arg-type]

    said: list[str] = []

    def hear(line: str) -> bool:
        said.extend(heard(manager))
        return line in said

    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        eventually(lambda: hear("READY=1"), timeout_s=60)
        eventually(lambda: hear("WATCHDOG=1"), timeout_s=60)
        monkeypatch.setattr(Ledger, "record_judged", stuck)
        save(photo(1), photos / "a.png")
        eventually(lambda: hear("WATCHDOG=trigger"), timeout_s=60)
        (told,) = [record for record in records if record.kind is Kind.STAGE_HUNG]
        assert told.fields["STAGE"] == "judging"
        assert "in stuck" in str(told.fields["TRACEBACK"])
        heard(manager)
        said.clear()
        release.set()  # nothing restarts it here: it goes on, and so do the pings
        eventually(lambda: hear("WATCHDOG=1"), timeout_s=60)
    finally:
        release.set()
        supervisor.stop()
        thread.join(60)
    assert hear("STOPPING=1")
    assert len([record for record in records if record.kind is Kind.STAGE_HUNG]) == 1
