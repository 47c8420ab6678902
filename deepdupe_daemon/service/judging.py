"""The judging thread: commits what was seen, recalls, has it proven, and writes the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace

import numpy as np

from deepdupe_daemon.act import Record, failure_record
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.judge import Member
from deepdupe_daemon.ledger import FileRow, Ledger, SeenRecord
from deepdupe_daemon.model import FileState, ImageFacts
from deepdupe_daemon.service.claims import Claims
from deepdupe_daemon.service.examiner import Examiner, Subject
from deepdupe_daemon.service.grouping import Grouping
from deepdupe_daemon.service.inbox import Embedded, Failed, Inbox, Item, Known, Question
from deepdupe_daemon.service.membership import Membership
from deepdupe_daemon.service.meters import Meters
from deepdupe_daemon.service.neighbourhood import Neighbourhood
from deepdupe_daemon.service.pulse import Pulse
from deepdupe_daemon.service.sentencing import is_news, verdict_of

__all__ = ["Judging", "Retry"]

#: the ledger's note of what the choice of keepers depended on
KEEPERS = "keepers chosen by"

#: how many items are committed and judged together: the group commit of the ledger
BATCH = 256


@dataclass(frozen=True, slots=True)
class Retry:
    """When a failure that may pass is tried again: after `first_s`, then `factor` times as long, and so on."""

    first_s: float = 5.0
    factor: float = 6.0
    longest_s: float = 3600.0
    tries: int = 6

    def at_ns(self, now_ns: int, attempts: int) -> int | None:
        """The wall time of the next try after `attempts` failed ones, or None when there is none."""
        if attempts >= self.tries:
            return None
        return now_ns + round(min(self.first_s * self.factor ** max(0, attempts - 1), self.longest_s) * 1e9)


class Judging:
    """Owns the exact index (through the examiner) and its ledger connection; `run` is the judging thread.

    Order of commit: vectors and `seen` in one transaction, then the claims are released, then verdicts and `indexed` in
    one transaction. Whatever is cut off in between is found again by `take_seen` at the next start.
    """

    def __init__(
        self,
        *,
        inbox: Inbox,
        ledger: Ledger,
        examiner: Examiner,
        claims: Claims,
        clock: Clock,
        spaces: Sequence[str],
        membership: Membership,
        on_settled: Callable[[Sequence[int]], None],
        on_verdicts: Callable[[], None],
        on_vectors: Callable[[], None],
        emit: Callable[[Record], None],
        retry: Retry | None = None,
        meters: Meters | None = None,
    ) -> None:
        """`on_settled(file_ids)`: no longer in flight. The callbacks are called in the judging thread."""
        self._inbox = inbox
        self._ledger = ledger
        self._examiner = examiner
        self._claims = claims
        self._clock = clock
        self._spaces = tuple(spaces)
        self._on_settled = on_settled
        self._on_verdicts = on_verdicts
        self._on_vectors = on_vectors
        self._emit = emit
        self._retry = retry if retry is not None else Retry()
        self._meters = meters or Meters()
        self._stopping = False
        self.pulse = Pulse()
        self.keep_by(membership)

    def keep_by(self, membership: Membership) -> None:
        """From the next batch on, keepers are chosen so; groups that were chosen otherwise are judged again. Before
        `run`, or in the judging thread."""
        self._membership = membership
        if self._ledger.meta(KEEPERS) not in (None, membership.described):
            self._ledger.judge_all_again()
        self._ledger.set_meta(KEEPERS, membership.described)

    def stop(self) -> None:
        """Judge no further batch: what is seen and not judged is found again at the next start. Any thread."""
        self._stopping = True

    def run(self) -> None:
        """Until the inbox is closed and empty, or `stop`."""
        try:
            self._run()
        except CancelledError:
            if not self._stopping:
                raise
            # the workers ended amid a proof, as they do when time is up

    def _run(self) -> None:
        self._judge_seen()
        while not self._inbox.finished:
            self.pulse.rest()
            items = self._inbox.take(BATCH)
            self.pulse.beat()
            began_s = self._clock.monotonic_s()
            self._commit([item for item in items if not isinstance(item, Question)])
            self._judge_seen()
            if items:
                self._meters.took("judge", self._clock.monotonic_s() - began_s)
            questions = [item for item in items if isinstance(item, Question)]
            for question in questions:
                _answer(question)
            if questions:
                self._judge_seen()  # a question may have sent files back to be judged again

    def _commit(self, items: Sequence[Item]) -> None:
        settled: list[int] = []
        embedded = [item for item in items if isinstance(item, Embedded)]
        known = [item for item in items if isinstance(item, Known)]
        if embedded:
            self._ledger.record_seen([_seen_record(item) for item in embedded])
            self._on_vectors()
        for seen in embedded:
            known += [Known(*follower) for follower in self._claims.release(seen.file_id)]
            settled.append(seen.file_id)
        fallen = [item for item in items if isinstance(item, Failed)]
        for failed in fallen[:]:
            # equal bytes fail alike
            fallen += [
                Failed(file_id, key, failed.attempts, failed.error)
                for file_id, key, _ in self._claims.release(failed.file_id)
            ]
        if fallen or known:
            with self._ledger.together():  # one sync for all: it takes longer than everything else here
                records = [record for failed in fallen if (record := self._fail(failed)) is not None]
                for each in known:
                    self._ledger.attach_known(each.file_id, each.key, each.digest)
            for record in records:
                self._emit(record)
            settled += [failed.file_id for failed in fallen] + [each.file_id for each in known]
        self._on_settled(settled)

    def _fail(self, item: Failed) -> Record | None:
        """Write it down; gives what is to be told of it."""
        failed = item.error
        if failed.kind == "not-an-image":
            self._ledger.record_ignored(item.file_id, item.key, failed.what)
            return None
        now_ns = self._clock.now_ns()
        retry_at_ns = self._retry.at_ns(now_ns, item.attempts + 1) if failed.retry else None
        self._ledger.record_failed(item.file_id, item.key, failed.kind, failed.what, retry_at_ns)
        if item.attempts and retry_at_ns is not None:
            return None  # the tries between tell nothing new
        return failure_record(item.key.path, failure=failed.kind, reason=failed.what, retry=retry_at_ns is not None)

    def _judge_seen(self) -> None:
        """Judge every file whose vectors are committed: what was just seen, what a crash left, what came back."""
        while not self._stopping and (rows := self._ledger.take_seen(BATCH)):
            self.pulse.beat()
            if self._judge(rows):
                self._on_verdicts()
            self._examiner.take_backgrounds()

    def _as_member(self, row: FileRow, facts: ImageFacts | None) -> Member:
        return replace(self._membership(row, facts), chosen_at_ns=self._ledger.chosen_at_ns(row))

    def _judge(self, rows: Sequence[FileRow]) -> bool:
        """Whether there is anything new to tell. Proofs are committed with the verdicts that rest on them."""
        arrived = {row.file_id for row in rows}
        around = Neighbourhood(
            self._ledger,
            self._examiner.proofs(),
            policy=self._examiner.policy,
            thresholds=self._examiner.thresholds,
            as_member=self._as_member,
            similarities=self._examiner.likeness,
        )
        images = list(dict.fromkeys(row.image_id for row in rows if row.image_id is not None))
        new_images = self._recall(arrived, images, around)
        outcomes = Grouping(around, self._membership.rules).settle(
            [file for image_id in images for file in around.files(image_id) if file.file_id in arrived], new_images
        )
        told = [each for each in outcomes if each.row.file_id in arrived or is_news(each, around)]
        now_ns = self._clock.now_ns()
        verdicts = [verdict_of(each, around, self._membership.rules, now_ns) for each in told]
        freed = [each.row for each in told if each.keeper is None and each.row.state is FileState.INDEXED]
        with self._ledger.together():
            around.record()
            news = self._ledger.record_judged(
                [*arrived, *(row.file_id for row in freed)],
                [verdict for verdict in verdicts if verdict is not None],
                keys={row.file_id: row.key for row in (*rows, *freed)},
            )
        return bool(news)

    def _recall(self, arrived: Collection[int], images: Sequence[int], around: Neighbourhood) -> list[int]:
        """Ask recall about every image that was not met before; gives those images."""
        new_images = []
        for image_id in images:
            files = around.files(image_id)
            judged = any(file.state is FileState.INDEXED and file.file_id not in arrived for file in files)
            if files and not judged:  # else recall was asked about these bytes when the first of them came
                new_images.append(image_id)
        subjects = [self._subject(image_id, around) for image_id in new_images]
        for space in self._spaces if subjects else ():
            rows_of_space = np.stack([subject.vectors[space] for subject in subjects])
            self._examiner.index.add(space, np.array(new_images, np.int64), rows_of_space)
        for image_id, proposals in zip(new_images, self._examiner.recall(subjects), strict=True):
            around.propose(image_id, proposals, self._examiner.max_candidates)
        return new_images

    def _subject(self, image_id: int, around: Neighbourhood) -> Subject:
        # As the ledger holds them (float16), not as the model gave them: a restart has no others, and shall find the
        # same similarities to the last digit.
        stored = self._ledger.image_vectors(image_id, self._spaces)
        return Subject(around.picture(image_id), {space: stored[space].astype(np.float32) for space in self._spaces})


def _seen_record(item: Embedded) -> SeenRecord:
    seen = item.sighting
    return SeenRecord(
        file_id=item.file_id,
        key=seen.key,
        digest=seen.digest,
        facts=seen.facts,
        pdq=seen.pdq,
        pdq_variants=seen.pdq_variants,
        vectors={space: vector.astype(np.float16) for space, vector in item.vectors.items()},
    )


def _answer(question: Question) -> None:
    if question.answer.set_running_or_notify_cancel():
        try:
            question.answer.set_result(question.ask())
        except Exception as failed:  # noqa: BLE001 - it is the asker's to handle, in the asker's thread
            question.answer.set_exception(failed)
