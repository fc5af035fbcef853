"""Minutes of play in a real Chromium: the server's memory and the page's, and whether a connection was ever dropped.

The short form takes half a minute. The long one, with what it measures in a file:

    PLAY_MINUTES=10 PLAY_RUN=release PLAY_OUT=long_play.json pytest -m slow -n 0 tests/play/test_long_play.py
"""

import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from browser import Page, needs_chromium
from tiny_play import tiny_run

pytestmark = [pytest.mark.slow, needs_chromium]
KEYS = ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown")
SAMPLES = 10


def server_mb(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def page_mb(page):
    page._call("HeapProfiler.collectGarbage")
    return page._call("Runtime.getHeapUsage")["usedSize"] / 1e6


def press(page, name, what="keydown"):
    page.evaluate(f"dispatchEvent(new KeyboardEvent({what!r}, {{key: {name!r}}}))")


def played(page, process, seconds):
    """A hand that never rests: another arrow every half second, now and then back, a new scene, another world."""
    page.evaluate("window.dropped = 0, window.first = socket, socket.addEventListener('close', () => dropped++), 0")
    began, samples, frames, turn = time.monotonic(), [], {}, 0
    while (passed := time.monotonic() - began) < seconds:
        press(page, KEYS[turn % 4], "keyup")
        turn += 1
        press(page, KEYS[turn % 4])
        if turn % 40 == 0:
            press(page, ("n", "r", "Backspace", "2", "1")[turn // 40 % 5])
        if turn == 60:
            press(page, "x")
        for name, took in page.evaluate("current.panels.map(panel => [panel.name, panel.compute_ms])"):
            frames.setdefault(name, []).append(took / 4)
        if passed >= len(samples) * seconds / SAMPLES:
            chunk = page.evaluate("[current.world, current.number, current.chunk]")
            samples.append({"s": round(passed), "server_mb": server_mb(process), "page_mb": page_mb(page), "at": chunk})
        time.sleep(0.5)
    samples.append({"s": round(seconds), "server_mb": server_mb(process), "page_mb": page_mb(page)})
    late = {name: statistics.quantiles(took, n=20)[-1] for name, took in frames.items() if any(took)}
    dropped = page.evaluate("dropped + (socket === first && socket.readyState === 1 ? 0 : 1)")
    return {"samples": samples, "frame_p95_ms_by_the_wall": late, "dropped": dropped, "errors": page.errors}


def test_minutes_of_play_drop_no_connection_and_no_memory(tmp_path):
    seconds = 60 * float(os.environ.get("PLAY_MINUTES", "0.5"))
    run = os.environ.get("PLAY_RUN") or tiny_run(tmp_path / "run")
    command = [sys.executable, "-m", "vidworld", "play", run, "--port", "0", "--out", tmp_path / "out"]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        address = re.search(r"http://\S+", process.stdout.readline())[0]
        place = SimpleNamespace(parent=tmp_path, as_uri=lambda: address)
        place.resolve = lambda: place
        with Page(place, 1200, 900) as page:
            end = time.monotonic() + 120
            while not page.evaluate("typeof current === 'object' && current && current.chunk > 0"):
                assert time.monotonic() < end, page.evaluate("document.body.innerText")
                press(page, KEYS[0])  # time stands still until somebody acts
                time.sleep(0.2)
            found = played(page, process, seconds)
    finally:
        process.kill()
        process.wait()
    if out := os.environ.get("PLAY_OUT"):
        Path(out).write_text(json.dumps({"minutes": seconds / 60, **found}, indent=1))
    assert found["dropped"] == 0 and found["errors"] == []
    warm, *_, last = found["samples"][2:]  # after the first recording was written
    assert last["server_mb"] < 1.15 * warm["server_mb"] + 30 and last["page_mb"] < 1.2 * warm["page_mb"] + 10
