"""A run folder is read whole or refused with one line that names the file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vidworld.core.errors import UserError
from vidworld.report.files import media_bytes, read_run


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
    assert list(run.stages) == ["tokenizer", "diffusion", "jepa", "readout"]
    assert run.comparison.controlled
    assert len(run.media.quads) == 2


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
    assert line.endswith("(and 1 more)")


def test_another_schema_is_refused(run: Path) -> None:
    change(run / "physics" / "results.json", lambda c: c.update(schema=2))
    assert "results.json: schema: Input should be 1" in refused(run)


def test_results_without_a_row_are_refused(run: Path) -> None:
    change(run / "physics" / "results.json", lambda c: c.update(results=[]))
    assert "results.json: results: " in refused(run)


def test_a_config_that_is_a_list_is_refused(run: Path) -> None:
    (run / "jepa" / "config.yaml").write_text("- a\n- b\n")
    assert refused(run) == f"{run / 'jepa' / 'config.yaml'}: should hold names with values, holds a list"


def test_a_config_that_is_no_yaml_is_refused(run: Path) -> None:
    (run / "jepa" / "config.yaml").write_text("a: [1,\n")
    assert "config.yaml: is not YAML" in refused(run)


def test_the_line_that_a_kill_cut_off_is_no_loss(run: Path) -> None:
    before = read_run(run).stages["jepa"].metrics
    with (run / "jepa" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99')
    assert read_run(run).stages["jepa"].metrics == before


def test_what_is_not_a_number_is_none(run: Path) -> None:
    change(run / "physics" / "results.json", lambda c: c["results"][0].update(value=float("nan"), low=None))
    row = read_run(run).results.results[0]
    assert (row.value, row.low) == (None, None)


def test_media_stay_in_their_folder(run: Path) -> None:
    (run / "secret.png").write_bytes(b"secret")
    with pytest.raises(UserError, match=r"media\.json: '\.\./secret\.png' lies outside"):
        media_bytes(read_run(run), "../secret.png")
    with pytest.raises(UserError, match=r"media\.json: names 'media/none\.png', which is not there"):
        media_bytes(read_run(run), "media/none.png")
