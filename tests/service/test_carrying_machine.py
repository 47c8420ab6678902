"""Any course of events around the quarantine, against a plain account of what people put where.

Files come, change, move and go in two roots, people restore, mark and resume, the service stops and starts, and the
steps of its work (look, judge, order, carry) come in between in any order: the real ledger, the real quarantine, real
files, and a model that sees a picture by its first letter.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from deepdupe_daemon.act import Record, Taken, quarantine
from deepdupe_daemon.clock import ManualClock, SystemClock
from deepdupe_daemon.config import BreakerConfig, Config, JudgeConfig, QuarantineConfig, RootConfig
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.ledger import ActionState, FileRow, Ledger
from deepdupe_daemon.model import Arrival, FileIdentity, FileKey, Verdict, VerdictClass
from deepdupe_daemon.service.alerter import Alerter
from deepdupe_daemon.service.carrier import Carrier
from deepdupe_daemon.service.switches import Switches
from tests.ledger.build import SPACE, digest_of, seen

#: (root, name): the inbox is quarantined from, the archive is protected
INBOX = [("inbox", name) for name in ("a.jpg", "b.jpg", "c.jpg", "sub/d.jpg", "sub/e.jpg")]
PLACES = [*INBOX, ("archive", "a.jpg"), ("archive", "sub/f.jpg")]
places = st.sampled_from(PLACES)
inboxes = st.sampled_from(INBOX)
pictures = st.sampled_from("xy")
variants = st.sampled_from("01")
#: which of those that are there; drawn whatever is there, since real inodes make no two runs quite alike
numbers = st.integers(0, 9)

Place = tuple[str, str]

#: what the breaker lets through within a minute
MOST = 4


class Killed(BaseException):
    """SIGKILL, as far as one thread can play it: what is on the disk and in the ledger stays as it is."""


class World(RuleBasedStateMachine):
    """`account`: what people put where and did not take away, by place; the service may only move it, and only into
    quarantine. A content is a picture's letter, a variant of its bytes and a number, as `x1`."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="carrying-"))
        for root in ("inbox", "archive"):
            (self.folder / root / "sub").mkdir(parents=True)
        # ahead of the kernel's, by which bundles know how long a file has been quiet
        self.clock = ManualClock(now_ns=SystemClock().now_ns() + 10**12)
        self.account: dict[Place, str] = {}
        self.taken: dict[int, tuple[Place, str]] = {}  # action id -> what rests in quarantine
        self.old: set[Place] = set()  # there before the switch, and not touched since
        self.returned: set[Place] = set()  # brought back, and not touched since
        self.asked: set[int] = set()  # verdicts that a person had acted on
        self.records: list[Record] = []
        self.config = Config(
            roots=(
                RootConfig(path=self.folder / "inbox", action="quarantine"),
                RootConfig(path=self.folder / "archive", action="protected"),
            ),
            state_dir=self.folder / "state",
            judge=JudgeConfig(bundle_wait_s=0.0),
            quarantine=QuarantineConfig(breaker=BreakerConfig(most=MOST, most_share=1.0, interval_s=60.0)),
        )
        self.open()

    def open(self) -> None:
        self.ledger = Ledger.open(self.config.state_dir, self.clock)
        self.ledger.ensure_space(SPACE)
        self.switches = Switches(self.config.roots, self.clock)
        self.carrier = Carrier(self.config, self.ledger, self.clock, self.records.append)
        self.alerter = Alerter(
            open_ledger=lambda: self.ledger,
            emit=self.records.append,
            classes=frozenset(VerdictClass),
            clock=self.clock,
            wants=self.switches.wants,
        )

    def teardown(self) -> None:
        self.carrier.recover()
        problems = [found for found in self.carrier.quarantine.verify() if found.problem is not None]
        assert problems == [], "ledger, manifests and files agree"
        assert self.ledger.damage() == []
        self.ledger.close()
        shutil.rmtree(self.folder)

    def path(self, place: Place) -> Path:
        return self.folder / place[0] / place[1]

    # -- people ----------------------------------------------------------------------------------------------------

    @initialize(some=st.dictionaries(places, st.tuples(pictures, variants), max_size=4))
    def begin(self, some: dict[Place, tuple[str, str]]) -> None:
        """Some files are there before quarantine is switched on."""
        for place, (picture, variant) in some.items():
            self.put(place, picture, variant)
        self.look()
        self.judge()
        self.clock.advance(1.0)
        self.switches.note(self.ledger)
        self.look()
        self.switches.note_walked(self.ledger, ())
        self.clock.advance(1.0)
        self.old = set(self.account)

    @rule(place=places, picture=pictures, variant=variants)
    def put(self, place: Place, picture: str, variant: str) -> None:
        """A new file, or one that is renamed over another."""
        path = self.path(place)
        path.parent.mkdir(exist_ok=True)
        draft = self.folder / "draft"
        draft.write_text(picture + variant)
        self.touch(draft)
        draft.rename(path)
        self.forget(place)
        self.account[place] = picture + variant

    @rule(to=inboxes, source=places, variant=st.sampled_from(["", "0", "1"]))
    def copy(self, to: Place, source: Place, variant: str) -> None:
        """A copy arrives: the same bytes, or others of the same picture."""
        if source in self.account and to not in self.account:
            content = self.account[source]
            self.put(to, content[0], variant or content[1])

    @rule()
    def burst(self) -> None:
        """Copies of one picture wherever there is room."""
        self.put(INBOX[0], "x", "0")
        for place in INBOX[1:]:
            if place not in self.account:
                self.put(place, "x", "0")

    @rule(place=places, picture=pictures, variant=variants)
    def rewrite(self, place: Place, picture: str, variant: str) -> None:
        """Other bytes in the same inode."""
        if place in self.account:
            self.path(place).write_text(picture + variant)
            self.touch(self.path(place))
            self.forget(place)
            self.account[place] = picture + variant

    @rule(source=places, to=places)
    def rename(self, source: Place, to: Place) -> None:
        if source in self.account and source != to:
            self.path(to).parent.mkdir(exist_ok=True)
            self.path(source).rename(self.path(to))
            returned = source in self.returned
            self.forget(to)
            self.account[to] = self.account.pop(source)
            self.forget(source)
            if returned:
                self.returned.add(to)

    @rule(place=places)
    def delete(self, place: Place) -> None:
        if place in self.account:
            self.path(place).unlink()
            del self.account[place]
            self.forget(place)

    @rule()
    def delete_folder(self) -> None:
        """The parent of what rests in quarantine goes away, if it is empty."""
        sub = self.folder / "inbox" / "sub"
        if sub.exists() and not any(sub.iterdir()):
            sub.rmdir()

    @rule(number=numbers, free_name=st.booleans())
    def restore(self, number: int, free_name: bool) -> None:
        if not self.taken:
            return
        action_id = sorted(self.taken)[number % len(self.taken)]
        place, content = self.taken[action_id]
        taken = Taken.FREE_NAME if free_name else Taken.REFUSE
        if os.path.lexists(self.path(place)) and not free_name:
            with pytest.raises(ActionRefused) as refused:
                self.carrier.restore(action_id, taken=taken)
            assert refused.value.kind == "name-taken"
            return
        restored = self.carrier.restore(action_id, taken=taken)
        del self.taken[action_id]
        ((was, now),) = restored.files
        assert was == os.fsencode(self.path(place))
        back: Place = (place[0], os.path.relpath(os.fsdecode(now), self.folder / place[0]))
        assert back not in self.account, "nothing is overwritten"
        assert back == place or free_name
        self.account[back] = content
        self.returned.add(back)

    @rule(one=places, other=places)
    def mark(self, one: Place, other: Place) -> None:
        contents = {self.account.get(one), self.account.get(other)}
        if len(contents) == 2 and None not in contents:
            a, b = (digest_of(str(each)) for each in contents)
            self.ledger.mark_not_duplicate(a, b, "test")

    @rule(number=numbers)
    def add(self, number: int) -> None:
        """A person has a duplicate quarantined, whatever its age and the breaker."""
        rows = [
            row
            for row in self.ledger.duplicates()
            if row.duplicate_now is not None and self.place_of(row.duplicate_now)[0] == "inbox"
        ]
        if rows:
            row = rows[number % len(rows)]
            self.asked.add(row.verdict_id)
            self.carrier.carry_now([row.verdict_id])
            self.account_for_moves()

    @rule(discard=st.booleans())
    def resume(self, discard: bool) -> None:
        self.carrier.resume(discard=discard)

    @rule(seconds=st.sampled_from([1.0, 30.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    # -- the service -----------------------------------------------------------------------------------------------

    @rule()
    def look(self) -> None:
        """A walk of both roots."""
        there = {}
        for root in ("inbox", "archive"):
            top = self.folder / root
            for path in sorted(top.rglob("*")):
                if path.is_file() and ".deepdupe-quarantine" not in path.parts:
                    there[os.fsencode(path)] = os.fsencode(top)
        batch = [Arrival(FileKey(path, identity(path)), root, True) for path, root in there.items()]
        self.ledger.note_arrivals(batch)
        for root in ("inbox", "archive"):
            for path, _, _ in list(self.ledger.known_paths(os.fsencode(self.folder / root))):
                if path not in there:
                    self.ledger.note_gone(path)

    @rule()
    def judge(self) -> None:
        """See what is pending as it is now, and judge: every picture's best file keeps, the others are its copies."""
        for row in self.ledger.take_pending(99):
            content = read(row.key.path)
            if content is not None and identity(row.key.path) == row.key.identity:
                self.ledger.record_seen([seen(row, content)])
        self.ledger.judge_orphans_again()
        for row in self.ledger.take_seen(99):
            group = self.group(row)
            verdicts = [self.verdict(each, group[0]) for each in group[1:]]
            self.ledger.record_judged([row.file_id], [one for one in verdicts if one is not None])

    @rule()
    def order(self) -> None:
        self.alerter.tell(self.ledger)

    @rule()
    def carry(self) -> None:
        self.carrier.carry_out()
        self.account_for_moves()

    @rule()
    def serve(self) -> None:
        """The whole way once, as the service goes it when nobody interferes."""
        self.look()
        self.judge()
        self.order()
        self.carry()

    @rule()
    def serve_again(self) -> None:
        self.serve()

    @rule(step=st.sampled_from(["move_in", "mark_moved", "settle_order", "mark_told"]))
    def be_killed(self, step: str) -> None:
        """In the midst of an action: before the files move, before the ledger knows, before it is told."""
        owner = quarantine if step == "move_in" else self.ledger
        with patch.object(owner, step, side_effect=Killed), contextlib.suppress(Killed):
            self.carrier.carry_out()
        self.restart()
        self.account_for_moves()

    def account_for_moves(self) -> None:
        """Every move that was made since the last look, with what must hold for it."""
        moved = [a for a in self.ledger.actions(states={ActionState.QUARANTINED}) if a.action_id not in self.taken]
        for action in moved:
            place = self.place_of(action.first.file.path)
            content = self.account.pop(place)
            self.taken[action.action_id] = place, content
            assert place[0] == "inbox", "nothing is taken out of a protected root"
            assert place not in self.returned, "nothing that was brought back"
            assert action.first.file.digest == digest_of(content)
            if action.intent.verdict_id not in self.asked:
                assert place not in self.old, "nothing that is older than the switch"
        for action in moved:
            keeper = action.first.keeper
            assert keeper is not None
            assert read(keeper.path) == self.account[self.place_of(keeper.path)], "the copy to keep rests in place"
            assert digest_of(str(read(keeper.path))) == keeper.digest
            assert not self.ledger.is_not_duplicate(keeper.digest, action.first.file.digest)
        assert len([a for a in moved if a.intent.verdict_id not in self.asked]) <= MOST, "the breaker"

    @rule()
    def restart(self) -> None:
        self.ledger.close()
        self.open()
        self.switches.note(self.ledger)
        self.carrier.recover()

    @rule()
    def come_to_rest(self) -> None:
        """After a while of it the service finds nothing more to do."""
        for _ in range(7):
            self.serve()
            self.clock.advance(30_000.0)
        if not self.carrier.breaker.state.is_open:
            assert self.ledger.open_orders() == 0

    # -- what always holds -----------------------------------------------------------------------------------------

    @invariant()
    def every_file_is_in_exactly_one_of_its_two_places(self) -> None:
        resting: Counter[str] = Counter()
        quarantined: Counter[str] = Counter()
        for path in self.folder.rglob("*"):
            if not path.is_file() or "state" in path.parts or path.name in ("manifest.json", "draft"):
                continue
            (quarantined if ".deepdupe-quarantine" in path.parts else resting)[path.read_text()] += 1
        assert resting == Counter(self.account.values())
        assert quarantined == Counter(content for _, content in self.taken.values())
        for place, content in self.account.items():
            assert self.path(place).read_text() == content

    @invariant()
    def an_open_breaker_stays_open(self) -> None:
        if self.carrier.breaker.state.is_open:
            assert any(record.kind.slug == "breaker-open" for record in self.records)

    # -- small words -----------------------------------------------------------------------------------------------

    def touch(self, path: Path) -> None:
        """A time of its own for each change, as a real clock gives."""
        self.clock.advance(0.001)
        os.utime(path, ns=(self.clock.now_ns(), self.clock.now_ns()))

    def forget(self, place: Place) -> None:
        self.old.discard(place)
        self.returned.discard(place)

    def place_of(self, path: bytes) -> Place:
        root, _, name = os.path.relpath(os.fsdecode(path), self.folder).partition("/")
        return root, name

    def group(self, row: FileRow) -> list[FileRow]:
        """The living files with the picture of `row`, the one to keep first."""
        picture = self.picture(row)
        files = [
            file
            for variant in "01"
            if (image := self.ledger.image_by_digest(digest_of(picture + variant))) is not None
            for file in self.ledger.living_files(image.image_id)
        ]
        return sorted(files, key=lambda file: (not file.root.endswith(b"archive"), file.file_id))

    def picture(self, row: FileRow) -> str:
        return next(p for p in "xy" for v in "01" if digest_of(p + v) == row.digest)

    def verdict(self, duplicate: FileRow, keeper: FileRow) -> Verdict | None:
        assert duplicate.digest is not None
        assert keeper.digest is not None
        same = duplicate.digest == keeper.digest
        kind = VerdictClass.IDENTICAL_BYTES if same else VerdictClass.RE_ENCODED
        now_ns = self.clock.now_ns()
        return Verdict(kind, duplicate.key, keeper.key, duplicate.digest, keeper.digest, {}, None, (), "first", now_ns)


def identity(path: bytes) -> FileIdentity:
    stat = os.lstat(path)
    return FileIdentity(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def read(path: bytes) -> str | None:
    try:
        with open(path) as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


class TestWorld(World.TestCase):
    settings = settings(max_examples=15, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.nightly
@pytest.mark.timeout(3600)
class TestWorldAtLength(World.TestCase):
    settings = settings(
        max_examples=600, stateful_step_count=80, deadline=None, suppress_health_check=list(HealthCheck)
    )
