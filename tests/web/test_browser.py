"""The studio as people meet it: in headless Chromium, at a desktop's and a phone's width."""

import io
import os
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from studio_app import small_model

from biggan import BigGAN
from biggan.web.serve import listen, make_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SIZES = {"desktop": {"width": 1280, "height": 820}, "phone": {"width": 390, "height": 844}}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; on Debian: apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []     # root has none
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., str]]:
    """A function from models to the address that they are served at."""
    running = []

    def start(*models: BigGAN) -> str:
        server = make_server({Path(f"runs/demo{k or ''}"): model for k, model in enumerate(models)})
        listening = listen(0)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture(scope="module")
def pair(serve: Callable[..., str]) -> str:
    return serve(small_model(), small_model(seed=1))


@pytest.fixture(scope="module")
def many(serve: Callable[..., str]) -> str:
    return serve(small_model(300))


def opened(browser: Browser, address: str, size: str = "desktop") -> Page:
    """The page, which fails the test for any error or warning in its console."""
    context = browser.new_context(
        viewport=SIZES[size], permissions=["clipboard-read", "clipboard-write"], has_touch=size == "phone"
    )
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda said: page.complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.goto(address)
    return page


def settled(page: Page) -> list[str]:
    """The images of the grid once all are drawn."""
    expect(page.locator("#grid .tile").first).to_be_visible()
    expect(page.locator("#grid img.stale")).to_have_count(0)
    expect(page.locator("#busy")).to_have_text("")
    return [str(image.get_attribute("src")) for image in page.locator("#grid img").all()]


def closed(page: Page) -> None:
    assert page.complaints == []
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    page.context.close()


@pytest.mark.parametrize("size", SIZES)
def test_pick_truncate_reroll_mix_compare(browser: Browser, pair: str, size: str) -> None:
    page = opened(browser, pair, size)
    first = settled(page)
    assert len(first) == 48                     # 24 pictures by two models
    assert len(set(first)) > 40
    captions = page.locator("#grid .caption")
    assert captions.nth(0).inner_text() == "tench · 0"

    page.get_by_role("button", name="goldfish", exact=True).click()
    picked = settled(page)
    assert all("goldfish" in caption for caption in captions.all_inner_texts())
    assert picked != first

    page.get_by_role("slider", name="Truncation").press("Home")
    expect(page.locator("#truncation-value")).to_have_text("0.10")
    expect(page.locator("#statistics")).to_contain_text("at most 0.1, with batch statistics of its own")
    assert settled(page) != picked

    page.get_by_role("slider", name="Truncation").press("End")
    expect(page.locator("#statistics")).to_contain_text("N(0, 1)")
    assert settled(page) == picked              # the same seeds, the same pixels
    page.get_by_role("button", name="Re-roll").first.click()
    rerolled = settled(page)
    assert rerolled != picked
    assert page.get_by_role("spinbutton", name="Seed").input_value() != "0"

    page.get_by_role("button", name="hen", exact=True).click()
    page.get_by_text("Mixed").click()
    mixed = settled(page)
    assert captions.nth(0).inner_text().startswith("goldfish + hen")
    page.get_by_role("slider", name="Weight of hen").press("Home")
    expect(page.locator(".weights output").last).to_have_text("9 %")
    page.wait_for_timeout(200)
    assert settled(page) != mixed

    page.get_by_label("Side by side").uncheck()
    assert len(settled(page)) == 24
    closed(page)


