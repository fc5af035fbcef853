"""The scripts: a few steps of each training, then evaluation and report, as a user would run them; what they refuse."""

import json
import shutil

import made_videos
import numpy as np
import pytest
import samples
import torch
from padded_videos import of_split
from safetensors.torch import load_file
from scripts import ROOT, run

from vidworld import cli
from vidworld.core.hardware import ahead
from vidworld.models.schema import DataConfig
from vidworld.training.data import Mixture, batch_order
from vidworld.video import training_fingerprint

SMALL_DATA = ["data.clips=64", "data.shape.height_px=32", "data.shape.width_px=32"]
SHORT = [
    "steps=6",
    "global_batch_size=4",
    "log_every=2",
    "save_every=3",
    "mixed_precision=no",
    "compile=false",
    *SMALL_DATA,
]
SMALL = {
    "tokenizer": ["model.channels=8", "model.width=32", "model.depth=1", "model.heads=1"],
    "diffusion": ["model.width=32", "model.depth=2", "model.heads=2"],
    "regression": ["model.width=32", "model.encoder_depth=1", "model.predictor_depth=1", "model.heads=2"],
    "probe": ["width=32"],
}


def train(name, out, *overrides):
    """The exit code of a training script with a small network."""
    sources = [] if name == "tokenizer" else [f"tokenizer={out.parent / 'tokenizer'}"]
    config = ROOT / "configs" / "demo" / f"{name}.yaml"
    script = f"train/train_{name}.py" if name in ("tokenizer", "probe") else "train/train_world_model.py"
    settings = SHORT + SMALL.get(name, SMALL["regression"])
    return run(script, "--config", config, f"out={out}", *sources, *settings, *overrides)


def models_of(runs):
    """The overrides that name what lies in a folder of runs."""
    tools = [f"tokenizer={runs / 'tokenizer'}", f"probe={runs / 'probe'}"]
    return [*tools, *(f"models.{name}={runs / name}" for name in ("regression", "diffusion"))]


