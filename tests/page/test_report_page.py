"""The report in a real browser: what it shows, what it refuses, keys, and thousands of groups."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from deepdupe_daemon.page.document import document
from tests.conftest import Eventually
from tests.page.conftest import HOSTILE, complaints, group, screen, write


def names(browser: Chrome, kind: str = "copy") -> list[str]:
    script = f"return [...document.querySelectorAll('.{kind} .name')].map((each) => each.textContent)"
    found: list[str] = browser.execute_script(script)
    return found


def heading(browser: Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "h1").text


def press(browser: Chrome, keys: str) -> None:
    ActionChains(browser).send_keys(keys).perform()


@pytest.fixture
def page(browser: Chrome, tmp_path: Path) -> Chrome:
    """Thirty groups at 1280 pixels."""
    screen(browser, 1280)
    browser.get(write(tmp_path, [group(number) for number in range(30)]))
    complaints(browser)
    return browser


def test_a_hostile_name_is_text_and_nothing_else(browser: Chrome, tmp_path: Path) -> None:
    screen(browser, 1280)
    browser.get(write(tmp_path, [group(number, name) for number, name in enumerate(HOSTILE)]))
    assert names(browser) == [
        "<img src=x onerror=document.title='owned'>.jpg",
        "\"'><script>document.title='owned'<\\script>.jpg",
        "&lt;b&gt;not bold&amp;.jpg",
        "caf\\xe9\\n\\x1b[31m.jpg",
        "\\u202egpj.exe.jpg",
        "{{constructor.constructor('1')()}}${1+1}.jpg",
    ]
    assert browser.title == "Duplicates"
    assert not browser.find_elements(By.CSS_SELECTOR, "img[src='x']")
    assert len(browser.find_elements(By.TAG_NAME, "script")) == 2
    assert not [line for line in complaints(browser) if "thumbs/" not in line], "the pictures alone are missing"


def test_a_name_cannot_end_the_data() -> None:
    page = document([group(1, b"</script><!--<script>.jpg")], facts={}, pictures={})
    assert page.count("</script>") == 2
    assert "<!--" not in page


def test_the_policy_forbids_everything_but_the_page_itself(page: Chrome) -> None:
    ran = page.execute_async_script(
        "const done = arguments[0]; const refused = [];"
        "document.addEventListener('securitypolicyviolation', (e) => refused.push(e.effectiveDirective));"
        "const s = document.createElement('script'); s.textContent = 'window.owned = 1'; document.body.append(s);"
        "const i = new Image(); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(i);"
        "const f = document.createElement('iframe'); f.src = 'data:text/html,x'; document.body.append(f);"
        "fetch('http://127.0.0.1:9/').catch(() => {}); document.body.setAttribute('onclick', 'window.owned = 2');"
        "document.body.click(); setTimeout(() => done([window.owned || 0, refused]), 500);"
    )
    assert ran[0] == 0
    assert {"script-src-elem", "img-src", "frame-src", "connect-src", "script-src-attr"} <= set(ran[1])


def test_nothing_is_asked_of_any_other_place(page: Chrome) -> None:
    asked = page.execute_script("return performance.getEntriesByType('resource').map((each) => each.name)")
    assert all(address.startswith("file://") for address in asked)


def test_finding_choosing_and_ordering(page: Chrome, eventually: Eventually) -> None:
    assert heading(page).startswith("Duplicates 30 groups, 30 copies")
    assert names(page)[:2] == ["copy00000.jpg", "copy00001.jpg"]
    find = page.find_element(By.CSS_SELECTOR, "input[type=search]")
    find.send_keys("img_0000 mirrored")
    assert eventually(lambda: names(page) == [f"copy{n:05d}.jpg" for n in (0, 3, 6, 9)], 60)
    find.clear()
    find.send_keys(" ")
    verdict, change, order = (Select(each) for each in page.find_elements(By.TAG_NAME, "select"))
    assert eventually(lambda: len(names(page)) == 30, 60)
    verdict.select_by_visible_text("edited")
    assert heading(page).startswith("Duplicates 10 groups")
    change.select_by_visible_text("mirrored")
    order.select_by_value("size")
    assert names(page)[0] == "copy00027.jpg"
    order.select_by_value("like")
    assert names(page)[0] == "copy00000.jpg"


def test_the_keys_go_from_group_to_group_and_show_the_differences(page: Chrome, eventually: Eventually) -> None:
    press(page, "jjj")
    (here,) = page.find_elements(By.CSS_SELECTOR, ".group.here")
    assert here.find_element(By.CSS_SELECTOR, ".copy.chosen .name").text == "copy00002.jpg"
    press(page, "k")
    (here,) = page.find_elements(By.CSS_SELECTOR, ".group.here")
    assert "copy00001.jpg" in here.text
    heat = page.find_element(By.ID, "heat")
    assert not heat.is_displayed()
    press(page, "d")
    assert heat.is_displayed()
    press(page, Keys.ESCAPE)
    assert not heat.is_displayed()
    press(page, "/zz")
    assert eventually(lambda: heading(page).startswith("Duplicates 0 groups"), 60)


def test_the_heat_map_comes_when_the_mouse_does(page: Chrome) -> None:
    picture = page.find_element(By.CSS_SELECTOR, ".copy .picture")
    ActionChains(page).move_to_element(picture).perform()
    assert page.find_element(By.ID, "heat").is_displayed()
    ActionChains(page).move_to_element(page.find_element(By.TAG_NAME, "h1")).perform()
    assert not page.find_element(By.ID, "heat").is_displayed()


def test_a_finger_sees_the_differences_too(browser: Chrome, tmp_path: Path) -> None:
    screen(browser, 390, 844)
    browser.get(write(tmp_path, [group(1), group(2)]))
    first, second = browser.find_elements(By.XPATH, "//button[text()='Differences']")
    heat = browser.find_element(By.ID, "heat")
    first.click()
    assert (heat.is_displayed(), first.get_attribute("aria-expanded")) == (True, "true")
    first.click()
    assert (heat.is_displayed(), first.get_attribute("aria-expanded")) == (False, "false")
    second.click()
    assert heat.is_displayed()
    assert [each.get_attribute("aria-expanded") for each in (first, second)] == ["false", "true"]
    browser.find_element(By.CSS_SELECTOR, ".keeper .name").click()
    assert not heat.is_displayed()


def test_what_differs_from_the_kept_one_stands_out(browser: Chrome, tmp_path: Path) -> None:
    screen(browser, 1280)
    browser.get(write(tmp_path, [group(7)]))
    (differs,) = browser.find_elements(By.CSS_SELECTOR, ".differs")
    assert differs.text == "8 kB", "the size alone; pixels, format and capture time are equal"
    assert "by rule: first" in browser.find_element(By.CSS_SELECTOR, ".keeper").text


def test_an_empty_page_says_so(browser: Chrome, tmp_path: Path, eventually: Eventually) -> None:
    screen(browser, 1280)
    browser.get(write(tmp_path, []))
    assert browser.find_element(By.TAG_NAME, "main").text == "No duplicates."
    browser.get(write(tmp_path, [group(1)]))
    browser.find_element(By.CSS_SELECTOR, "input[type=search]").send_keys("nothing like this")
    assert eventually(lambda: browser.find_element(By.TAG_NAME, "main").text.startswith("Nothing here fits"), 60)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_the_screen_and_the_persons_taste(browser: Chrome, tmp_path: Path, width: int, dark: bool) -> None:
    screen(browser, width, 844, dark=dark)
    browser.get(write(tmp_path, [group(number, b"a" * 200 + b".jpg") for number in range(3)]))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    paper, ink = browser.execute_script(
        "const s = getComputedStyle(document.body);"
        "return [s.backgroundColor, s.color].map((c) => c.match(/[0-9]+/g).slice(0, 3).map(Number))"
    )
    assert (sum(paper) < sum(ink)) is dark


def test_five_thousand_groups_are_drawn_as_they_come_into_view(
    browser: Chrome, tmp_path: Path, eventually: Eventually
) -> None:
    screen(browser, 1280)
    browser.get(write(tmp_path, [group(number) for number in range(5000)]))
    assert heading(browser).startswith("Duplicates 5,000 groups, 5,000 copies")
    first = len(browser.find_elements(By.CSS_SELECTOR, ".group"))
    assert 0 < first < 400
    browser.execute_script("window.scrollTo(0, document.body.scrollHeight)")
    assert eventually(lambda: len(browser.find_elements(By.CSS_SELECTOR, ".group")) > first, 60)
    browser.find_element(By.CSS_SELECTOR, "input[type=search]").send_keys("copy04999")
    assert eventually(lambda: names(browser) == ["copy04999.jpg"], 60)


@pytest.mark.benchmark
def test_how_soon_five_thousand_groups_are_painted_and_how_they_scroll(browser: Chrome, tmp_path: Path) -> None:
    screen(browser, 1280)
    address = write(tmp_path, [group(number) for number in range(5000)])
    size = (tmp_path / "index.html").stat().st_size
    browser.get(address)
    paint_ms = browser.execute_script(
        "return performance.getEntriesByName('first-contentful-paint').map((each) => each.startTime)[0]"
    )
    frames = browser.execute_async_script(
        "const done = arguments[0]; const at = []; let left = 120;"
        "const tick = (t) => { at.push(t); scrollBy(0, 400); if (left--) requestAnimationFrame(tick);"
        "else done(at.slice(1).map((t, i) => t - at[i]).sort((a, b) => a - b)); }; requestAnimationFrame(tick);"
    )
    drawn = len(browser.find_elements(By.CSS_SELECTOR, ".group"))
    middle, late = frames[len(frames) // 2], frames[int(len(frames) * 0.95)]
    print(
        f"\n5,000 groups, {size / 1e6:.1f} MB: first paint {paint_ms:.0f} ms; {len(frames)} frames of 400 px: "
        f"median {middle:.0f} ms, 95 % within {late:.0f} ms, {drawn} groups drawn"
    )
