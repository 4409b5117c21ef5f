"""`loader top --web` in Chromium: what is seen, heard and typed there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from loader import Loader
from loader.watch.top.web import web_server
from tests.batches import take
from tests.cli.served import SOURCE, running
from tests.processes import supervisor_of, wait_until, workers_of
from tests.unit.watch.statuses import FAR, status

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.usefixtures("own_folder"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
    pytest.mark.leaves_behind("Chromium keeps a process in reserve"),
]

KEY = "a-key"

# Of each piece of text that is shown, the least contrast that it has with what is behind it, as WCAG 2 counts it.
CONTRAST = """() => {
  const linear = one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4;
  const light = text => {
    const [red, green, blue] = text.match(/[0-9.]+/g).map(one => linear(one / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = at => {
    while (at && getComputedStyle(at).backgroundColor === "rgba(0, 0, 0, 0)") at = at.parentElement;
    return at ? getComputedStyle(at).backgroundColor : "rgb(255, 255, 255)";
  };
  const contrast = at => {
    const [less, more] = [light(getComputedStyle(at).color), light(behind(at))].sort((one, other) => one - other);
    return (more + 0.05) / (less + 0.05);
  };
  const hasText = at => [...at.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
  const texts = [...document.querySelectorAll("body *:not(script)")].filter(at => at.checkVisibility() && hasText(at) && !at.closest(":disabled"));
  return Math.min(...texts.map(contrast));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def url() -> Iterator[str]:
    with running(web_server(0, 0.1, KEY)) as serving:
        yield serving.url


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that fails the test if its script does, or if it asks anybody else for anything."""
    context = browser.new_context()
    opened, wrong = context.new_page(), []
    opened.set_default_timeout(20_000)
    opened.on("console", lambda said: wrong.append(said.text) if said.type == "error" and "ERR_" not in said.text else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith(("http://127.0.0.1:", "data:")) else None)
    yield opened
    context.close()
    assert wrong == []


def shows(page: Any, words: str) -> None:
    """Wait until words are seen."""
    page.get_by_text(words).locator("visible=true").first.wait_for()


def test_it_shows_the_loader_and_follows_it(page: Any, url: str, train: Loader) -> None:
    page.goto(url)
    shows(page, "batch 0 of 50")
    assert page.title().startswith("train: ")
    assert page.locator("#verdict").text_content()
    assert [row.split("\t")[1] for row in page.locator("#workers tr").all_inner_texts()] == [str(pid) for pid in workers_of(train)]
    batches = train.batches()
    for _ in range(7):
        next(batches)
    shows(page, "batch 7 of 50")
    wait_until(lambda: page.locator("#rate-curve path").get_attribute("d"), "there is a curve")


def test_workers_are_changed_with_keys_and_buttons_by_whoever_has_the_key(page: Any, url: str, train: Loader) -> None:
    page.goto(f"{url}/#key={KEY}")
    page.get_by_role("button", name="One worker more").wait_for()
    page.keyboard.press("+")
    wait_until(lambda: page.locator("#reply").text_content() == "workers 2 → 3", "the key is answered")
    assert page.get_by_role("status").text_content() == "workers 2 → 3"
    page.get_by_role("button", name="One worker more").focus()
    page.keyboard.press("Enter")
    wait_until(lambda: page.locator("#reply").text_content() == "workers 3 → 4", "the button is answered")
    wait_until(lambda: page.get_by_role("button", name="One worker more").is_disabled(), "there are no more")
    page.keyboard.press("a")
    shows(page, "number chosen by auto")
    wait_until(lambda: len(workers_of(train)) == 4, "4 workers run")


def test_without_the_key_nothing_can_be_changed(page: Any, url: str, train: Loader) -> None:
    page.goto(url)
    shows(page, "batch 0 of 50")
    assert not page.locator("#controls").is_visible()
    page.keyboard.press("+")
    assert page.locator("#reply").text_content() == ""


def test_names_are_text_whatever_they_are(page: Any, url: str) -> None:
    wild = '<img src=x onerror="document.title=1">&amp;'
    given = status(name=wild, script=wild, verdict=wild, decisions=[{"ago_s": 1.0, "text": wild}], network=FAR)
    for part, name in (("workers", "sample"), ("stages", "name")):
        given[part][0][name] = wild
    told = json.dumps({"may_set": True, "loaders": [{"pid": 77, "name": wild, "status": given}]})
    page.route("**/events", lambda route: route.fulfill(content_type="text/event-stream", body=f"data: {told}\n\n"))
    page.goto(url)
    wait_until(lambda: "waiting" in page.title(), "it is shown")
    assert page.locator("body").inner_text().count(wild) >= 4
    assert page.locator("#loader option").all_inner_texts() == [wild]
    assert page.locator("img").count() == 0


def test_of_several_loaders_one_is_chosen_and_another_takes_the_place_of_one_that_ends(page: Any, url: str, train: Loader) -> None:
    with Loader(SOURCE, 8, workers=1, name="val") as val:
        take(val)
        page.goto(f"{url}/#pid={supervisor_of(val)}")
        shows(page, f"supervisor {supervisor_of(val)}")
        page.keyboard.press("n")
        shows(page, f"supervisor {supervisor_of(train)}")
        page.get_by_role("combobox", name="Loader").select_option("val")
        shows(page, f"supervisor {supervisor_of(val)}")
    shows(page, "ended")
    with Loader(SOURCE, 8, workers=1, name="val") as val:
        take(val)
        shows(page, f"supervisor {supervisor_of(val)}")


def test_a_loader_that_hangs_is_said_to_and_so_is_a_server_that_has_ended(page: Any, train: Loader) -> None:
    serving = web_server(0, 0.1, None)
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
    thread.start()
    page.goto(serving.url)
    shows(page, "batch 0 of 50")
    pid = supervisor_of(train)
    os.kill(pid, signal.SIGSTOP)
    shows(page, "does not answer")
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: not page.locator("#state").is_visible(), "it answers again")
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_without_a_loader_it_waits_for_one(page: Any, url: str) -> None:
    page.goto(url)
    shows(page, "No loader of yours is running")
    with Loader(SOURCE, 8, workers=1, name="late") as loader:
        take(loader)
        shows(page, "batch 0 of 50")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_in_dark_and_on_a_phone(browser: Any, url: str, train: Loader, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"{url}/#key={KEY}")
    shows(page, "batch 0 of 50")
    page.locator("summary").click()
    assert page.evaluate(CONTRAST) >= 4.5
    red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (red + green + blue > 600) == (scheme == "light")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    sizes = [button.bounding_box() for button in page.get_by_role("button").all()]
    assert len(sizes) == 3
    assert min(min(size["width"], size["height"]) for size in sizes if size) >= 24
    context.close()


def test_a_screen_reader_finds_what_there_is_by_its_name(page: Any, url: str, train: Loader) -> None:
    page.goto(f"{url}/#key={KEY}")
    shows(page, "batch 0 of 50")
    for role, name in (
        ("combobox", "Loader"),
        ("region", "Verdict"),
        ("table", "Workers"),
        ("img", "The last minute, share of the time that training waited"),
        ("button", "One worker fewer"),
        ("button", "auto"),
        ("columnheader", "Samples/s"),
        ("rowheader", "0"),
    ):
        assert page.get_by_role(role, name=name).count() >= 1, (role, name)
    headings = page.locator("h1, h2").evaluate_all("all => all.filter(at => at.checkVisibility()).map(at => at.tagName)")
    assert headings[0] == "H1"
    assert set(headings[1:]) == {"H2"}


def test_focus_stays_where_it_is_while_figures_change(page: Any, url: str, train: Loader) -> None:
    page.goto(f"{url}/#key={KEY}")
    button = page.get_by_role("button", name="One worker more")
    button.focus()
    page.evaluate("document.activeElement.dataset.mine = 'yes'")
    batches = train.batches()
    next(batches)
    shows(page, "batch 1 of 50")
    assert page.evaluate("document.activeElement.dataset.mine") == "yes"
