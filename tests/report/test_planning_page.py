"""The page of planning from what is not whole: a line that says what would do, or a page that says what lacks."""

import json

import pytest
from scripts import ROOT, run

RESULTS = json.loads((ROOT / "results" / "planning" / "quick_diffusion.json").read_text())
LANDSCAPE = {"environment": "puck", "agent": "simulator", "number": 0, "rank": 0.1, "action": [0, 0], "lowest": [0, 0]}


def made(folder, capsys, **changed):
    """The script's exit code and what it says, of results with these changes; None takes a key away."""
    content = {key: value for key, value in (RESULTS | changed).items() if value is not None}
    (folder / "planning.json").write_text(json.dumps(content))
    code = run("eval/make_planning.py", folder)
    return code, *capsys.readouterr()


def test_a_run_that_was_stopped_can_go_on(tmp_path, capsys):
    (tmp_path / "units").mkdir()
    assert run("eval/make_planning.py", tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}: holds no planning.json") and "goes on where it was" in line


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"protocols": None}, "protocols: Field required; run the evaluation that wrote it again"),
        ({"protocols": {}}, "protocols lacks 9111f599aef5, "),
        ({"protocols": [1]}, "protocols: Input should be a valid dictionary; run"),
        ({"rows": "many"}, "rows: Input should be a valid list; run"),
        ({"landscapes": [LANDSCAPE | {"energy": [[0, 1], [2]]}]}, "is no square of energies"),
        ({"landscapes": [LANDSCAPE | {"energy": [[0]], "action": [0]}]}, "is no square of energies"),
        ({"schema": None}, "is of schema None, not 1; run eval/run_planning.py again"),
    ],
)
def test_results_that_are_not_whole_are_one_line(changed, said, tmp_path, capsys):
    code, _, err = made(tmp_path, capsys, **changed)
    (line,) = err.splitlines()
    assert code == 2 and line.startswith("error: ") and "planning.json: " in line and said in line


def test_videos_that_are_missing_are_said_and_left_out(tmp_path, capsys):
    there, *lost = RESULTS["videos"]
    (tmp_path / "media").mkdir()
    (tmp_path / there["file"]).write_bytes(b"film")
    code, out, _ = made(tmp_path, capsys)
    said = f"{len(lost)} of {len(lost) + 1} videos are not beside planning.json any more, and left out"
    assert code == 0 and f"{said}; the first is {lost[0]['file']}" in out
    page = (tmp_path / "planning.html").read_text()
    assert page.count("<video") == 1 and said in page
