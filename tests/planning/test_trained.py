"""Planning by models that were trained here, in two processes as in one."""

import json
import subprocess
import sys

import pytest
from scripts import run
from small_runs import ENVIRONMENT, ROOT, SETTINGS, train_here

from vidworld.analysis.planning import read_planning
from vidworld.report.planning_page import write_planning_page

ACTING = ["data.scenarios={two_room: 1}", "steps=4", "save_every=4"]
TINY = (
    "environment: two_room\nepisodes: 4\nbudget_blocks: 2\ncandidates: 4\nelites: 2\niterations: 2\nhorizon_blocks: 2\n"
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Tiny models that act in two rooms, and what reads them."""
    folder = tmp_path_factory.mktemp("runs")
    assert train_here("tokenizer", folder / "tokenizer", *ACTING) == 0
    for name in ("probe", "regression", "diffusion", "jepa"):
        assert train_here(name, folder / name, *ACTING, f"tokenizer={folder / 'tokenizer'}") == 0
    own = [f"tokenizer={folder / 'tokenizer'}", f"jepa={folder / 'jepa'}"]
    assert train_here("probe", folder / "probe_jepa", *ACTING, *own) == 0
    for name in ("reward", "cloned"):
        given = [f"out={folder / name}", f"tokenizer={folder / 'tokenizer'}", *SETTINGS, *ACTING, "data.policies={}"]
        assert run("train/train_head.py", "--config", str(ROOT / "configs" / "plan" / f"{name}.yaml"), *given) == 0
    (folder / "tiny.yaml").write_text(TINY)
    (folder / "return.yaml").write_text(TINY + "cost: reward\n")
    return folder


def planning(runs, out, processes=1, *overrides):
    models = ", ".join(f"{name}: {runs / name}" for name in ("regression", "diffusion", "jepa"))
    given = [f"out={out}", f"protocols=[{runs / 'tiny.yaml'}]", "environments=[two_room]", f"models={{{models}}}"]
    given += [f"tokenizer={runs / 'tokenizer'}", f"probe={runs / 'probe'}", f"probes={{jepa: {runs / 'probe_jepa'}}}"]
    given += ["size_px=32", "mixed_precision=no", "checks=4", "shown=1", "episodes_at_once=2", *overrides]
    script = [str(ROOT / "eval" / "run_planning.py"), "--config", str(ROOT / "configs" / "plan" / "planning.yaml")]
    if processes == 1:
        assert run(*script, *given) == 0
        return
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, *launcher, *script, *given]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def kept(out):
    """What every unit came to, without the time that it took."""
    units = {path.name: json.loads(path.read_text()) for path in (out / "units").iterdir()}
    for unit in units.values():
        for episode in unit["rows"]:
            episode.pop("seconds", None)
    return units


def test_all_families_plan_and_are_checked(runs, tmp_path, capsys):
    every = "controls=[simulator, random, no_op, copy_last, untrained]"
    planning(runs, tmp_path / "one", 1, "goal_blind=[regression]", every)
    results = read_planning(tmp_path / "one" / "planning.json")
    flops = {row.agent: row.flops for row in results.rows}
    models = ["regression", "diffusion", "jepa"]
    assert list(flops)[:3] == models and {f"untrained_{name}" for name in models} <= flops.keys()
    assert {"copy_last", "simulator", "regression_goal_blind", "random", "no_op"} <= flops.keys()
    assert all(flops[name] > 1e5 for name in models) and flops["simulator"] == flops["random"] == 0
    assert flops["regression"] == flops["regression_goal_blind"] == flops["untrained_regression"]
    assert flops["diffusion"] > flops["regression"]  # two steps of sampling
    assert [each.model for each in results.checks[:3]] == models and len(results.videos) == 4
    assert "regression_goal_blind" in capsys.readouterr().out
    page = write_planning_page(tmp_path / "one", tmp_path / "planning.html").read_text()
    assert "Untrained Diffusion" in page and page.count("<video") == 4


def test_plans_by_return_and_a_cloned_agent_are_rows(runs, tmp_path):
    few = ["models={regression: " + str(runs / "regression") + "}", "probes={}", "controls=[simulator]", "shown=0"]
    heads = [f"reward={runs / 'reward'}", f"cloned={runs / 'cloned'}", f"protocols=[{runs / 'return.yaml'}]"]
    planning(runs, tmp_path / "one", 1, *few, *heads, "checks=0")
    found = {row.agent: row for row in read_planning(tmp_path / "one" / "planning.json").rows}
    assert list(found) == ["regression", "simulator", "simulator_goal_blind", "cloned"]
    assert found["regression"].flops > found["cloned"].flops > 1e4 and found["cloned"].scored == 0


@pytest.mark.slow
def test_processes_share_the_units_and_budgets_are_rows(runs, tmp_path):
    few = ["models={regression: " + str(runs / "regression") + "}", "probes={}", "controls=[simulator]", "shown=0"]
    planning(runs, tmp_path / "one", 1, *few, "checks=0")
    planning(runs, tmp_path / "two", 2, *few, "checks=0")
    assert kept(tmp_path / "one") == kept(tmp_path / "two")
    planning(runs, tmp_path / "one", 1, *few, "checks=0", "--budgets", "2,8")
    rows = read_planning(tmp_path / "one" / "planning.json").rows
    mine = [(row.candidates, row.flops) for row in rows if row.agent == "regression"]
    assert [count for count, _ in mine] == [2, 8] and mine[0][1] < mine[1][1] < 4 * mine[0][1]