def evaluate(runs, out, *overrides):
    """The exit code of the evaluation of these runs, with a few clips."""
    models = models_of(runs)
    few = ["clips=3", "quadruplets=4", "ood_quadruplets=2", "shown=1", "sampling_steps=2", "levels=[0.7,1.0]"]
    few += ["contexts=[]", "further_clips=1"]  # at this size nothing is hidden long enough within 12 frames
    size = ["shape.height_px=32", "shape.width_px=32", "mixed_precision=no", "laws=[permanence,momentum]"]
    config = ROOT / "configs" / "short" / "physics.yaml"
    return run("eval/run_physics.py", "--config", config, f"out={out}", *models, *few, *size, *overrides)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run folders of a tokenizer, two models and a probe, each trained for a few steps."""
    folder = tmp_path_factory.mktemp("runs")
    for name in SMALL:
        assert train(name, folder / name) == 0
    return folder


@pytest.mark.parametrize("name", SMALL)
def test_a_run_leaves_a_model_its_budget_and_its_metrics(name, runs):
    folder = runs / name
    assert (folder / "model" / "diffusion_pytorch_model.safetensors").exists()
    budget = json.loads((folder / "model" / "budget.json").read_text())
    assert budget["steps"] == 6
    assert budget["clips_seen"] == 24
    assert budget["training_flops"] > 1e6
    assert budget["parameters"] > 1000
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert all(0 <= row["data_wait_share"] <= 1 for row in rows)
    assert (folder / "config.yaml").exists()
    assert list((folder / "tensorboard").iterdir())
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step_00000003"]


def test_both_models_name_the_tokenizer_that_they_learnt_from(runs):
    tokenizer = json.loads((runs / "tokenizer" / "model" / "budget.json").read_text())["fingerprint"]
    for name in ("diffusion", "regression"):
        assert json.loads((runs / name / "model" / "budget.json").read_text())["tokenizer"] == tokenizer


def test_models_share_the_cached_tokens(runs):
    assert len(list((runs / "tokenizer" / "tokens").rglob("*.safetensors"))) == 1


def test_a_finished_run_is_not_done_again(runs, capsys):
    before = (runs / "regression" / "model" / "budget.json").stat().st_mtime_ns
    assert train("regression", runs / "regression") == 0
    assert "nothing to do" in capsys.readouterr().out
    assert (runs / "regression" / "model" / "budget.json").stat().st_mtime_ns == before


def test_a_folder_that_holds_another_configurations_model_is_not_overwritten(runs, capsys):
    assert train("regression", runs / "regression", "steps=7") == 2
    assert "made from another configuration: steps (6, now 7)" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tokenizer", "diffusion", "regression"])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(name, runs, tmp_path):
    """Everything after the checkpoint of step 3 is thrown away and done again."""
    stopped = tmp_path / name
    shutil.copytree(runs / name, stopped)
    shutil.rmtree(stopped / "model")
    if name != "tokenizer":
        (tmp_path / "tokenizer").symlink_to(runs / "tokenizer")
    assert train(name, stopped, "--resume") == 0
    first, again = (load_file(f / "model" / "diffusion_pytorch_model.safetensors") for f in (runs / name, stopped))
    for key, value in first.items():
        assert torch.equal(value, again[key]), key


@pytest.mark.thorough
def test_real_clips_that_have_changed_in_their_place_are_noticed(tmp_path, capsys):
    """By trainings that are done, by one that was stopped, and by the cached tokens; not where they only moved."""
    real, videos = tmp_path / "real", tmp_path / "videos"
    for i, split in enumerate(("train", "real")):
        of_split(split, made_videos.write(videos / f"{i}.mp4", made_videos.recording(np.arange(60) / 30, seed=i)))

    def ingested(out=real):
        cli.run(["data", "ingest", str(videos), "--out", str(out), "--size", "32"])

    def trains(name, out, *more, clips=real):
        data = [f"data.real={clips}", "data.real_share=0.5", "data.clips=16", "steps=2", "save_every=1"]
        return train(name, tmp_path / out, *data, *more)

    def recorded(folder):
        return json.loads((tmp_path / folder / "model" / "budget.json").read_text())["real_clips"]

    ingested()
    assert trains("tokenizer", "tokenizer") == 0 and trains("regression", "regression") == 0
    first = recorded("regression")
    assert recorded("tokenizer") == first == training_fingerprint(real)
    shutil.copytree(tmp_path / "regression", tmp_path / "stopped")
    shutil.rmtree(tmp_path / "stopped" / "model")
    ingested(tmp_path / "moved")
    (videos / "1.mp4").unlink()  # held out: no training read it
    ingested()
    for where in (real, tmp_path / "moved"):
        assert trains("tokenizer", "tokenizer", clips=where) == trains("regression", "regression", clips=where) == 0
    assert capsys.readouterr().out.count("nothing to do") == 4

    of_split("train", made_videos.write(videos / "2.mp4", made_videos.recording(np.arange(60) / 30, seed=2)))
    ingested()
    now = training_fingerprint(real)
    for name, out in (("tokenizer", "tokenizer"), ("regression", "regression"), ("regression", "stopped")):
        assert trains(name, out) == 2
        assert f"the real clips that are trained on ({first}, now {now}); choose" in capsys.readouterr().err
    assert trains("regression", "another") == 0
    assert recorded("another") == now != first
    assert len(list((tmp_path / "tokenizer" / "tokens").iterdir())) == 2


@pytest.mark.parametrize("target", ["vcreg", "sigreg", "ema"])
def test_every_learned_target_trains_and_can_be_read_out(target, runs, tmp_path):
    (tmp_path / "tokenizer").symlink_to(runs / "tokenizer")
    assert train("jepa", tmp_path / "jepa", f"model.target={target}", "model.regulariser_weight=1.0") == 0
    assert train("probe", tmp_path / "probe", f"jepa={tmp_path / 'jepa'}", "steps=2") == 0


def test_accumulated_parts_see_the_same_clips(runs, tmp_path):
    (tmp_path / "tokenizer").symlink_to(runs / "tokenizer")
    assert train("regression", tmp_path / "regression", "grad_accum_steps=2", "optimiser.name=adamw") == 0
    assert train("regression", tmp_path / "whole", "optimiser.name=adamw") == 0
    rows = [(tmp_path / name / "metrics.jsonl").read_text().splitlines()[-1] for name in ("regression", "whole")]
    norms = [json.loads(row)["gradient_norm"] for row in rows]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["model.widht=32"], "width"),
        (["steps=many"], "steps"),
        (["steps=many", "model.widht=32"], "width"),
        (["--resume"], "no checkpoint"),
        (["global_batch_size=3", "grad_accum_steps=2"], "global_batch_size"),
        (["out=/proc/nothing/here"], "/proc/nothing/here"),
        (["model.patch_size=[4,7,8]"], "does not divide"),
    ],
)
def test_what_cannot_be_used_is_one_clear_line_and_exit_code_2(overrides, says, tmp_path, capsys):
    assert train("tokenizer", tmp_path / "tokenizer", *overrides) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error
    assert all(line.startswith("error: ") for line in error.splitlines() if line)


def test_a_world_without_its_tokenizer_says_so(tmp_path, capsys):
    assert train("regression", tmp_path / "regression") == 2
    assert "no finished model" in capsys.readouterr().err


def test_a_loss_that_is_no_number_ends_the_run_and_says_what_may_help(runs, tmp_path, capsys):
    (tmp_path / "tokenizer").symlink_to(runs / "tokenizer")
    assert (
        train("regression", tmp_path / "regression", "optimiser.lr=1e30", "optimiser.warmup_steps=0", "steps=20") == 2
    )
    assert "optimiser.lr" in capsys.readouterr().err


@pytest.fixture(scope="module")
def measured(runs):
    """The same runs with their evaluation beside them."""
    assert evaluate(runs, runs / "physics") == 0
    return runs


@pytest.mark.thorough
def test_every_world_and_control_is_in_the_results_with_an_interval(measured):
    rows = json.loads((measured / "physics" / "results.json").read_text())["results"]
    surprise = {row["model"] for row in rows if row["metric"] == "surprise_accuracy"}
    controls = {
        "copy_last",
        "constant_velocity",
        "untrained_regression",
        "untrained_diffusion",
        "frame_difference",
        "blind",
        "fitted_cues",
        "one_object",
        "mirrored_past",
    }
    assert surprise == {"diffusion", "regression", "truth", "oracle"} | controls
    velocity = {(row["model"], row["readout"]) for row in rows if row["metric"] == "velocity_error"}
    rollers = {"diffusion", "regression", "oracle", "copy_last", "constant_velocity", "truth"}
    assert velocity == {(w, r) for w in rollers for r in ("pixels", "probe")} | {("reconstruction", "pixels")}
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows if row["n"] > 1)
    blind = [row["value"] for row in rows if row["model"] == "blind" and row["metric"] == "surprise_accuracy"]
    assert blind == [0.5] * 4  # two laws, two splits
    truth = [row["value"] for row in rows if row["model"] == "truth" and row["metric"] == "surprise_accuracy"]
    assert truth == [1.0] * 4


@pytest.mark.thorough
def test_every_clip_that_was_measured_says_what_it_was_drawn_with(measured):
    lines = (measured / "physics" / "clips.csv").read_text().splitlines()
    assert lines[0] == "identity,task,split,speed,radius,mass_ratio"
    told = {line.split(",")[0] for line in lines[1:]}
    per_clip = (measured / "physics" / "per_clip.csv").read_text()
    assert told and all(f",{identity}," in per_clip for identity in told)
    assert "generalisation" in json.loads((measured / "physics" / "media.json").read_text())


@pytest.mark.thorough
def test_worlds_of_equal_budget_are_a_controlled_comparison(measured):
    comparison = json.loads((measured / "physics" / "comparison.json").read_text())
    differing = [
        line
        for line in comparison["differences"]["regression vs diffusion"]
        if "parameters" not in line and "flops" not in line
    ]
    assert differing == []  # networks this small differ by what is a few per cent of real ones
    assert comparison["targets"] == {"regression": "frozen"}
    assert comparison["noise_levels"] == {"diffusion": [0.7, 1.0]}


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("other", ["levels=[1.0]", "sampling_order=2"])
def test_other_levels_or_steps_make_the_values_of_a_diffusion_stale_and_no_others(other, measured, tmp_path):
    def units():
        return {path.name: json.loads(path.read_text())["made_from"] for path in (out / "units").glob("*.json")}

    out = shutil.copytree(measured / "physics", tmp_path / "physics")
    before = units()
    assert evaluate(measured, out, other) == 0
    changed = {name for name, made_from in units().items() if before[name] != made_from}
    assert changed and all("diffusion" in name for name in changed)


@pytest.mark.thorough
def test_an_evaluation_that_is_done_is_not_done_again(measured, capsys):
    assert evaluate(measured, measured / "physics") == 0
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.thorough
def test_a_world_of_another_tokenizer_is_refused(measured, tmp_path, capsys):
    assert train("tokenizer", tmp_path / "tokenizer", "seed=1") == 0
    assert evaluate(measured, tmp_path / "physics", f"tokenizer={tmp_path / 'tokenizer'}") == 2
    assert "trained on the tokens of tokenizer" in capsys.readouterr().err


@pytest.mark.thorough
def test_a_report_is_made_of_what_was_measured(measured):
    assert run("eval/make_report.py", measured) == 0
    page = (measured / "report.html").read_text()
    assert "permanence" in page.lower()
    assert page.count("<video") >= 3


def test_every_epoch_goes_once_through_all_clips_in_an_order_of_its_own():
    epochs = [[n for step in range(4 * e, 4 * e + 4) for n in batch_order(step, 5, 20, 0)] for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(20))
    assert epochs[0] != epochs[1]
    assert batch_order(3, 7, 20, 0) == batch_order(3, 7, 20, 0)
    assert batch_order(3, 7, 20, 0) != batch_order(3, 7, 20, 1)


def test_a_mixture_gives_the_same_clip_by_number_whatever_else_is_asked_for():
    clips = Mixture(DataConfig(clips=40))
    together = clips.frames([7, 3, 30])
    assert torch.equal(together[1:2], clips.frames([3]))
    assert len(clips) == 40


def test_ahead_gives_all_items_in_order_and_passes_errors_on():
    assert list(ahead(iter(range(5)))) == [0, 1, 2, 3, 4]

    def failing():
        yield 1
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(ahead(failing()))


@pytest.mark.thorough
def test_a_benchmark_is_scored_with_the_trained_worlds(runs, tmp_path, capsys):
    def scored(kind, *more):
        arguments = (kind, tmp_path / kind, "--config", ROOT / "configs" / "short" / "physics.yaml", *more)
        models = models_of(runs)
        size = ["shape.height_px=32", "shape.width_px=32", "mixed_precision=no", f"out={tmp_path / 'physics'}"]
        return run("eval/score_benchmark.py", *arguments, "--out", tmp_path / "out" / kind, *models, *size)

    samples.phyworld_hdf5(tmp_path / "phyworld_hdf5")
    assert scored("phyworld_hdf5") == 0
    samples.intphys(tmp_path / "intphys", count=80)
    assert scored("intphys") == 0
    said = capsys.readouterr().out
    for world in ("diffusion", "regression"):
        assert f"{world}, uniform_motion, id, phyworld_error" in said
        assert f"{world}, permanence, test, relative_accuracy_score" in said
    assert scored("intphys", "--surprise", tmp_path / "s.json") == 2
    assert "give either --config" in capsys.readouterr().err
