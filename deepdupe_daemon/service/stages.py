"""The stages of a running pipeline as the watchdog sees them, from the end to the beginning."""

from __future__ import annotations

from collections.abc import Iterator

from deepdupe_daemon.service.pipeline import Pipeline
from deepdupe_daemon.service.vitals import Vital

__all__ = ["vitals_of"]

#: a lane that starts over after a failure pauses for a minute at most; a canary's song and its answer take 70 s
_INTAKE_PATIENCE_S = 210.0
#: Chroma bounds its own calls, the longest of which is opening a large store (30 minutes)
_STORE_PATIENCE_S = 2400.0
#: a round of orders with files of max_file_bytes that are copied to another disk at 10 MB/s
_CARRYING_PATIENCE_S = 3600.0
#: beyond the time that one file may take, twice, because a worker that dies of it is replaced once
_DECODE_SLACK_S = 30.0


def vitals_of(pipeline: Pipeline, patience_s: float) -> Iterator[Vital]:
    """Every stage of a pipeline that is ready. `patience_s`: how long one step of an ordinary stage may take.

    A lane of a network or FUSE file system is left out: a mount that hangs is not mended by a restart.
    """
    store = pipeline.store.status()
    yield Vital(
        "store",
        "collection-writer",
        busy=store.state in ("opening", "writing"),
        progress=(store.state, store.lag_rows, store.set_aside),
        patience_s=max(patience_s, _STORE_PATIENCE_S),
    )
    carrying = pipeline.carrying.pulse
    yield Vital("carrying", "carrying", not carrying.resting, carrying.beats, max(patience_s, _CARRYING_PATIENCE_S))
    alerting = pipeline.alerter.pulse
    yield Vital("alerting", "alerting", not alerting.resting, alerting.beats, patience_s)
    decoder = pipeline.pool.status() if pipeline.pool is not None else None
    decoded = (decoder.done, decoder.crashed, decoder.late) if decoder is not None else ()
    judging = pipeline.judging_pulse
    # judging waits for proofs, which the decoding workers give: it moves while they do
    busy = not judging.resting or len(pipeline.inbox) > 0
    yield Vital("judging", "judging", busy, (judging.beats, decoded), patience_s)
    forward = pipeline.forward.status()
    waiting = forward.waiting_live + forward.waiting_backfill
    yield Vital("forward", "forward", bool(forward.in_flight or waiting), forward.batches, patience_s)
    if decoder is not None:
        a_file_s = pipeline.config.decoder.timeout_s
        yield Vital(
            "decoding",
            "decode-",
            busy=bool(decoder.busy or decoder.queued),
            progress=(decoded, decoder.queued),
            patience_s=max(patience_s, 2 * a_file_s + _DECODE_SLACK_S),
        )
    feeder = pipeline.feeder.pulse
    yield Vital("feeder", "feeder", not feeder.resting, feeder.beats, patience_s)
    for name, turns, unheard in pipeline.intake.local_pulses():
        yield Vital(name, name, busy=True, progress=turns, patience_s=max(patience_s, _INTAKE_PATIENCE_S))
        # the canary of intake: a folder whose events no longer come, however often it is watched anew
        yield Vital(f"{name}-canary", name, unheard > 0, unheard == 0, max(patience_s, _INTAKE_PATIENCE_S))
