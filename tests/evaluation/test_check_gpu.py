"""eval/check_gpu.py: what is planted is found, nothing stops the rest, and the records say it. No GPU is needed."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from scripts import ROOT, run

sys.path.append(str(ROOT / "eval"))

import check_gpu
from gpu_checks import networks, trainings
from gpu_checks.isolation import Check, Failed, Setup, run_check, run_checks
from speed.cases import BASE
from vidworld.models import layers

SMALL_CPU = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}


@pytest.fixture
def setup(tmp_path):
    return Setup(tmp_path, tmp_path, cpu=True, small=True, steps=3, environment={"PLANTED": "yes"})


def planted(name, *arguments, limit_s=60.0):
    return Check(name, f"planted_checks:{name}", arguments, limit_s=limit_s)


# --- isolation ---------------------------------------------------------------------------------------------


def test_every_end_of_a_check_is_an_outcome_and_stops_no_other(setup):
    wanted = {
        "passes": ("passed", "as it should", {"number": 1.0}),
        "skips": ("skipped", "not here", {}),
        "finds_a_fault": ("failed", "too large", {"number": 3.0}),
        "raises": ("failed", "ValueError: first line", {}),
        "exits": ("failed", "SystemExit: 3", {}),
        "crashes": ("failed", "its process ended with exit code -6", {}),
        "is_not_there": ("failed", None, {}),
    }
    outcomes = {o.name: o for o in run_checks([planted(name) for name in wanted], setup, jobs=2)}
    assert outcomes.keys() == wanted.keys()
    for name, (status, detail, numbers) in wanted.items():
        found = outcomes[name]
        assert (found.status, found.numbers) == (status, numbers), found
        assert detail in (None, found.detail)
    assert "said by the check yes" in (setup.logs / "passes.log").read_text()


def test_a_number_that_is_not_finite_is_a_fault(setup):
    outcome = run_check(planted("passes", float("nan")), setup)
    assert (outcome.status, outcome.detail) == ("failed", "not finite: number")


@pytest.mark.thorough
def test_a_check_that_hangs_is_ended_with_all_that_it_started(setup):
    outcome = run_check(planted("hangs", limit_s=4.0), replace(setup, patience=1.5))
    assert (outcome.status, outcome.detail) == ("failed", "exceeded its limit of 6 s")
    assert outcome.seconds < 30
    child = Path(f"/proc/{(setup.folder / 'child').read_text()}")
    until = time.monotonic() + 10
    while child.exists() and "(zombie)" not in (child / "status").read_text() and time.monotonic() < until:
        time.sleep(0.05)
    assert not child.exists() or "(zombie)" in (child / "status").read_text()


def test_a_check_that_is_known_not_to_run_here_starts_nothing(setup):
    outcome = run_check(Check("no", "is_not:there", skip="no such card"), setup)
    assert (outcome.status, outcome.detail, outcome.seconds) == ("skipped", "no such card", 0.0)


# --- the script --------------------------------------------------------------------------------------------


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_said_in_one_line(capsys, tmp_path):
    assert run("eval/check_gpu.py", "--out", tmp_path / "found.json") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no GPU" in line
    assert "--cpu" in line
    assert not list(tmp_path.iterdir())


def test_a_pattern_that_fits_nothing_is_said(capsys, tmp_path):
    assert run("eval/check_gpu.py", "--cpu", "--only", "nonsense*", "--out", tmp_path / "found.json") == 2
    assert "'nonsense*'" in capsys.readouterr().err


def test_records_and_exit_code_say_what_failed(monkeypatch, capsys, tmp_path):
    checks = [planted(name) for name in ("passes", "raises", "skips")]
    monkeypatch.setattr(check_gpu, "stages", lambda only, cpu: [([], 1), (checks, None)])
    out = tmp_path / "records" / "found.json"
    monkeypatch.setattr(sys, "argv", ["check_gpu.py", "--cpu", "--quick", "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        check_gpu.main()
    assert ended.value.code == 1
    found = json.loads(out.read_text())
    assert (found["schema"], found["cpu"], found["small"]) == (1, True, True)
    assert (found["passed"], found["failed"], found["skipped"]) == (1, 1, 1)
    assert found["provenance"]["versions"]["torch"]
    rows = {row["name"]: row for row in found["checks"]}
    assert rows.keys() == {"passes", "raises", "skips"}
    assert all(row.keys() == {"name", "status", "detail", "numbers", "seconds"} for row in rows.values())
    assert rows["raises"]["status"] == "failed"
    first = out.with_suffix(".md").read_text().splitlines()[2]
    assert first.startswith("| raises | failed |")
    assert "failed" in capsys.readouterr().out
    assert (out.parent / "logs" / "raises.log").read_text().count("first line")


def test_every_network_every_family_and_every_kind_of_check_is_listed():
    names = [check.name for checks, _ in check_gpu.stages((), cpu=False) for check in checks]
    assert len(set(names)) == len(names)
    for name in (
        *(f"bf16 and float32, {label}" for label in ("tokenizer", "diffusion", "regression", "probe")),
        *(f"bf16 and float32, jepa, {target}" for target in ("vcreg", "sigreg", "ema")),
        *(f"compiled, {network}, {mode}" for network in ("diffusion", "jepa") for mode in check_gpu.MODES),
        *(f"world model, {family}" for family in check_gpu.FAMILIES),
        *(f"gradient checkpointing, {family}" for family in check_gpu.FAMILIES),
        *("attention, flash", "attention, xformers", "killed and resumed", "FSDP2 of one process"),
        *("training step, diffusion", "training step, jepa"),
    ):
        assert name in names
    assert "attention, native" not in names  # all others are compared with it


def test_only_what_trains_needs_the_preparation():
    assert [len(checks) for checks, _ in check_gpu.stages(["world model, jepa"], cpu=True)] == [0, 0, 1]
    assert [len(checks) for checks, _ in check_gpu.stages(["killed*"], cpu=True)] == [1, 1, 0]


@pytest.mark.slow
def test_a_family_rolls_out_on_the_cpu(tmp_path):
    out = tmp_path / "found.json"
    assert run("eval/check_gpu.py", "--cpu", "--quick", "--only", "world model, regression", "--out", out) == 0
    (row,) = json.loads(out.read_text())["checks"]
    assert row["status"] == "passed"
    assert row["numbers"]["rollout_s_per_clip"] > 0


@pytest.mark.slow
def test_all_of_it_passes_on_the_cpu(tmp_path):
    out = tmp_path / "found.json"
    assert run("eval/check_gpu.py", "--cpu", "--quick", "--out", out) == 0
    found = json.loads(out.read_text())
    assert {row["name"] for row in found["checks"] if row["status"] == "skipped"} == {
        "attention, all backends",
        "FSDP2 of one process",
    }


# --- trainings ---------------------------------------------------------------------------------------------


def trained(folder, losses):
    folder.mkdir()
    rows = [json.dumps({"step": step, "loss": loss}) for step, loss in enumerate(losses, start=1)]
    (folder / "metrics.jsonl").write_text("\n".join(rows) + "\n")
    return trainings.Trained(folder, "", {})


FALLING = [1 / step for step in range(1, 51)]


@pytest.mark.parametrize(
    ("losses", "fault"),
    [
        ([1.001 * loss for loss in FALLING], None),
        ([FALLING[0], *(1.03 * loss for loss in FALLING[1:])], None),
        ([FALLING[0], *(1.08 * loss for loss in FALLING[1:])], "more than 5%"),
        ([1.02, *FALLING[1:]], "the first losses are 2.00% apart"),
        ([*FALLING[:-20], None, *FALLING[-19:]], "not finite"),
        ([*FALLING[:-1], None], "not finite"),
        (FALLING[:-1], "50 steps one, 49 two"),
    ],
)
def test_losses_of_two_trainings_agree_or_a_fault_is_found(tmp_path, losses, fault):
    one, two = trained(tmp_path / "one", FALLING), trained(tmp_path / "two", losses)
    if fault is None:
        assert trainings.agree("one", one, "two", two).numbers["last_difference"] < 0.05
        return
    with pytest.raises(Failed, match=fault):
        trainings.agree("one", one, "two", two)


@pytest.mark.slow
def test_a_training_says_where_and_in_which_precision_it_ran(setup, monkeypatch):
    for name, value in SMALL_CPU.items():
        monkeypatch.setenv(name, value)
    done = trainings.train(setup, "tokenizer", "tokenizer", "mixed_precision=bf16")
    assert done.ran == {"device": "cpu", "distributed": "NO", "precision": "bf16"}
    assert len(done.losses) == setup.steps


def test_a_training_that_ran_elsewhere_or_failed_is_a_fault(setup):
    code = """print('{"device": "cpu", "distributed": "NO", "precision": "no"}')"""
    line = [sys.executable, "-c", code]
    assert trainings.finished(setup, line, setup.folder / "here").ran["precision"] == "no"
    with pytest.raises(Failed, match="elsewhere: ran on cpu"):
        trainings.finished(replace(setup, cpu=False), line, setup.folder / "elsewhere")
    line[-1] = "print('error: no such thing'); print('bye'); raise SystemExit(2)"
    with pytest.raises(Failed, match="broken: exit code 2: error: no such thing"):
        trainings.finished(setup, line, setup.folder / "broken")


def test_accelerate_starts_one_process_under_fsdp2(setup):
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    line = trainings.command(setup, "diffusion", "fsdp2", launcher=trainings.FSDP2)
    assert line[1:3] == ["-m", "accelerate.commands.launch"]
    arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args(line[3:]))
    assert (arguments.use_fsdp, arguments.fsdp_version, arguments.num_processes) == (True, 2, 1)
    assert Path(arguments.training_script).name == "run_training.py"
    assert Path(arguments.training_script_args[0]).name == "train_world_model.py"


def test_a_training_that_cannot_be_killed_in_time_is_a_fault(tmp_path):
    with pytest.raises(Failed, match="ended with exit code 4 before"):
        trainings.kill_after_checkpoint([sys.executable, "-c", "raise SystemExit(4)"], tmp_path, {})


def test_the_step_that_a_kill_leaves_is_that_of_its_newest_whole_checkpoint(tmp_path):
    for step, name in ((5, "manifest.json"), (10, "manifest.json"), (15, "state.json")):
        folder = tmp_path / "checkpoints" / f"step_{step:08d}"
        folder.mkdir(parents=True)
        (folder / name).touch()
    line = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert trainings.kill_after_checkpoint(line, tmp_path, {}) == 10


# --- single passes -----------------------------------------------------------------------------------------


def test_attention_that_mixes_up_places_is_a_fault(setup, monkeypatch):
    right = networks.one_pass(setup, "diffusion")
    attend = layers.attend
    monkeypatch.setattr(layers, "attend", lambda q, k, v, backend: attend(q, k, v.roll(1, dims=2), backend))
    wrong = networks.one_pass(setup, "diffusion")
    bounds = networks.MAX_LOSS_DIFFERENCE, networks.MAX_GRADIENT_DIFFERENCE
    networks.compare("right", right, "right", right, *bounds)
    with pytest.raises(Failed, match="the gradients are"):
        networks.compare("right", right, "wrong", wrong, *bounds)
    with pytest.raises(Failed, match=r"1\.00% apart"):
        networks.compare("right", right, "wrong", right._replace(loss=1.01 * right.loss), *bounds)
    assert "not for training" in networks.compare("right", right, "wrong", wrong, bounds[0], None).detail


def test_gradient_checkpointing_gives_the_same_and_must_take_less_memory(setup, monkeypatch):
    finding = networks.gradient_checkpointing(setup, "regression")
    assert finding.numbers["loss_difference"] == 0
    alike = networks.Pass(1.0, torch.ones(2), 50.0)
    monkeypatch.setattr(networks, "one_pass", lambda *_: alike)
    with pytest.raises(Failed, match="takes no less memory: 50 MB"):
        networks.gradient_checkpointing(setup, "regression")


def test_the_base_size_that_is_timed_is_that_of_the_configurations():
    model = {
        name: yaml.safe_load((ROOT / "configs" / "base" / f"{name}.yaml").read_text())["model"]
        for name in ("diffusion", "jepa")
    }
    assert (BASE.width, BASE.depth, BASE.heads) == tuple(model["diffusion"][k] for k in ("width", "depth", "heads"))
    jepa = BASE.jepa(torch.device("meta"))
    assert (len(jepa.encoder), len(jepa.predictor)) == (
        model["jepa"]["encoder_depth"],
        model["jepa"]["predictor_depth"],
    )
