"""The study's page: what was predicted is read as strictly as what was measured."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from vidworld.analysis.records import Model
from vidworld.core.errors import UserError
from vidworld.report.charts import Legend
from vidworld.report.study_page import _predictions

RESULTS = Path(__file__).parents[2] / "results" / "study"
FILE = "predictions_3.6e13.json"
WHOLE = json.loads((RESULTS / FILE).read_text())
FIRST = WHOLE["predictions"][0]


def test_what_was_predicted_is_shown(tmp_path: Path) -> None:
    shutil.copy(RESULTS / FILE, tmp_path)
    found = _predictions(tmp_path, [], Legend({"diffusion": Model("Diffusion", "diffusion", "")}))
    assert len(found["rows"]) == len(WHOLE["predictions"])
    assert found["rows"][0][1:] == ("Diffusion", "0.0897", "not run yet")


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        None,
        {"predictions": None},
        WHOLE | {"predictions": [None]},
        WHOLE | {"predictions": [FIRST | {"place": {"task": "uniform"}}]},
        WHOLE | {"predictions": [FIRST | {"value": None}]},
        WHOLE | {"predictions": [FIRST | {"value": float("nan")}]},
        WHOLE | {"predictions": [{"place": FIRST["place"]}]},
    ],
)
def test_a_file_of_predictions_that_is_none_is_one_line(content: Any, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"predictions_3\.6e13\.json: ") as caught:
        _predictions(tmp_path, [], Legend())
    assert len(str(caught.value).splitlines()) == 1
