"""`vidworld export`: what each form costs, in one table, and playing by the files."""

import json

import numpy as np
import pytest
from tiny_play import tiny_run

from vidworld import cli
from vidworld.core.errors import UserError
from vidworld.play import cast as casts
from vidworld.play import export as exporting
from vidworld.play.cast import cast_of
from vidworld.play.export import ExportRow, forms_of, physics, sources, table


@pytest.fixture(scope="module")
def watching(tmp_path_factory):
    run = tiny_run(tmp_path_factory.mktemp("watching"), acts=False, scenarios=("collision", "occlusion"))
    return cast_of(run, models=["regression"], sampling_steps=1)


@pytest.fixture
def by_torch(monkeypatch):
    """Files that compute by torch, so that no form costs anything."""
    monkeypatch.setattr(casts, "as_exported", lambda model, *_: model)


def test_a_row_a_form_with_physics_against_torch(watching, by_torch, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "EXPORTED_LAWS", ("momentum",))
    rows = forms_of(watching, watching.players[0], tmp_path, 2, 2, 10)
    assert [row.form for row in rows] == ["torch", "onnx", "int8"]
    for row in rows:
        assert row.off_by == 0 and 0 < row.chunk_ms["median"] <= row.chunk_ms["p95"]
        assert next(iter(row.measures)) == "velocity error, collision" and len(row.measures) == 2 + 1
        assert all(more["more"][0] == 0 for more in row.measures.values())
    lines = list(table(rows, 4))
    assert len(lines) == 2 + 3 and "surprise accuracy, momentum" in lines[0]


def test_models_that_act_are_measured_in_their_environments(tmp_path):
    cast = cast_of(tiny_run(tmp_path), models=["jepa"], sampling_steps=1)
    shown = sources(cast, 2)
    assert list(shown) == ["puck", "hidden_goal"]
    names = [name for name, _, values in physics(cast, cast.players[0], shown, 2) if len(values) == 2]
    assert names == [f"{what} error, {name}" for name in shown for what in ("velocity", "position")]


def test_the_table_says_energy_where_the_machine_tells():
    took, none = {"median": 8.0, "p95": 20.0}, [0.0, 0.0, 0.0]
    row = ExportRow("it", "int8", [], 1.0, took, 2.0, 0.01, {"x": {"value": [1.0, 0.0, 2.0], "more": none}})
    silent = ExportRow("it", "torch", [], 4.0, took, None, 0.0, {"x": {"value": [1.0, 0.0, 2.0], "more": none}})
    *_, first, second = table([silent, row], 4)
    assert "| not told by this machine |" in first and "1.00 [0.00, 2.00]" in first
    assert "| 2.00 | 5.00 | 0.5 |" in second and "+0.00 [0.00, 0.00]" in second


def test_a_form_is_another_player(watching, by_torch, tmp_path):
    player = watching.players[0].by_files(tmp_path, "int8")
    assert player.label == "Regression, 8 bits" and player.fingerprint != watching.players[0].fingerprint


def test_playing_what_was_not_exported_is_said(watching):
    with pytest.raises(UserError, match=r"export/regression: no exported model there; `vidworld export RUN`"):
        cast_of(watching.run, ["regression"], form="int8")


@pytest.mark.parametrize("argument", ["--clips", "--quadruplets", "--chunks", "--sampling-steps"])
def test_counts_are_at_least_one(watching, argument, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["export", str(watching.run), argument, "0"])
    assert ended.value.code == 2 and f"{argument}: at least 1" in capsys.readouterr().err


@pytest.mark.slow
def test_exported_models_play_again_to_the_pixel(tmp_path):
    for package in ("onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    run = tiny_run(tmp_path / "run")
    with pytest.raises(SystemExit) as ended:
        cli.main(["export", str(run), "--clips", "2", "--quadruplets", "2", "--chunks", "10", "--sampling-steps", "1"])
    assert ended.value.code == 0
    found = json.loads((run / "export" / "export.json").read_text())
    assert len(found["rows"]) == 9 and {row["off_by"] < 1e-3 for row in found["rows"] if row["form"] != "int8"} == {
        True
    }
    plain, small = (
        [run / "export" / f for row in found["rows"] if row["form"] == form for f in row["files"]]
        for form in ("onnx", "int8")
    )
    assert len(plain) == len(small) == 1 + 3 + 1 and all(file.exists() for file in (*plain, *small))
    assert all(np.isfinite(measure["value"]).all() for row in found["rows"] for measure in row["measures"].values())
    for form in ("onnx", "int8"):
        shown = tmp_path / f"{form}.gif"
        arguments = ["--exported", form, "--record", str(shown), "--seconds", "2", "--sampling-steps", "1"]
        with pytest.raises(SystemExit) as ended:
            cli.main(["play", str(run), *arguments])
        assert ended.value.code == 0 and shown.read_bytes()[:3] == b"GIF"
