"""The viewer in a real Chromium, by keyboard alone, at 400 and 1600 px: frames, clips, layers, heads and cells."""

import os
import re
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from browser import Page, needs_chromium
from tiny_play import tiny_run

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A viewer of tiny models, and where it answers."""
    folder = tmp_path_factory.mktemp("view")
    run = tiny_run(folder / "run", acts=False, scenarios=("collision", "occlusion"))
    command = [sys.executable, "-m", "vidworld", "view", run, "--port", "0", "--sampling-steps", "1"]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True, env=os.environ)
    address = re.search(r"http://\S+", process.stdout.readline())[0]
    yield SimpleNamespace(address=address, folder=folder, run=run)
    process.kill()
    process.wait()


def opened(folder, address, width):
    place = SimpleNamespace(parent=folder / f"at_{width}", as_uri=lambda: address)
    place.resolve = lambda: place
    place.parent.mkdir(exist_ok=True)
    return Page(place, width, 900)


def until(page, expression, seconds=120):
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, (expression, page.errors, page.evaluate("document.body.innerText"))
        time.sleep(0.1)


def text(page, place):
    return page.evaluate(f"document.querySelector({place!r}).textContent")


@pytest.mark.parametrize("width", [400, 1600])
def test_all_of_the_viewer_by_keys(served, width):
    with opened(served.folder, served.address, width) as page:
        until(page, "view !== null")
        assert page.evaluate("frame === view.context")
        while page.evaluate("frame") < 9:
            page.press("ArrowRight")
        assert page.evaluate("frame") == 9 and "frame 10 of 16" in text(page, "#frame")
        page.press("ArrowLeft")
        page.press("]")
        until(page, "view.choice.endsWith('/1')")
        assert page.evaluate("frame") == 8
        page.press("u")
        page.press("r")
        assert page.evaluate("[layer, places]") == ["surprises", False]
        page.press("i")
        until(page, "inner.found && inner.reads")
        assert page.evaluate("[...$('layer').options].map(option => option.text)") == ["encoder 0", "predictor 0"]
        shares = page.evaluate("[...document.querySelectorAll('#looks figcaption')].map(one => one.textContent)")
        assert len(shares) == 3 and 98 <= sum(int(re.search(r"(\d+)%", share)[1]) for share in shares) <= 102
        page.press("l")
        until(page, "inner.found.layer === 1 && $('layer').selectedIndex === 1")
        assert "predictor 0" in text(page, "#reads tr.on")
        for key in "awds":
            page.press(key)
        assert page.evaluate("inner.cell") == [1, 1]
        page.press("m")
        until(page, "$('who').selectedIndex === 1 && inner.found && inner.found.layers.length === 1 && inner.reads")
        assert page.evaluate("[...document.querySelectorAll('#reads tr')].length") == 2 + 2
        page.screenshot(served.folder / f"view_{width}.png")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        page.press("i")
        assert page.evaluate("$('inner').open") is False
        assert page.errors == []


CONTROLS = "[...document.querySelectorAll('button, select, input, summary')]"


def test_every_control_is_reached_by_tab(served):
    with opened(served.folder, served.address, 800) as page:
        until(page, "view !== null")
        page.evaluate("document.activeElement.blur(), 0")
        reached = set()
        for _ in range(60):
            page.press("Tab")
            reached.add(page.evaluate(f"{CONTROLS}.indexOf(document.activeElement)"))
        assert len(reached - {-1}) == page.evaluate(f"{CONTROLS}.filter(one => one.checkVisibility()).length")
        page.evaluate("document.querySelector('[data-do=errors]').focus(), 0")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        before = page.evaluate("layer")
        page.press("Enter")
        assert page.evaluate("layer") != before


def test_a_page_for_sharing_says_where_layers_are(served):
    path = served.folder / "shared" / "page.html"
    command = [sys.executable, "-m", "vidworld", "view", served.run, "--static", path, "--clips", "clip/collision/id/0"]
    subprocess.run(list(map(str, command)), check=True, env=os.environ)
    with Page(path, 1200, 900) as page:
        until(page, "view !== null")
        page.press("i")
        assert "by “vidworld view RUN”" in text(page, "#innersay") and page.errors == []
