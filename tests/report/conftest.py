"""The run folder that the tests of the report read, and its page."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from invented_run import write_run
from parsed_page import Page

from vidworld.report import page as report
from vidworld.report.page import read_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run folder; read it, do not change it."""
    return write_run(tmp_path_factory.mktemp("runs") / "demo")


@pytest.fixture(scope="session")
def short_run(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with two laws only, which is quicker to draw."""
    folder = shutil.copytree(finished_run, tmp_path_factory.mktemp("runs") / "short")
    results = folder / "physics" / "results.json"
    content = json.loads(results.read_text())
    content["results"] = [row for row in content["results"] if row["law"] in ("solidity", "constancy")]
    results.write_text(json.dumps(content))
    return folder


@pytest.fixture
def edited(short_run: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the short run, one of its JSON files changed by a function."""

    def edit(name: str, change: Callable[[dict[str, Any]], object]) -> Path:
        folder = tmp_path / "run"
        if not folder.exists():
            shutil.copytree(short_run, folder)
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content))
        return folder

    return edit


@pytest.fixture(scope="module")
def html(finished_run: Path) -> str:
    return report.render_page(read_run(finished_run))


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)
