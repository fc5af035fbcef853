"""A run folder is read whole or refused with one line that names the file."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vidworld.core.errors import UserError
from vidworld.report.page import media_bytes, read_run


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return shutil.copytree(finished_run, tmp_path / "run")


def refused(folder: Path) -> str:
    """The one line with which the folder is refused."""
    with pytest.raises(UserError) as error:
        read_run(folder)
    (line,) = str(error.value).splitlines()
    return line


def change(file: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_a_whole_run_is_read(finished_run: Path) -> None:
    run = read_run(finished_run)
    assert run.name == "demo"
    assert list(run.trainings) == ["tokenizer", "diffusion", "jepa", "regression", "probe"]
    assert run.comparison.controlled == {"jepa vs diffusion": True, "jepa vs regression": False}
    assert len(run.media.quadruplets) == 2


@pytest.mark.parametrize("name", ["results.json", "comparison.json"])
def test_a_required_file_is_missed(run: Path, name: str) -> None:
    (run / "physics" / name).unlink()
    assert refused(run) == f"{run / 'physics' / name}: not there; eval/run_physics.py writes it"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere").startswith(f"{tmp_path / 'nowhere'}: no such run folder")


@pytest.mark.parametrize("name", ["physics/results.json", "physics/media.json", "jepa/provenance.json"])
def test_a_file_that_is_no_json_is_named(run: Path, name: str) -> None:
    (run / name).write_text('{"results": [')
    assert refused(run).startswith(f"{run / name}: ")


def test_a_wrong_field_is_named_with_its_place(run: Path) -> None:
    change(run / "physics" / "results.json", lambda c: c["results"][3].update(value="high", n="many"))
    line = refused(run)
    assert "results.json: results.3.value: " in line
    assert line.endswith("(and 1 more); run the evaluation that wrote it again")


def test_an_older_schema_is_refused(run: Path) -> None:
    change(run / "physics" / "results.json", lambda c: c.update(schema=1))
    assert "results.json: is of schema 1, not 2; run the evaluation that wrote it again" in refused(run)


def test_results_without_a_row_are_refused(run: Path) -> None:
    change(run / "physics" / "results.json", lambda c: c.update(results=[]))
    assert "results.json: has no results" in refused(run)


def test_what_is_no_training_run_is_left_out(run: Path) -> None:
    (run / "notes").mkdir()
    assert "notes" not in read_run(run).trainings


def test_provenance_that_is_a_list_is_refused(run: Path) -> None:
    (run / "jepa" / "provenance.json").write_text("[1]")
    assert refused(run) == f"{run / 'jepa' / 'provenance.json'}: should hold names with values, holds a list"


def test_the_line_that_a_kill_cut_off_is_no_loss(run: Path) -> None:
    before = read_run(run).trainings["jepa"].metrics
    with (run / "jepa" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99')
    assert read_run(run).trainings["jepa"].metrics == before


def test_what_was_not_measured_is_no_number(run: Path) -> None:
    change(run / "physics" / "results.json", lambda c: c["results"][0].update(value=float("nan"), low=None))
    row = read_run(run).results.results[0]
    assert math.isnan(row.value) and math.isnan(row.low)


def test_media_stay_in_their_folder(run: Path) -> None:
    (run / "secret.png").write_bytes(b"secret")
    with pytest.raises(UserError, match=r"media\.json: '\.\./secret\.png' lies outside"):
        media_bytes(read_run(run), "../secret.png")
    with pytest.raises(UserError, match=r"media\.json: names 'media/none\.png', which is not there"):
        media_bytes(read_run(run), "media/none.png")


@pytest.mark.parametrize("path", ["media/a\0.png", "x" * 5000, "media/" + "y" * 300 + ".png"])
def test_a_name_that_no_file_can_have_is_one_line(finished_run: Path, path: str) -> None:
    with pytest.raises(UserError, match=r"media\.json: names '.*', which cannot be read \(") as caught:
        media_bytes(read_run(finished_run), path)
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 500


def test_media_that_lead_in_a_circle_are_named(run: Path) -> None:
    (run / "physics" / "a.png").symlink_to(run / "physics" / "a.png")
    with pytest.raises(UserError, match=r"media\.json: names 'a\.png', which "):
        media_bytes(read_run(run), "a.png")
