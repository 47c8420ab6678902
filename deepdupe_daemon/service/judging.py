"""The judging thread: commits what was seen, recalls, has it proven, and writes the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass

import numpy as np

from deepdupe_daemon.act import Record, failure_record
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.judge import KeeperRule, Member
from deepdupe_daemon.ledger import FileRow, ImageRow, Ledger, SeenRecord, VerdictRow
from deepdupe_daemon.model import ImageFacts
from deepdupe_daemon.service.claims import Claims
from deepdupe_daemon.service.examiner import Examiner, Subject
from deepdupe_daemon.service.inbox import Embedded, Failed, Inbox, Item, Known, Question
from deepdupe_daemon.service.pulse import Pulse
from deepdupe_daemon.service.sentencing import Sentence, identical_verdicts, keeper_of, pair_verdicts

__all__ = ["Judging", "Retry"]

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
        rules: Sequence[KeeperRule],
        protected_roots: Sequence[bytes],
        on_settled: Callable[[Sequence[int]], None],
        on_verdicts: Callable[[], None],
        on_vectors: Callable[[], None],
        emit: Callable[[Record], None],
        retry: Retry | None = None,
    ) -> None:
        """`on_settled(file_ids)`: no longer in flight. The callbacks are called in the judging thread."""
        self._inbox = inbox
        self._ledger = ledger
        self._examiner = examiner
        self._claims = claims
        self._clock = clock
        self._spaces = tuple(spaces)
        self._rules = tuple(rules)
        self._protected_roots = frozenset(protected_roots)
        self._on_settled = on_settled
        self._on_verdicts = on_verdicts
        self._on_vectors = on_vectors
        self._emit = emit
        self._retry = retry if retry is not None else Retry()
        self._stopping = False
        self.pulse = Pulse()

    def protect(self, roots: Collection[bytes]) -> None:
        """From the next batch on, files of these roots are the ones to keep. Judging thread."""
        self._protected_roots = frozenset(roots)

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
            self._commit([item for item in items if not isinstance(item, Question)])
            self._judge_seen()
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
            with (
                self._ledger.together()
            ):  # a sync takes longer than all the rest: one for each would be most of the time
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
            sentences = self._sentences(rows)
            news = self._ledger.record_judged(
                [row.file_id for row in rows],
                [sentence.verdict for sentence in sentences],
                keys={row.file_id: row.key for row in rows},
            )
            if news:
                self._on_verdicts()

    def _sentences(self, rows: Sequence[FileRow]) -> list[Sentence]:
        now_ns = self._clock.now_ns()
        arrived = {row.file_id for row in rows}
        facts: dict[int | None, ImageFacts] = {}
        sentences: list[Sentence] = []
        subjects: list[tuple[FileRow, Subject]] = []

        def as_member(row: FileRow) -> Member:
            return self._member(row, facts.get(row.image_id))

        for image_id in dict.fromkeys(row.image_id for row in rows if row.image_id is not None):
            image, files = self._ledger.image(image_id), self._ledger.living_files(image_id)
            if image is None or not files:
                continue
            facts[image_id] = image.facts
            sentences += identical_verdicts(files, image.digest, as_member, self._rules, now_ns)
            keeper, _ = keeper_of(files, as_member, self._rules)
            if keeper.file_id in arrived:  # else these bytes were compared with all others when the keeper came
                subjects.append((keeper, self._subject(image, keeper)))
        for space in self._spaces if subjects else ():
            ids = np.array([subject.image_id for _, subject in subjects], np.int64)
            self._examiner.index.add(space, ids, np.stack([subject.vectors[space] for _, subject in subjects]))
        findings, pixel_digests = self._examiner.examine([subject for _, subject in subjects])
        for image_id, pixel_digest in pixel_digests.items():
            self._ledger.set_pixel_digest(image_id, pixel_digest)
        facts |= {finding.image.image_id: finding.image.facts for found in findings for finding in found}
        for (keeper, subject), found in zip(subjects, findings, strict=True):
            sentences += pair_verdicts(keeper, subject.digest, found, as_member, self._rules, now_ns)
        return self._standing(sentences, arrived)

    def _standing(self, sentences: Sequence[Sentence], arrived: Collection[int]) -> list[Sentence]:
        """At most one a duplicate file; on a file that was judged before only where it stands over that verdict."""
        best: dict[int, Sentence] = {}
        for sentence in sentences:
            rival = best.get(sentence.duplicate_id)
            if rival is None or sentence.stands_over(rival.verdict.verdict_class, rival.keeper_id):
                best[sentence.duplicate_id] = sentence
        standing = []
        for file_id, sentence in sorted(best.items()):
            row = None if file_id in arrived else self._current(sentence)
            if row is None or sentence.stands_over(row.verdict.verdict_class, row.keeper_file_id):
                standing.append(sentence)
        return standing

    def _current(self, sentence: Sentence) -> VerdictRow | None:
        """The living verdict on the sentence's duplicate that the ledger holds."""
        rows = self._ledger.verdicts_for(sentence.verdict.duplicate.path)
        return next((r for r in rows if r.current and r.living and r.duplicate_file_id == sentence.duplicate_id), None)

    def _subject(self, image: ImageRow, keeper: FileRow) -> Subject:
        # As the ledger holds them (float16), not as the model gave them: a restart has no others, and shall find the
        # same similarities to the last digit.
        stored = self._ledger.image_vectors(image.image_id, self._spaces)
        vectors = {space: stored[space].astype(np.float32) for space in self._spaces}
        return Subject(
            image_id=image.image_id,
            key=keeper.key,
            digest=image.digest,
            facts=image.facts,
            pdq=image.pdq,
            pdq_variants=image.pdq_variants,
            vectors=vectors,
            pixel_digest=image.pixel_digest,
        )

    def _member(self, row: FileRow, facts: ImageFacts | None) -> Member:
        return Member(
            path=row.key.path,
            file_id=row.file_id,
            facts=facts,
            file_bytes=row.key.identity.size,
            protected=row.root in self._protected_roots,
            arrived_at_ns=row.arrived_at_ns,
        )


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
