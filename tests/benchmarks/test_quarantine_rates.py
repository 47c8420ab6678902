"""Ten thousand duplicates in a burst with quarantine on: the rate, the ledger, and what bringing them back costs."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from deepdupe_daemon.act import Taken
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import load_config
from deepdupe_daemon.ledger import ActionState, Ledger
from deepdupe_daemon.service.carrier import Carrier
from tests.acceptance.test_quarantine import Service
from tests.benchmarks.processes import now_s
from tests.conftest import Eventually
from tests.service.pictures import photo, save

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

ORIGINALS = 100
COPIES = 100


def say(text: str) -> None:
    print(text, file=sys.__stderr__, flush=True)


def test_ten_thousand_duplicates_in_a_burst(tmp_path: Path, project_root: Path, eventually: Eventually) -> None:
    service = Service(tmp_path, project_root)
    service.config.write_text(service.config.read_text().replace("most: 1000", "most: 1000000"))
    for seed in range(ORIGINALS):
        save(photo(seed, (192, 144)), service.photos / f"{seed:03}.jpg", quality=90)
    service.start()
    try:
        eventually(service.switched, timeout_s=300, every_s=0.1)
        began_s = now_s()
        for number in range(COPIES):
            folder = service.photos / f"burst-{number:03}"
            folder.mkdir()
            for seed in range(ORIGINALS):
                shutil.copy(service.photos / f"{seed:03}.jpg", folder)
        copied_s = now_s() - began_s
        wanted = ORIGINALS * COPIES
        eventually(lambda: service.numbers().get("quarantined", 0) == wanted, timeout_s=3000, every_s=0.5)
        took_s = now_s() - began_s
    finally:
        if service.running:
            service.terminate()
    ledger_bytes = sum(path.stat().st_size for path in service.state_dir.glob("ledger.sqlite*"))
    say(
        f"\n{wanted:,} duplicates: copied in {copied_s:.0f} s, all quarantined {took_s:.0f} s after the first,"
        f" {wanted / took_s:.0f}/s from arrival to quarantine; ledger {ledger_bytes / 2**20:.1f} MiB"
        f" ({ledger_bytes / (wanted + ORIGINALS):,.0f} bytes a file)"
    )
    began_s = now_s()
    assert service.command("verify")[0] == 0
    say(f"verify: {wanted / (now_s() - began_s):,.0f} files/s")
    config = load_config(service.config)
    with Ledger.open(config.state_dir, SystemClock()) as ledger:
        carrier = Carrier(config, ledger, SystemClock(), lambda _record: None)
        some = [row.action_id for row in ledger.actions(states={ActionState.QUARANTINED})][:1000]
        began_s = now_s()
        for action_id in some:
            carrier.restore(action_id, taken=Taken.REFUSE)
        say(f"restore: {len(some) / (now_s() - began_s):.0f} files/s")
    resting, away = service.contents()
    assert sum(resting.values()) == ORIGINALS + len(some)
    assert sum(away.values()) == wanted - len(some)
    assert all(os.path.exists(service.photos / f"{seed:03}.jpg") for seed in range(ORIGINALS))
