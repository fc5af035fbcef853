"""Planning by models that were trained here, in two processes as in one."""

import json
import subprocess
import sys

import pytest
import torch
from scripts import run
from small_runs import ENVIRONMENT, ROOT, SETTINGS, train_here

from vidworld.analysis.planning import read_planning
from vidworld.core.errors import UserError
from vidworld.planning.stable_worldmodel import CostModel
from vidworld.report.planning_page import write_planning_page

pytestmark = pytest.mark.thorough

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
    assert [each.agent for each in results.landscapes] == ["simulator", *models] and page.count("<image") == 4
    assert "is said from 5 checkpoints of a protocol on" in page


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


@pytest.mark.slow
def test_families_plan_by_gradient(runs, tmp_path):
    (runs / "by_gradient.yaml").write_text(TINY.replace("episodes: 4", "episodes: 1") + "planner: gradient\n")
    by_gradient = [f"protocols=[{runs / 'by_gradient.yaml'}]", "controls=[random]", "goal_blind=[]", "shown=0"]
    planning(runs, tmp_path / "one", 1, *by_gradient, "checks=0")
    results = read_planning(tmp_path / "one" / "planning.json")
    assert {row.agent for row in results.rows} == {"regression", "diffusion", "jepa", "random"}
    few = [
        "models={regression: " + str(runs / "regression") + "}",
        "probes={}",
        "controls=[]",
        "goal_blind=[]",
        "shown=0",
    ]
    planning(runs, tmp_path / "two", 1, *few, "checks=0")
    forwards = read_planning(tmp_path / "two" / "planning.json").rows[0].flops
    assert all(row.scored == 8 and row.flops > 1e5 for row in results.rows[:3])
    assert 1.5 * forwards < next(row.flops for row in results.rows if row.agent == "regression") < 3.5 * forwards


def asked(side=32):
    """What stable-worldmodel's solvers give of two environments and three candidates."""
    torch.manual_seed(0)
    pictures = torch.randint(0, 256, (2, 2, 1, side, side, 3), dtype=torch.uint8)
    pixels, goal = (each[:, None].expand(-1, 3, *[-1] * 4) for each in pictures)
    return {"pixels": pixels, "goal": goal, "step_idx": torch.zeros(2, 3)}, torch.randn(2, 3, 2, 8)


@pytest.mark.parametrize("family", ["regression", "diffusion", "jepa"])
def test_a_run_is_the_cost_of_another_packages_planners(runs, family):
    probe = str(runs / "probe_jepa") if family == "jepa" else None
    model = CostModel(str(runs / family), str(runs / "tokenizer"), probe)
    info, actions = asked()
    cost = model.get_cost(info, actions)
    assert cost.shape == (2, 3) and not cost.requires_grad and len({f"{x:.9f}" for x in cost.flatten().tolist()}) > 2
    alone = {name: each[1:, :1] for name, each in info.items()}
    torch.testing.assert_close(model.get_cost(alone, actions[1:, 2:]), cost[1:, 2:])
    as_floats = {name: (each.movedim(-1, -3) / 255) for name, each in info.items() if name != "step_idx"}
    torch.testing.assert_close(model.get_cost(as_floats, actions), cost)
    slope = torch.autograd.grad(model.get_cost(info, actions.requires_grad_()).sum(), actions)[0]
    assert slope.abs().sum() > 0
    with pytest.raises(UserError, match="action_block=4 would do"):
        model.get_cost(info, actions[..., :6])
    with pytest.raises(UserError, match="scaled by more than 1/255"):
        model.get_cost(info | {"goal": 2.0 * as_floats["goal"]}, actions)


def test_its_real_solvers_plan_with_a_run(runs):
    solvers = pytest.importorskip("stable_worldmodel.solver", reason="docs/stable_worldmodel.md: its own environment")
    from gymnasium.spaces import Box
    from stable_worldmodel import PlanConfig

    model = CostModel(str(runs / "regression"), str(runs / "tokenizer"))
    (pixels, goal, _), _ = asked()[0].values(), None
    info = {"pixels": pixels[:, 0], "goal": goal[:, 0]}
    for solver in (
        solvers.CEMSolver(model, num_samples=8, n_steps=3, topk=3),
        solvers.GradientSolver(model, n_steps=2),
    ):
        config = PlanConfig(horizon=2, receding_horizon=1, action_block=4)
        solver.configure(action_space=Box(-1, 1, (2, 2)), n_envs=2, config=config)
        found = solver(info)["actions"]
        assert found.shape == (2, 2, 8) and found.isfinite().all() and found.abs().sum() > 0
