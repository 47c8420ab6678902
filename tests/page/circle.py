"""The circle of a person's day: what arrives, what is decided about it on the page, and what is true afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from deepdupe_daemon.ledger import ActionState, Ledger
from tests.cli.pictures import picture, save
from tests.conftest import Eventually
from tests.page.conftest import complaints, screen

__all__ = ["ARRIVING", "KEPT", "LEFT", "assert_decided", "decide"]


def _mirrored(number: int) -> Callable[[Path], None]:
    return lambda path: picture(number).transpose(0).save(path, quality=90)


#: number of the picture -> its name in the protected folder
KEPT: Mapping[int, str] = {number: f"photo{number}.jpg" for number in (1, 2, 3, 4)}
#: name -> how it comes into the folder that is quarantined from. The re-encoded ones move by themselves.
ARRIVING: Mapping[str, Callable[[Path], None]] = {
    "again1.jpg": lambda path: save(1, path, quality=70),
    "again2<b>.jpg": lambda path: save(2, path, quality=70),
    "mirrored3.jpg": _mirrored(3),
    "mirrored4.jpg": _mirrored(4),
}
#: what is in that folder in the end
LEFT = [".deepdupe-quarantine", "again1.jpg", "mirrored3.jpg"]


def decide(browser: Chrome, address: str, copies: Path, eventually: Eventually) -> None:
    """Restore `again1`, mark `mirrored3` as no duplicate, and accept `mirrored4`, with the keys."""
    screen(browser, 1280)
    browser.get(address)
    complaints(browser)
    cards = eventually(lambda: _by_name(browser, len(ARRIVING)), 60)
    assert {name: card.action for name, card in cards.items()} == {
        "again1.jpg": "quarantined",
        "again2<b>.jpg": "quarantined",
        "mirrored3.jpg": "",
        "mirrored4.jpg": "",
    }
    _press(browser, cards["again1.jpg"].place, "r")
    eventually(lambda: (copies / "again1.jpg").exists(), 120, every_s=0.1)
    eventually(lambda: _action(browser, "again1.jpg") in ("gone", "restored"), 60)
    _press(browser, eventually(lambda: _by_name(browser).get("mirrored3.jpg"), 60).place, "n")
    eventually(lambda: _action(browser, "mirrored3.jpg") == "gone", 60)
    _press(browser, eventually(lambda: _by_name(browser).get("mirrored4.jpg"), 60).place, "a")
    eventually(lambda: _action(browser, "mirrored4.jpg") == "quarantined", 120)
    assert not (copies / "mirrored4.jpg").exists()
    # a picture that moved while it was drawn is not there, and is shown at the next look
    assert not [line for line in complaints(browser) if "404" not in line]


def assert_decided(ledger: Ledger, copies: bytes) -> None:
    """`copies`: the folder as the ledger knows it."""
    states = {
        os.fsdecode(os.path.relpath(row.first.file.path, copies)): row.state
        for row in ledger.actions()
        if row.first.file.path.startswith(copies + b"/")
    }
    assert states == {
        "again1.jpg": ActionState.RESTORED,
        "again2<b>.jpg": ActionState.QUARANTINED,
        "mirrored4.jpg": ActionState.QUARANTINED,
    }
    closed = [row for row in ledger.verdicts_for(copies + b"/mirrored3.jpg") if not row.current]
    assert [row.closed_reason for row in closed] == ["marked not-duplicate"]


@dataclass(frozen=True)
class Card:
    place: int  # of its group
    action: str  # its badge; "" where nothing was done


def _by_name(browser: Chrome, count: int = 0) -> dict[str, Card]:
    """The copies on the page; {} while there are not `count` of them."""
    rows = browser.execute_script(
        "const all = (of, what) => [...of.querySelectorAll(what)];"
        "return all(document, '.group').flatMap((group, place) => all(group, '.copy').map((card) => ["
        "card.querySelector('.name').textContent, place, all(card, '.badge.action').map((b) => b.textContent).join()]))"
    )
    found = {name: Card(place, action) for name, place, action in rows}
    return found if len(found) >= count else {}


def _action(browser: Chrome, name: str) -> str:
    """The badge of that copy, from one look at the page: it is drawn anew meanwhile."""
    card = _by_name(browser).get(name)
    return "gone" if card is None else card.action


def _press(browser: Chrome, place: int, key: str) -> None:
    """Go to the group at that place with the keys, and press one more."""
    browser.find_element(By.TAG_NAME, "h1").click()
    ActionChains(browser).send_keys("k" * 9 + "j" * place + key).perform()
