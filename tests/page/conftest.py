"""A real browser without a window, and groups made up for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from deepdupe_daemon.model import Comparison, ExifFacts, ImageFacts, Relation, VerdictClass
from deepdupe_daemon.page import Group, Shown, ShownCopy

#: as root Chromium has no sandbox of its own; the rest keeps it from asking the network for things of its own
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars"
)

HOSTILE = (
    b"<img src=x onerror=document.title='owned'>.jpg",
    b"\"'><script>document.title='owned'<\\script>.jpg",
    b"&lt;b&gt;not bold&amp;.jpg",
    b"caf\xe9\n\x1b[31m.jpg",
    "\u202egpj.exe.jpg".encode(),
    b"{{constructor.constructor('1')()}}${1+1}.jpg",
)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Chromium, driven; skips where it or its driver is not installed."""
    chromium, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if chromium is None or driver is None:
        pytest.skip("Chromium and its driver are not installed (Debian: chromium, chromium-driver)")
    options = Options()
    options.binary_location = chromium
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    started.set_page_load_timeout(120)
    yield started
    started.quit()


def screen(browser: webdriver.Chrome, width: int, height: int = 900, *, dark: bool = False) -> None:
    """The window's size in CSS pixels, and what the person's system prefers."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    prefers = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": prefers})


def complaints(browser: webdriver.Chrome) -> list[str]:
    """What the browser has to say about the page: refused by policy, not found, errors of the script."""
    return [str(entry["message"]) for entry in browser.get_log("browser")]  # type: ignore[no-untyped-call]


def shown(path: bytes, number: int = 0, size: int = 100_000) -> Shown:
    exif = ExifFacts(captured_at="2024:05:01 10:00:00", camera="A camera")
    facts = ImageFacts(width_px=640, height_px=480, format="JPEG", mode="RGB", exif=exif)
    return Shown(path=path, held=path, digest=number.to_bytes(32), size=size, facts=facts)


def group(number: int, name: bytes | None = None, **others: Any) -> Group:
    """Group `number`: a keeper and one copy."""
    values: dict[str, Any] = {
        "label": f"v{number}",
        "verdict_class": VerdictClass.RE_ENCODED if number % 3 else VerdictClass.EDITED,
        "comparison": Comparison(Relation.SAME, 0.99, transform="" if number % 3 else "mirrored"),
        "similarities": {"pdq.hash": 0.9 + number % 10 / 100},
        "vetoes": (),
        "keeper_rule": "first",
        "decided_at_ns": 1_700_000_000_000_000_000 + number,
        "action": "observed",
        "action_id": None,
    }
    copy = shown(b"/photos/copies/" + (name or b"copy%05d.jpg" % number), 2 * number + 1, size=1000 * (number + 1))
    keeper = shown(b"/photos/2024/IMG_%05d.jpg" % number, 2 * number)
    return Group(keeper, (ShownCopy(file=copy, **{**values, **others}),))


def write(folder: Path, groups: list[Group]) -> str:
    """The page of these groups in `folder`, without pictures; its address."""
    from deepdupe_daemon.page.document import document

    file = folder / "index.html"
    facts = {"made": "made for a test", "can": []}
    file.write_text(document(groups, facts=facts, pictures={"thumb": "thumbs", "heat": "heat"}), "utf-8")
    return file.as_uri()
