"""`check` without a running daemon: reads the ledger, loads the models, writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import Config
from deepdupe_daemon.index import ExactIndex
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import F32Array, FileKey, Sighting
from deepdupe_daemon.service.checking import CheckResult, check_paths
from deepdupe_daemon.service.examiner import Examiner
from deepdupe_daemon.service.loading import resident_models
from deepdupe_daemon.service.policy import policy_of
from deepdupe_daemon.vision import DecoderPool

__all__ = ["check_offline"]

STOP_S = 5.0


def check_offline(
    config: Config, paths: Sequence[bytes], *, clock: Clock, environ: Mapping[str, str]
) -> list[CheckResult]:
    """Check `paths` against the ledger of `config`. Raises StateError where there is none, ModelError."""
    with Ledger.open(config.state_dir, clock, readonly=True) as ledger:
        models = resident_models(config, environ)
        embedders = models.load()
        resident = models.described
        known = {space.name: space for space in ledger.spaces()}
        index = ExactIndex()
        for space in resident.spaces:
            index.open_space(space.name, space.dim)
            if space.name in known:
                ledger.check_space(space)
                index.load(space.name, ledger.vectors(space.name))
        pool = DecoderPool(
            config.decoder,
            resident.specs,
            clock=clock,
            claim=lambda *_: True,
            max_file_bytes=config.intake.max_file_bytes,
        )
        examiner = Examiner(
            index=index,
            ledger=ledger,
            pool=pool,
            policy=policy_of(config),
            thresholds=resident.thresholds,
            max_candidates=config.judge.max_candidates,
            normalised=resident.normalised,
        )

        def see(key: FileKey) -> Sighting:
            sighting = pool.see(0, key, live=True).result()
            assert sighting is not None, "every claim is granted"
            return sighting

        def embed(sighting: Sighting) -> dict[str, F32Array]:
            rows: dict[str, F32Array] = {}
            for embedder in embedders:
                rows |= embedder.embed(sighting.inputs[embedder.spec][None])
            return {space: row[0] for space, row in rows.items()}

        def examine(ask: Callable[[Examiner], CheckResult]) -> CheckResult:
            return ask(examiner)

        pool.start()
        try:
            return check_paths(paths, see=see, embed=embed, examine=examine)
        finally:
            pool.stop(STOP_S)
            for embedder in embedders:
                embedder.close()
