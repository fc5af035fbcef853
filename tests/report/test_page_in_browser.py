"""The page as a file: self-contained, well formed, escaped, and made of what is there."""

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import Page as OpenPage
from browser import needs_chromium
from parsed_page import Page, render
from scripts import run

from vidworld.core.errors import UserError
from vidworld.report import page as report
from vidworld.report.page import read_run

HOSTILE = "<script>alert('x')</script>\"&"


# --- one file ----------------------------------------------------------------------------------------------


def test_everything_is_inside(html: str, page: Page) -> None:
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "poster", "data", "action"):
            if name in attributes:
                assert attributes[name].startswith(("data:", "#")), (name, attributes[name][:80])
    assert all(url.startswith("data:") for url in re.findall(r"url\(([^)]*)\)", html))
    assert "@import" not in html
    assert not page.all("link")


def test_only_its_own_script_may_run(html: str, page: Page) -> None:
    script = re.search(r"<script>(.*)</script>", html, re.DOTALL)
    assert script
    expected = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert f"script-src 'sha256-{expected}'" in policy
    assert "default-src 'none'" in policy
    assert len(page.all("script")) == 1


def test_links_lead_somewhere(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"][1:] for link in page.all("a")} <= set(ids)


def test_whoever_cannot_see_is_told(page: Page) -> None:
    assert all(video["aria-label"] for video in page.all("video"))
    assert all(svg.get("aria-hidden") == "true" or svg.get("aria-label") for svg in page.all("svg"))
    assert all("aria-label" in attributes for _, attributes in page.elements if attributes.get("role") == "img")
    assert len(page.all("table")) < sum(header.get("scope") == "col" for header in page.all("th"))
    assert next(iter(page.all("html")))["lang"] == "en"


def test_videos_start_together(page: Page) -> None:
    videos = page.all("video")
    assert len(videos) == 12
    for video in videos:
        assert {"autoplay", "muted", "loop", "playsinline"} <= set(video)
        assert video["src"].startswith("data:video/mp4;base64,")
    rollouts = [article for article in page.all("article") if "data-context" in article]
    assert [(a["data-context"], a["data-fps"]) for a in rollouts] == [("8", "10.0"), ("8", "10.0")]


# --- what is missing, and what is wrong --------------------------------------------------------------------


def test_what_is_missing_is_left_out(edited: Callable[..., Path]) -> None:
    def simple(content: dict[str, Any]) -> None:
        content["results"] = [row for row in content["results"] if row["split"] == "id"]

    folder = edited("physics/results.json", simple)
    (folder / "physics" / "media.json").unlink()
    for stage in ("tokenizer", "diffusion", "jepa", "regression", "probe"):
        shutil.rmtree(folder / stage)
    page = render(folder)
    assert not page.all("video")
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert not {"rollouts", "curves", "training", "law-motion"} & ids
    assert {"verdicts", "table", "laws", "budget", "provenance"} <= ids
    assert "OOD" not in page.words.replace("(OOD)", "")


def test_a_missing_number_is_a_dash(edited: Callable[..., Path]) -> None:
    def lose(content: dict[str, Any]) -> None:
        for row in content["results"]:
            if row["model"] == "diffusion":
                row |= {"value": float("nan"), "low": None, "high": None}

    words = render(edited("physics/results.json", lose)).words
    assert not re.search(r"\b(nan|none)\b", words, re.IGNORECASE)


def test_text_from_files_is_text(edited: Callable[..., Path]) -> None:
    def poison(content: dict[str, Any]) -> None:
        for row in content["results"]:
            row |= {"task": HOSTILE, "unit": HOSTILE, "readout": HOSTILE}
        content["results"][0] |= {"model": HOSTILE, "law": HOSTILE, "metric": HOSTILE, "headline": True}
        content["models"]["jepa"] |= {"label": HOSTILE, "family": HOSTILE, "spec": HOSTILE}
        content["labels"]["laws"]["solidity"] = content["labels"]["metrics"]["surprise_accuracy"] = HOSTILE
        content["provenance"] |= {"command": HOSTILE, "commit": HOSTILE, "versions": {HOSTILE: HOSTILE}}

    edited("physics/results.json", poison)
    pair = {"jepa vs diffusion": False}
    changed = {"differences": {"jepa vs diffusion": [HOSTILE]}, "controlled": pair, "notes": [HOSTILE]}
    changed |= {"tried": [{HOSTILE: HOSTILE}]}
    folder = edited("physics/comparison.json", lambda c: c.update(changed))

    def rename(content: dict[str, Any]) -> None:
        video = f"media/{HOSTILE.replace('/', '')}.mp4"
        (folder / "physics" / video).write_bytes(b"a video")
        content["rollouts"][0] |= {"task": HOSTILE, "identity": HOSTILE, "videos": {HOSTILE: video}}
        content["quadruplets"][0] |= {"law": HOSTILE, "identity": HOSTILE, "note": HOSTILE}
        content["curves"][0] |= {"name": HOSTILE, "x_label": HOSTILE, "y_label": HOSTILE}

    page = render(edited("physics/media.json", rename))
    assert len(page.all("script")) == 1
    assert "alert('x')" in page.text
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_a_strip_that_is_no_png_is_named(short_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(short_run, tmp_path / "run")
    (folder / "physics" / "media" / "momentum_possible.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"momentum_possible\.png: should be a PNG"):
        report.render_page(read_run(folder))


# --- how wide ----------------------------------------------------------------------------------------------


@pytest.mark.thorough
@needs_chromium
def test_four_splits_beside_each_other_stay_on_the_page(finished_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "run")
    file = folder / "physics" / "results.json"
    content = json.loads(file.read_text())
    known = [row for row in content["results"] if row["split"] == "ood"]
    content["results"] += [row | {"split": split} for row in known for split in ("decided", "recombined")]
    file.write_text(json.dumps(content))
    (folder / "page.html").write_text(report.render_page(read_run(folder)), encoding="utf-8")
    with OpenPage(folder / "page.html", 400, 800) as page:
        for width in (400, 1000, 1300, 1400, 1600):
            page.resize(width, 800)
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert page.evaluate("document.querySelectorAll('.several').length") > 3


# --- the command -------------------------------------------------------------------------------------------


def test_the_command_writes_the_page(short_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    assert run("eval/make_report.py", short_run, "--out", out) == 0
    assert capsys.readouterr().out.startswith(f"{out} (")
    assert out.read_text(encoding="utf-8").lstrip().startswith("<!doctype html>")


def test_the_command_says_in_one_line_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "physics").mkdir()
    assert run("eval/make_report.py", tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "results.json: not there" in line


def test_a_page_that_cannot_be_written_is_an_error_for_people(short_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        report.write_report(short_run, tmp_path / "no such folder" / "page.html")
