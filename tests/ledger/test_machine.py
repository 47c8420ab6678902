"""Any course of events, against a plain dict of what is on the disk.

Files come, change, move, link, swap, go and return, results come late or never, and the ledger agrees with the disk
whenever somebody has looked at all of it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.ledger import FileRow, Ledger, Noted
from deepdupe_daemon.model import Arrival, FileIdentity, FileKey, FileState
from tests.ledger.build import OTHER, ROOT, SPACE, content_vectors, digest_of, seen, vector_of, verdict

NAMES = [b"a", b"b", b"d/a", b"d/b", b"d/e/a", b"d0"]
PATHS = [ROOT + b"/" + name for name in NAMES]
LIVING = (FileState.SEEN, FileState.INDEXED)
paths = st.sampled_from(PATHS)


class Disk(RuleBasedStateMachine):
    """`files` is the disk: path -> identity. `contents` says what bytes an identity has."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ledger-machine-"))
        self.clock = ManualClock()
        self.files: dict[bytes, FileIdentity] = {}
        self.contents: dict[FileIdentity, str] = {}
        self.broken: set[FileIdentity] = set()
        self.in_flight: list[FileRow] = []
        self.inodes = 0
        self.ledger = self.opened()
        self.ledger.ensure_space(SPACE)
        self.spaces = [SPACE]

    def opened(self) -> Ledger:
        return Ledger.open(self.folder / "state", self.clock, lstat=self.lstat)

    def teardown(self) -> None:
        assert self.ledger.damage() == []
        self.ledger.close()
        shutil.rmtree(self.folder)

    def lstat(self, path: bytes) -> os.stat_result:
        if path not in self.files:
            raise FileNotFoundError(path)
        it = self.files[path]
        return os.stat_result((0o100644, it.ino, it.dev, 1, 0, 0, it.size, 0, 0, 0), {"st_mtime_ns": it.mtime_ns})

    # -- what happens on the disk, unseen --------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        """Some files are there before anybody looks."""
        for path in PATHS[:2]:
            self.write(path, "x")

    @rule(path=paths, content=st.sampled_from("xyz"))
    def write(self, path: bytes, content: str) -> None:
        """A new file, or one that replaces another by rename."""
        self.inodes += 1
        self.files[path] = FileIdentity(7, self.inodes, 10, 1000 + self.inodes)
        self.contents[self.files[path]] = content

    @rule(path=paths, content=st.sampled_from("xyz"))
    def rewrite(self, path: bytes, content: str) -> None:
        """The same inode with another time, under every name that it has."""
        if path in self.files:
            old = self.files[path]
            self.inodes += 1
            new = FileIdentity(old.dev, old.ino, old.size, 1000 + self.inodes)
            self.contents[new] = content
            self.files = {p: new if identity == old else identity for p, identity in self.files.items()}

    @rule(source=paths, to=paths)
    def rename(self, source: bytes, to: bytes) -> None:
        if source in self.files and source != to and self.files[source] != self.files.get(to):
            self.files[to] = self.files.pop(source)

    @rule(one=paths, other=paths)
    def swap(self, one: bytes, other: bytes) -> None:
        if one in self.files and other in self.files:
            self.files[one], self.files[other] = self.files[other], self.files[one]

    @rule(source=paths, to=paths)
    def link(self, source: bytes, to: bytes) -> None:
        if source in self.files and to not in self.files:
            self.files[to] = self.files[source]

    @rule(path=paths)
    def remove(self, path: bytes) -> None:
        self.files.pop(path, None)

    @rule(path=paths)
    def damage(self, path: bytes) -> None:
        """From now on these bytes cannot be decoded."""
        if path in self.files:
            self.broken.add(self.files[path])

    # -- what intake tells -----------------------------------------------------------------------------------------

    @rule(some=st.lists(paths, max_size=4), live=st.booleans())
    def note(self, some: list[bytes], live: bool) -> None:
        batch = [Arrival(FileKey(p, self.files[p]), ROOT, live) for p in some if p in self.files]
        before = self.ledger._db.raw.total_changes
        noted = self.ledger.note_arrivals(batch)
        assert (self.ledger._db.raw.total_changes > before) == any(n is not Noted.KNOWN for n in noted)
        assert self.ledger.note_arrivals(batch) == [Noted.KNOWN] * len(batch)

    @rule(path=paths)
    def note_gone(self, path: bytes) -> None:
        if path not in self.files:
            self.ledger.note_gone(path)
            assert self.ledger.note_gone(path) == 0

    @rule(prefix=st.sampled_from([ROOT, ROOT + b"/d", ROOT + b"/d/e"]))
    def note_gone_tree(self, prefix: bytes) -> None:
        below = [path for path in self.files if path.startswith(prefix + b"/")]
        if not below:
            known = sum(1 for _ in self.ledger.known_paths(prefix))
            assert self.ledger.note_gone_tree(prefix) == known
            assert list(self.ledger.known_paths(prefix)) == []

    @rule()
    def walk(self) -> None:
        """Look at everything; then the ledger says what the disk says."""
        self.note(sorted(self.files), live=False)
        for path, _, _ in list(self.ledger.known_paths(ROOT)):
            if path not in self.files:
                self.ledger.note_gone(path)
        assert {p: identity for p, identity, _ in self.ledger.known_paths(ROOT)} == self.files

    # -- what the pipeline does ------------------------------------------------------------------------------------

    @rule(limit=st.integers(1, 4))
    def take(self, limit: int) -> None:
        rows = self.ledger.take_pending(limit, after=[row.file_id for row in self.in_flight])
        assert all(row.state is FileState.PENDING or self.lacking(row) for row in rows)
        assert not {row.file_id for row in rows} & {row.file_id for row in self.in_flight}
        self.in_flight += rows

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """A result comes, perhaps long after its file changed, moved or went."""
        row = self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1)))
        now = self.ledger.file(row.file_id)
        assert now is not None
        content = self.contents[row.key.identity]
        if row.key.identity in self.broken:
            applied = self.ledger.record_failed(row.file_id, row.key, "broken", "no picture", None)
            assert applied == (now.key == row.key and (now.state is FileState.PENDING or self.lacking(row)))
        elif data.draw(st.booleans()) and self.ledger.has_vectors(digest_of(content), [s.name for s in self.spaces]):
            image_id = self.ledger.attach_known(row.file_id, row.key, digest_of(content))
            assert (image_id is not None) == (now.key.identity == row.key.identity)
        else:
            [image_id] = self.ledger.record_seen([seen(row, content, *self.spaces)])
            assert (image_id is not None) == (now.key.identity == row.key.identity)

    @rule()
    def judge(self) -> None:
        """Equal bytes are duplicates of the file that was there first: a whole judge, small."""
        rows = self.ledger.take_seen(9)
        assert all(self.ledger.has_vectors(row.digest or b"", [space.name for space in self.spaces]) for row in rows)
        verdicts = []
        for image_id in {row.image_id for row in rows if row.image_id is not None}:
            keeper, *rest = self.ledger.living_files(image_id)
            verdicts += [verdict(row, keeper) for row in rest]
        refused: list[str] = []
        told = self.ledger.record_judged(
            [row.file_id for row in rows], verdicts, on_refused=lambda _, why: refused.append(why)
        )
        assert refused == []
        assert self.ledger.take_seen(9) == []
        self.ledger.mark_alerted([row.verdict_id for row in told])

    @rule()
    def come_to_rest(self) -> None:
        """Everything is looked at, seen and judged: then the duplicates are exactly those on the disk."""
        self.walk()
        self.in_flight.clear()  # as a restart does
        while rows := self.ledger.take_pending(3):
            for row in rows:
                content = self.contents[row.key.identity]
                if row.key.identity in self.broken:
                    assert self.ledger.record_failed(row.file_id, row.key, "broken", "no picture", None)
                else:
                    assert self.ledger.record_seen([seen(row, content, *self.spaces)]) != [None]
        self.judge()
        self.ledger.judge_orphans_again()
        self.judge()
        assert self.ledger.judge_orphans_again() == 0
        rows_by_path = {path: self.ledger.file_by_path(path) for path in self.files}
        groups: dict[bytes, list[FileRow]] = {}
        for found in rows_by_path.values():
            assert found is not None
            assert found.state in (FileState.INDEXED, FileState.FAILED)
            if found.digest is not None:
                groups.setdefault(found.digest, []).append(found)
        expected = set()
        for group in groups.values():
            first, *rest = sorted(group, key=lambda row: row.file_id)
            expected |= {(row.key.path, first.key.path) for row in rest}
        listed = [(row.duplicate_now, row.keeper_now) for row in self.ledger.duplicates()]
        assert len(listed) == len(set(listed))
        assert set(listed) == expected

    @rule()
    def store(self) -> None:
        ids, digests, _ = self.ledger.unstored(SPACE.name, 2)
        assert [image.digest for i in ids.tolist() if (image := self.ledger.image(i))] == digests
        self.ledger.mark_stored(SPACE.name, ids)
        self.ledger.mark_removed(SPACE.name, self.ledger.unwanted(SPACE.name, 1)[0])

    @rule()
    def restart(self) -> None:
        self.ledger.close()
        self.in_flight.clear()
        self.ledger = self.opened()

    @precondition(lambda self: len(self.spaces) == 1)
    @rule()
    def add_model(self) -> None:
        """The daemon starts again with one more model; nothing that recall has of the first is taken away."""
        self.restart()
        before = content_vectors(self.ledger, SPACE)
        self.spaces = [SPACE, OTHER]
        self.ledger.ensure_space(OTHER)
        self.ledger.requeue_missing([space.name for space in self.spaces])
        assert content_vectors(self.ledger, SPACE) == before

    def lacking(self, row: FileRow) -> bool:
        """Whether the file waits to be seen for a model that was added."""
        sql = "SELECT lacks_vectors FROM files WHERE file_id = ?"
        return self.ledger._db.rows(sql, (row.file_id,)) == [(1,)]

    # -- what always holds -----------------------------------------------------------------------------------------

    @invariant()
    def every_living_file_has_the_image_of_its_bytes(self) -> None:
        living: dict[int, str] = {}
        for path, identity, state in self.ledger.known_paths(ROOT):
            row = self.ledger.file_by_path(path)
            assert row is not None
            assert (row.key.identity, row.state) == (identity, state)
            if state in LIVING:
                assert row.image_id is not None
                assert row.digest == digest_of(self.contents[identity])
                living[row.image_id] = self.contents[identity]
        assert self.ledger.living_images().tolist() == sorted(living)
        assert content_vectors(self.ledger, SPACE) == {i: vector_of(text).tolist() for i, text in living.items()}

    @invariant()
    def the_tally_counts_the_rows(self) -> None:
        rows: dict[str, int] = dict(self.ledger._db.rows("SELECT state, count(*) FROM files GROUP BY state"))
        assert self.ledger.counts() == {state: rows.get(str(state), 0) for state in FileState}
        waiting = self.ledger.take_pending(999)
        assert sum(self.ledger.pending_counts()) == len(waiting)
        assert sum(row.state is FileState.PENDING for row in waiting) == rows.get("pending", 0)

    @invariant()
    def marks_say_what_the_collection_lacks_and_has_in_vain(self) -> None:
        living = set(self.ledger.living_images().tolist())
        sql = "SELECT image_id, stored FROM marks WHERE space_id = 1"
        marks: dict[int, int] = dict(self.ledger._db.rows(sql))
        assert {i for i, stored in marks.items() if stored < 2} == living
        assert self.ledger.unstored(SPACE.name, 99)[0].tolist() == sorted(i for i in marks if marks[i] == 0)
        assert self.ledger.unwanted(SPACE.name, 99)[0].tolist() == sorted(i for i in marks if marks[i] == 2)

    @invariant()
    def keepers_make_no_ring(self) -> None:
        keeper = {row.duplicate_file_id: row.keeper_file_id for row in self.ledger.duplicates(living_only=False)}
        for start in keeper:
            at, steps = start, 0
            while at in keeper:
                at, steps = keeper[at], steps + 1
                assert steps <= len(keeper)


TestDisk = Disk.TestCase
TestDisk.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
