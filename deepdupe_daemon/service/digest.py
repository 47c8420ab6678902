"""The daily digest: one record that says what the day was, for those who do not want to hear of each file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from deepdupe_daemon.act import Kind, Record
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.ledger import Happened, Ledger

__all__ = ["Digest", "digest_record"]

_META = "digest_at_ns"
_DAY_NS = 24 * 3600 * 10**9


class Digest:
    """Owned by the supervising thread; cheap to ask every few seconds. When the last one was told rests in the ledger,
    so that a restart neither repeats nor forgets one."""

    def __init__(self, ask: Callable[[Callable[[Ledger], Record | None]], Record | None], clock: Clock) -> None:
        """`ask` runs a question where a ledger is open."""
        self._ask = ask
        self._clock = clock
        self._next_ns = 0

    def due(self) -> Record | None:
        """The digest, once the first full day after the last one is over; None before that, and on the very first day.

        The day ends at midnight of the local clock. After a time switched off, one digest tells of all of it.
        """
        now_ns = self._clock.now_ns()
        # a clock that was set back by a day or more would otherwise silence it for as long
        if now_ns < self._next_ns <= now_ns + _DAY_NS:
            return None
        self._next_ns = now_ns + 60 * 10**9  # the ledger is not asked more than once a minute
        return self._ask(self._told)

    def _told(self, ledger: Ledger) -> Record | None:
        now_ns = self._clock.now_ns()
        midnight_ns = _midnight_before(now_ns)
        known = ledger.meta(_META)
        last_ns = int(known) if known is not None and known.isdecimal() else None
        if last_ns is not None and last_ns >= midnight_ns and last_ns <= now_ns:
            self._next_ns = midnight_ns + _DAY_NS
            return None
        ledger.set_meta(_META, str(now_ns))
        if last_ns is None:
            return None
        return digest_record(ledger.happened_since(min(last_ns, now_ns)), since_ns=min(last_ns, now_ns))


def digest_record(happened: Happened, *, since_ns: int) -> Record:
    """The record of what happened since a moment."""
    since = f"{datetime.fromtimestamp(since_ns / 1e9, tz=UTC).astimezone():%Y-%m-%d %H:%M}"
    duplicates = sum(happened.duplicates.values())
    classes = ", ".join(f"{count:,} {name}" for name, count in sorted(happened.duplicates.items()))
    parts = [f"{happened.files:,} files, {happened.images:,} different pictures"]
    parts.append(f"{duplicates:,} verdicts ({classes})" if classes else "no duplicates")
    parts += [f"{happened.failed:,} could not be read"] if happened.failed else []
    parts += [f"{happened.quarantined:,} quarantined"] if happened.quarantined else []
    parts += [f"{happened.restored:,} restored"] if happened.restored else []
    counts: dict[str, bytes | str | int | float] = {
        "FILES": happened.files,
        "IMAGES": happened.images,
        "DUPLICATES": duplicates,
        "FAILED": happened.failed,
        "QUARANTINED": happened.quarantined,
        "RESTORED": happened.restored,
        **{f"CLASS_{name.replace('-', '_').upper()}": count for name, count in happened.duplicates.items()},
    }
    return Record(Kind.DIGEST, f"since {since}: {'; '.join(parts)}", counts)


def _midnight_before(now_ns: int) -> int:
    local = datetime.fromtimestamp(now_ns / 1e9, tz=UTC).astimezone()
    return int(local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1e9)
