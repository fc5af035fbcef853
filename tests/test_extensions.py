"""Another package adds a scenario, law, metric, task, family, benchmark and planner: one file and entry point each.

They are trained on or measured and stand on the page, and nothing of vidworld is edited. The files are those of
docs/adding.md, which shows how to add a thing.
"""

import json
import os
import re
import subprocess
import sys

import pytest
import samples
from scripts import ROOT

pytestmark = pytest.mark.thorough

PAGE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r'^```python title="(\w+)\.py"\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE))
(POINTS,) = re.findall(r'^```toml title="pyproject.toml"\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE)
ENTRY_POINTS = POINTS.replace('project.entry-points."', "").replace('"', "")
"""As pip writes them into entry_points.txt."""
ONE_PROCESS = """
import json, runpy, sys

for sys.argv in json.loads(sys.argv[1]):
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise
"""  # two scripts after one another: torch is imported once
SMALL = ["steps=3", "global_batch_size=4", "data.clips=16", "mixed_precision=no", "compile=false", "log_every=1"]
SIZE = ["shape.height_px=32", "shape.width_px=32"]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder with the files and their entry points, as pip would leave them."""
    folder = tmp_path_factory.mktemp("package")
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(text)
    record = folder / "their_package-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


def run(package, *command):
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{package}", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [sys.executable, *map(str, command)], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_in_one_process(package, *commands):
    run(package, "-c", ONE_PROCESS, json.dumps([[str(word) for word in command] for command in commands]))


def test_one_file_and_one_entry_point_each_are_trained_on_measured_and_on_the_page(package, tmp_path):
    configs, data = ROOT / "configs" / "demo", [f"data.{size}" for size in SIZE]
    tokenizer, mine = tmp_path / "tokenizer", tmp_path / "mine"
    network = ["model.channels=8", "model.width=32", "model.depth=1", "model.heads=1"]
    scenarios = "data.scenarios={drift: 1.0}"
    run(
        package,
        "train/train_tokenizer.py",
        "--config",
        configs / "tokenizer.yaml",
        f"out={tokenizer}",
        *SMALL,
        *data,
        *network,
        scenarios,
    )
    (tmp_path / "mine.yaml").write_text(f"family: damped\nout: {mine}\ntokenizer: {tokenizer}\nfirst: 0.7\n")
    run(package, "train/train_world_model.py", "--config", tmp_path / "mine.yaml", *SMALL, *data, scenarios)
    assert json.loads((mine / "model" / "budget.json").read_text())["family"] == "damped"

    named, huber = (
        [f"tokenizer={tokenizer}", "family=huber", "model={width: 32, heads: 1, depth: 1}"],
        tmp_path / "huber",
    )
    demo = ("--config", configs / "diffusion.yaml")
    run(package, "train/train_world_model.py", *demo, f"out={huber}", *named, *SMALL, *data, scenarios)

    (tmp_path / "physics.yaml").write_text(
        f"out: {tmp_path / 'physics'}\ntokenizer: {tokenizer}\nmodels: {{damped: {mine}, huber: {huber}}}\n"
        "scenarios: [drift, uniform]\nlaws: [inertia]\nclips: 3\nfurther_quadruplets: 3\nood_quadruplets: 2\nshown: 1\n"
    )
    for number in range(2):
        samples.recording(tmp_path / "videos" / f"{number}.mp4", number, 60)
    models, scored = ("--config", tmp_path / "physics.yaml", *SIZE), ("--out", tmp_path / "scored")
    run_in_one_process(
        package,
        ["eval/run_physics.py", *models],
        ["eval/score_benchmark.py", "motion_videos", tmp_path / "videos", *models, *scored],
    )
    rows = json.loads((tmp_path / "physics" / "results.json").read_text())["results"]
    assert {row["task"] for row in rows if (row["model"], row["metric"]) == ("damped", "last_distance")} == {
        "drift",
        "uniform",
        "backwards",
    }  # the scenario names the metric, and the metric the scenario
    assert {row["model"] for row in rows if row["law"] == "inertia"} > {"damped", "huber"}
    truth = [r for r in rows if (r["model"], r["metric"]) == ("truth", "last_distance")]
    assert all(row["value"] < 0.5 for row in truth)

    scores = json.loads((tmp_path / "scored" / "results.json").read_text())["results"]
    errors = {
        row["model"]: row["value"]
        for row in scores
        if (row["task"], row["metric"]) == ("motion_videos", "last_picture")
    }
    assert errors.keys() == {"truth", "copy_last", "damped", "huber"}
    assert errors["truth"] == 0 < min(errors["copy_last"], errors["damped"])

    board = tmp_path / "leaderboard.html"
    run_in_one_process(
        package, ["eval/make_report.py", tmp_path], ["eval/make_leaderboard.py", tmp_path, "--out", board]
    )
    page = (tmp_path / "report.html").read_text()
    for words in (
        "Damped copy",
        "Huber",
        "What goes right does not turn back.",
        "Distance from the true place",
        "Drift",
    ):
        assert words in page, words
    every = board.read_text()  # of the physics and of the benchmark on one page
    for words in (
        'data-metric="last_distance"',
        'data-metric="last_picture"',
        'data-key="motion_videos"',
        "Damped copy",
    ):
        assert words in every, words


def test_a_planner_from_one_file_plans_beside_ours(package, tmp_path):
    alone = ["controls=[simulator,random]", "models={}", "tokenizer=null", "probe=null", "probes={}", "goal_blind=[]"]
    quick = [
        f"protocols=[{ROOT / 'configs' / 'protocols' / 'quick.yaml'}]",
        "environments=[two_room]",
        "checks=0",
        "shown=0",
    ]
    config = ("--config", ROOT / "configs" / "plan" / "planning.yaml", "--planners", "hill_climb,cem")
    run(package, "eval/run_planning.py", *config, f"out={tmp_path}", *quick, *alone)
    rows = json.loads((tmp_path / "planning.json").read_text())["rows"]
    reached = {(row["protocol_name"], row["agent"]): row["ever"]["value"] for row in rows}
    assert len(reached) == 4
    for planner in ("hill_climb", "cem"):
        assert reached[f"quick_{planner}", "simulator"] > 0.6 > reached[f"quick_{planner}", "random"]