@pytest.mark.parametrize("size", SIZES)
def test_explore_interpolate_download_copy(browser: Browser, pair: str, size: str) -> None:
    page = opened(browser, pair, size)
    page.get_by_label("Side by side").uncheck()
    shown = settled(page)
    page.locator(".tile").nth(3).click()
    expect(page.locator("#around")).to_be_visible()
    neighbours = settled(page)
    assert len(set(neighbours)) == 12
    assert page.locator("#centre img").get_attribute("src") == shown[3]
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save PNG").click()
    assert Image.open(waiting.value.path()).size == (8, 8)

    page.get_by_role("button", name="From here (A)").click()
    page.locator(".tile").nth(5).click()
    expect(page.locator("#centre img")).to_have_attribute("src", neighbours[5])
    page.get_by_role("button", name="To here (B)").click()
    expect(page.locator("#path")).to_be_visible()
    expect(page.locator("#busy")).to_have_text("")
    frame, scrubber = page.locator("#frame img"), page.get_by_role("slider", name="Position")
    assert frame.get_attribute("src") == shown[3]
    scrubber.press("End")
    assert frame.get_attribute("src") == neighbours[5]
    page.get_by_role("button", name="Play").click()
    expect(scrubber).not_to_have_value("24")
    page.get_by_role("button", name="Pause").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save GIF").click()
    assert Image.open(waiting.value.path()).format == "GIF"
    page.get_by_role("button", name="Copy code").click()
    page.get_by_role("button", name="Copy Python").click()
    expect(page.get_by_role("button", name="Copy Python")).to_have_text("Copied")
    assert "frames = path(" in page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Close").click()

    for _ in range(3):
        page.keyboard.press("Escape")
    expect(page.locator("#title")).to_have_text("Pictures")
    assert settled(page) == shown
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save zip").click()
    names = zipfile.ZipFile(io.BytesIO(Path(waiting.value.path()).read_bytes())).namelist()
    assert len(names) == 26
    closed(page)


def test_the_keyboard_is_enough(browser: Browser, many: str) -> None:
    page = opened(browser, many)
    settled(page)
    page.keyboard.press("/")
    expect(page.get_by_role("combobox", name="Find a class")).to_be_focused()
    page.keyboard.type("class 29")
    options = page.locator("#matches [role=option]")
    assert options.all_inner_texts()[:3] == ["class 29", "class 290", "class 291"]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    settled(page)
    assert set(page.locator(".caption").all_inner_texts()) == {f"class 290 · {k}" for k in range(24)}
    expect(page.locator("#matches")).to_be_hidden()

    page.locator(".tile").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    columns = page.evaluate("[...document.querySelectorAll('.tile')].findIndex(t => t === document.activeElement) - 1")
    assert columns > 1
    page.keyboard.press("a")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("b")
    expect(page.locator("#path")).to_be_visible()
    expect(page.get_by_role("slider", name="Position")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#title")).to_have_text("Pictures")
    page.locator(".tile").nth(2).press("Enter")
    expect(page.locator("#around")).to_be_visible()
    settled(page)
    before = page.locator("#grid img").first.get_attribute("src")
    page.keyboard.press("r")
    expect(page.locator("#grid img").first).not_to_have_attribute("src", str(before))
    settled(page)
    closed(page)


def test_waiting_and_failing_are_said(browser: Browser, many: str) -> None:
    page = opened(browser, many)
    settled(page)
    tries: list[int] = []

    def busy_once(route: Route) -> None:
        tries.append(1)
        if len(tries) == 1:
            line = '{"error": "16 drawings are waiting already; try again in 1 s"}'
            route.fulfill(status=429, headers={"retry-after": "1"}, body=line)
        else:
            route.continue_()

    page.route("**/api/draw", busy_once)
    page.keyboard.press("r")
    expect(page.locator("#busy")).to_contain_text("waiting already")
    settled(page)
    page.unroute("**/api/draw")
    page.route("**/api/draw", lambda route: route.abort())
    page.keyboard.press("r")
    expect(page.get_by_role("alert")).to_contain_text("Is it still running")
    page.unroute("**/api/draw")
    page.get_by_role("spinbutton", name="Seed").fill("9007199254740991")
    page.get_by_role("spinbutton", name="Seed").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("seed")
    page.get_by_role("button", name="Re-roll").first.click()
    settled(page)
    expect(page.get_by_role("alert")).to_be_hidden()
    said, page.complaints = page.complaints, []
    assert all("Failed to load resource" in line for line in said)
    closed(page)
