"""The page in a real Chromium: keys and buttons, back, saved, at 400 and 1600 px, and when the server dies."""

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


@pytest.fixture
def served(tmp_path):
    """A server of tiny models, and where it answers."""
    command = [sys.executable, "-m", "vidworld", "play", tiny_run(tmp_path / "run"), "--port", "0"]
    command += ["--out", tmp_path / "out", "--sampling-steps", "1", "--environment", "puck"]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True, env=os.environ)
    address = re.search(r"http://\S+", process.stdout.readline())[0]
    yield SimpleNamespace(process=process, address=address, out=tmp_path / "out", folder=tmp_path)
    process.kill()
    process.wait()


def opened(served, width):
    place = SimpleNamespace(parent=served.folder / f"at_{width}", as_uri=lambda: served.address)
    place.resolve = lambda: place
    place.parent.mkdir(exist_ok=True)
    return Page(place, width, 900)


def until(page, expression, seconds=60):
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, (expression, page.errors, page.evaluate("document.body.innerText"))
        time.sleep(0.1)


def key(page, name):
    page.evaluate(f"dispatchEvent(new KeyboardEvent('keydown', {{key: {name!r}}}))")


def agent(page):
    return page.evaluate("current.agent")


def begun(page):
    """Time stands still until somebody acts."""
    until(page, "typeof current === 'object' && current && can.act")
    time.sleep(0.5)
    assert page.evaluate("[paused, current.chunk, current.size[0] > 4]") == [True, 0, True]
    assert "then time begins" in page.evaluate("document.getElementById('say').textContent")
    key(page, "ArrowRight")
    until(page, "current.chunk > 1 && !paused")
    page.evaluate("dispatchEvent(new KeyboardEvent('keyup', {key: 'ArrowRight'}))")


@pytest.mark.parametrize("width", [400, 1600])
def test_play(served, width):
    with opened(served, width) as page:
        begun(page)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        before = agent(page)
        key(page, "ArrowLeft")
        until(page, f"current.agent[0] < {before[0]} - .5 || current.agent[0] < .6")
        page.evaluate("dispatchEvent(new KeyboardEvent('keyup', {key: 'ArrowLeft'}))")
        key(page, " ")
        until(page, "paused && !pending && !next")
        chunk = page.evaluate("current.chunk")
        key(page, ".")
        until(page, f"current.chunk === {chunk + 1} && !pending")
        key(page, "Backspace")
        until(page, f"current.chunk === {chunk}")
        recorded = page.evaluate("current.recorded")
        key(page, "p")
        until(page, "current.did === 'replay'")
        key(page, "p")
        key(page, " ")
        key(page, " ")
        until(page, f"paused && current.recorded === {recorded} && current.chunk > 1")
        page.evaluate("document.querySelector('[data-do=new]').click()")
        until(page, "current.number === 1 && current.chunk > 0")
        key(page, "2")
        until(page, "current.world === 'hidden_goal' && can.hide")
        key(page, "h")
        until(page, "current.did === 'hide' || current.chunk > 1")
        key(page, "x")
        until(page, "!document.getElementById('saved').hidden")
        assert {path.suffix for path in served.out.iterdir()} == {".json", ".mp4", ".gif"}
        assert page.errors == []
        served.process.kill()
        until(page, "!document.getElementById('gone').hidden")
        assert "server has stopped" in page.evaluate("document.getElementById('gone').textContent")


def test_two_tabs_are_two_sessions(served):
    with opened(served, 800) as one, opened(served, 801) as other:
        for page in (one, other):
            begun(page)
        key(one, "n")
        until(one, "current.number === 1")
        assert other.evaluate("current.number") == 0
