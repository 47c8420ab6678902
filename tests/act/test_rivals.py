"""Several daemons, each with a ledger of its own, that judge the same files at the same time: one copy rests always."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.act.moving import move_in
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.ledger import VerdictRow
from tests.act.ground import Ground, tree

ROUNDS = 12
#: words that a rival may hear; anything else would be a fault
EXPECTED = {"busy", "gone", "changed", "keeper-gone", "keeper-changed"}


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Callable[[int], list[Ground]]]:
    made: list[Ground] = []

    def make(count: int) -> list[Ground]:
        for number in range(count):
            folder = tmp_path / f"daemon-{number}"
            folder.mkdir()
            made.append(Ground(folder, root=tmp_path / "photos"))
        return made

    yield make
    for ground in made:
        ground.close()


def race(actors: list[tuple[Ground, VerdictRow]]) -> list[str]:
    """Let each carry out its action in a process of its own, all let go at once; what each came to."""
    gate_read, gate_write = os.pipe()
    children = []
    for ground, verdict in actors:
        intent = ground.plan(verdict)
        row = ground.ledger.record_intent(intent)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            signal.alarm(120)
            word = "died"
            try:
                os.close(gate_write)
                os.read(gate_read, 1)
                move_in(row, 0)
                word = "moved"
            except ActionRefused as refused:
                word = refused.kind
            finally:
                os.write(write, word.encode())
                os._exit(0)
        os.close(write)
        children.append((pid, read, ground, row))
    os.close(gate_read)
    os.close(gate_write)  # the end of the pipe is the signal: all read it at once
    words = []
    for pid, read, ground, row in children:
        with open(read, "rb") as pipe:
            word = pipe.read().decode()
        os.waitpid(pid, 0)
        if word == "moved":
            ground.ledger.mark_moved(row.action_id)
        else:
            ground.ledger.abandon(row.action_id, word, word)
        words.append(word)
    return words


def test_two_daemons_never_take_one_each_of_a_pair(daemons: Callable[[int], list[Ground]]) -> None:
    one, two = daemons(2)
    taken = 0
    for number in range(ROUNDS):
        names = [f"{number}/a.jpg", f"{number}/b.jpg"]
        content = [name.encode() * 4000 for name in names]
        a, b = (one.file(name, bytes_) for name, bytes_ in zip(names, content, strict=True))
        other_a, other_b = two.see(a.key.path), two.see(b.key.path)
        words = race([(one, one.judge(a, b)), (two, two.judge(other_b, other_a))])
        assert words.count("moved") <= 1, words
        assert set(words) <= EXPECTED | {"moved"}
        in_place = [path for path in (a.key.path, b.key.path) if os.path.lexists(path)]
        assert len(in_place) == 2 - words.count("moved")
        taken += words.count("moved")
    assert taken > 0, "locks in one order: one of two always goes on, unless both are refused by an unlucky instant"


def test_two_daemons_that_take_the_same_copy(daemons: Callable[[int], list[Ground]]) -> None:
    one, two = daemons(2)
    for number in range(ROUNDS):
        a, b = one.file(f"{number}/a.jpg", b"a%d" % number * 999), one.file(f"{number}/b.jpg", b"b%d" % number * 999)
        words = race([(one, one.judge(a, b)), (two, two.judge(two.see(a.key.path), two.see(b.key.path)))])
        assert words.count("moved") == 1, words
        assert set(words) <= EXPECTED | {"moved"}
    assert len(tree(one.root)) == 2 * ROUNDS


def test_of_a_ring_of_copies_one_rests(daemons: Callable[[int], list[Ground]]) -> None:
    """Each of four daemons would take one of four copies, and keep by the next."""
    grounds = daemons(4)
    for number in range(ROUNDS // 3):
        names = [f"{number}/{letter}.jpg" for letter in "abcd"]
        paths = [grounds[0].file(name, b"the same %d" % number * 999).key.path for name in names]
        actors = []
        for at, ground in enumerate(grounds):
            rows = [ground.see(path) for path in paths]
            actors.append((ground, ground.judge(rows[at], rows[(at + 1) % 4])))
        words = race(actors)
        resting = [path for path in paths if os.path.lexists(path)]
        assert len(resting) == 4 - words.count("moved")
        assert resting, words
        assert set(words) <= EXPECTED | {"moved"}


def test_a_file_that_another_program_has_locked_waits(daemons: Callable[[int], list[Ground]]) -> None:
    [ground] = daemons(1)
    verdict = ground.pair()
    with open(verdict.verdict.keeper.path, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ActionRefused) as caught:
            ground.move(verdict)
    assert (caught.value.kind, caught.value.retry) == ("busy", True)
    assert ground.move(verdict).moved_at_ns
