"""`python -m tests.evaluation`: print how well the judge does, as tables. Minutes to an hour, by `--scale`."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.evaluation.examples import Example, labelled, ladders, local_edits, picked_sources
from tests.evaluation.negatives import Negative, hard_negatives
from tests.evaluation.proving import Judged, judged
from tests.evaluation.sources import Source, Workshop, data_folder
from tests.evaluation.table import Table, folded

#: photos a half for the ladders, hard negatives
_SCALES = {"small": (6, 500), "ci": (12, 2_000), "full": (60, 10_500)}
_PARTS = ("labelled", "ladders", "edits", "negatives", "time")

_workshop: Workshop | None = None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.evaluation", description=__doc__)
    parser.add_argument("--scale", choices=_SCALES, default="ci")
    parser.add_argument("--only", choices=_PARTS, nargs="+", default=_PARTS)
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 1)))
    parser.add_argument("--wrong", type=Path, help="write the pairs that went wrong there, one JSON object a line")
    chosen = parser.parse_args()
    folder = data_folder()
    if folder is None:
        sys.exit("no evaluation images: set DEEPDUPE_TEST_DATA to the folder that holds them")
    photos, negatives = _SCALES[chosen.scale]
    wrong: list[dict[str, object]] = []
    with ProcessPoolExecutor(chosen.jobs) as pool:
        if "labelled" in chosen.only:
            _report("labelled pairs", _measured(pool, labelled(folder)), wrong, fold=True)
        for held_out in (False, True):
            half = "held out" if held_out else "tuned on"
            sources = picked_sources(folder, photos, held_out=held_out)
            if "ladders" in chosen.only:
                _report(f"ladders, photos {half}", _measured(pool, ladders(sources, folder, Workshop())), wrong)
            if "edits" in chosen.only:
                _report(f"one place changed, {half}", _measured(pool, local_edits(sources, folder, Workshop())), wrong)
        if "negatives" in chosen.only:
            _report("look-alikes among distinct photos", _negatives(pool, folder, negatives), wrong, fold=True)
    if "time" in chosen.only:
        from tests.evaluation.timing import timing_lines

        print("\n".join(timing_lines(folder)))
    if chosen.wrong:
        chosen.wrong.write_text("".join(json.dumps(row) + "\n" for row in wrong))
    return 0


def _judge(example: Example) -> tuple[str, str, str, bool, Judged]:
    global _workshop  # one a process: its decoders keep their tables
    _workshop = _workshop or Workshop()
    return example.expect, example.op, example.name, example.held_out, judged(example.a, example.b, _workshop)


def _measured(pool: ProcessPoolExecutor, examples: Iterable[Example]) -> Iterator[tuple[str, str, str, bool, Judged]]:
    for chunk in itertools.batched(examples, 64) if sys.version_info >= (3, 12) else _batched(examples, 64):
        yield from pool.map(_judge, chunk, chunksize=4)


def _batched(items: Iterable[Example], size: int) -> Iterator[list[Example]]:
    waiting = iter(items)
    while batch := list(itertools.islice(waiting, size)):
        yield batch


def _negatives(pool: ProcessPoolExecutor, folder: Path, count: int) -> Iterator[tuple[str, str, str, bool, Judged]]:
    examples = (_of(negative, folder) for negative in hard_negatives(folder, count))
    yield from _measured(pool, examples)


def _of(negative: Negative, folder: Path) -> Example:
    def read(source: Source) -> bytes:
        return (folder / source.name).read_bytes()

    near = "PDQ within 31" if negative.pdq <= 31 else "PDQ 32 to 62" if negative.pdq <= 62 else "PDQ beyond"
    name = f"{negative.a.name} {negative.b.name}"
    return Example("look-alike", near, name, read(negative.a), read(negative.b))


def _report(
    title: str,
    outcomes: Iterable[tuple[str, str, str, bool, Judged]],
    wrong: list[dict[str, object]],
    *,
    fold: bool = False,
) -> None:
    began = time.monotonic()
    table = Table(title)
    for expect, op, name, _, outcome in outcomes:
        table.add(expect, op, outcome)
        if _is_wrong(expect, outcome):
            comparison = outcome.comparison.to_dict() if outcome.comparison else None
            wrong.append({"expect": expect, "op": op, "name": name, "got": outcome.verdict, "comparison": comparison})
    shown = folded(table, _coarse) if fold else table
    print("\n".join(shown.lines()))
    print(f"({time.monotonic() - began:.0f} s)\n", flush=True)


def _coarse(op: str) -> str:
    return re.sub(r" (hopper\S*|\S+\.(png|jpg|webp))$", "", re.sub(r"EXIF orientation \d", "EXIF orientation", op))


def _is_wrong(expect: str, outcome: Judged) -> bool:
    verdict = outcome.ruling.verdict_class
    automatic = verdict is not None and verdict.proven
    if expect in ("same", "exact", "pixel"):
        return not automatic
    if expect in ("similar", "distinct", "variant", "look-alike"):
        return automatic or outcome.verdict == "edited"
    if expect == "not automatic":
        return automatic
    if expect == "ambiguous":
        return False
    return outcome.verdict not in ("identical-bytes", "identical-pixels", "re-encoded", "edited")


if __name__ == "__main__":
    sys.exit(main())
