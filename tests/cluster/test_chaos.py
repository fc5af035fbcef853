"""Kills at moments of every kind: while data are made, in a step, in a save, in resuming, in an evaluation."""

import hashlib
import json
import os
import signal

import pytest
import torch
from kill_at import Moment, run_until
from small_runs import ENVIRONMENT, command, evaluation, rows, train, train_here, weights

STEPS = 60
SETTINGS = [f"steps={STEPS}", "save_every=2", "log_every=1"]
TIMINGS = {"seconds", "data_wait_share"}
"""What differs between two runs of the same numbers."""
pytestmark = pytest.mark.slow

SAVED = "renamed */.step_*.part */step_*"
"""A checkpoint is there: the run has gone on, and what follows happens beside the end of the save."""
START = [
    Moment("the making of clips", ["clips"]),
    Moment("half of a token shard", ["write */tokens/*.part"]),
    Moment("a token shard that is not yet in place", ["rename */tokens/*.part *.safetensors"]),
    Moment("half of the first heartbeat", ["write */.heartbeat.json.*"]),
    Moment("the first checkpoint, in place but not flushed", [SAVED]),
]
IN_A_STEP = [
    Moment("a forward pass", [SAVED, SAVED, *["forward *"] * 20]),
    Moment("half of a backward pass", [SAVED, "backward"]),
    Moment("one optimiser of two", [SAVED, "optimiser ends Muon"]),
    Moment("the EMA model that is yet to follow", [SAVED, "average"]),
]
IN_A_LOG = [
    Moment("half of a line of the metrics", [SAVED, "write */metrics.jsonl"]),
    Moment("half of an event of TensorBoard's", [SAVED, "write */events.out.tfevents.*"]),
]
IN_A_SAVE = [
    Moment("half of a checkpoint's tensors", [SAVED, "write */.step_*.part/*.safetensors"]),
    Moment("half of a checkpoint's state", [SAVED, "write */.step_*.part/.state.json.*"]),
    Moment("half of a checkpoint's manifest", [SAVED, "write */.step_*.part/.manifest.json.*"]),
    Moment("a checkpoint that is yet to be flushed", [SAVED, "flush */.step_*.part/*.safetensors"]),
    Moment("a checkpoint that is not yet in place", [SAVED, "rename */.step_*.part */step_*"]),
    Moment("an old checkpoint that is yet to go", [SAVED, "rename */step_* */.step_*.old"]),
    Moment("half of the removal of an old checkpoint", [SAVED, *["remove */.step_*.old/*"] * 2]),
]
RESUMING = [
    Moment("half of the removal of what the kill before left", ["remove */.step_*/*"] * 2),
    Moment("the loading of a checkpoint", ["load */step_*/*.safetensors"]),
    Moment("the metrics of lost steps, yet to be cut off", ["rename */.metrics.jsonl.* */metrics.jsonl"]),
    Moment("a broken checkpoint that is yet to be set aside", ["rename */step_* */broken_step_*"]),
]
FINISHING = [
    Moment("half of the model's weights", ["write */.model.part/*.safetensors"]),
    Moment("half of the model's budget", ["write */.model.part/.budget.json.*"]),
    Moment("the model that is not yet in place", ["rename */.model.part */model"]),
]
MOMENTS = {
    5: [START[1], IN_A_STEP[3], IN_A_SAVE[0], IN_A_SAVE[4], FINISHING[0]],
    25: [*START, *IN_A_STEP, *IN_A_LOG, *IN_A_SAVE, *RESUMING, *FINISHING],
}


@pytest.fixture(scope="module")
def undisturbed(tokenizer):
    """The run that nothing happened to, with all of its checkpoints."""
    done = train("diffusion", tokenizer.parent / "calm", *SETTINGS, f"keep.last={STEPS}")
    assert done.returncode == 0, done.stderr
    return tokenizer.parent / "calm"


@pytest.fixture
def killed_run(tokenizer, tmp_path):
    """The folder of a run whose tokens are still to be made."""
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "model").symlink_to(tokenizer / "model")
    return tmp_path / "diffusion"


def tensors_of(run_folder):
    """Digests of the files of tensors in each checkpoint, as recorded in its manifest."""
    manifests = (run_folder / "checkpoints").glob("step_*/manifest.json")
    return {
        path.parent.name: {k: v for k, v in json.loads(path.read_text()).items() if k.endswith(".safetensors")}
        for path in manifests
    }


def logged(run_folder):
    """What a run has logged that does not depend on the machine."""
    return [{k: v for k, v in row.items() if k not in TIMINGS} for row in rows(run_folder)]


def break_newest(run_folder):
    """Cut off a file of the newest checkpoint."""
    newest = max((run_folder / "checkpoints").glob("step_*"))
    file = next(newest.glob("*.safetensors"))
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize("kills", [5, 25])
def test_a_run_that_is_killed_again_and_again_comes_to_the_same_weights(kills, undisturbed, killed_run):
    """Each process goes on from what the one before left, and is killed at another moment."""
    assert len({moment.name for moment in MOMENTS[kills]}) == kills
    expected = tensors_of(undisturbed)
    for moment in MOMENTS[kills]:
        before = tensors_of(killed_run)
        if "broken" in moment.name:
            break_newest(killed_run)
        line = command("diffusion", killed_run, *SETTINGS)
        ended = run_until(moment, line, ENVIRONMENT, killed_run.with_name("log"))
        assert ended.code == -signal.SIGKILL, f"{moment.name}: never came\n{ended.output}"
        assert f"killed at {moment.name}\n" in ended.output
        goes_on = bool(before) and moment not in RESUMING
        assert ("going on from step" in ended.output) == goes_on, f"{moment.name}\n{ended.output}"
        after = tensors_of(killed_run)
        wrong = [step for step, tensors in after.items() if tensors != expected[step]]
        assert not wrong, f"after a kill at {moment.name}"
        if SAVED in moment.events:
            assert max(after) > max(before, default=""), moment.name
    done = train("diffusion", killed_run, *SETTINGS)
    assert done.returncode == 0, done.stderr
    first, again = weights(undisturbed), weights(killed_run)
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert logged(killed_run) == logged(undisturbed)


MEASURED = "renamed *.part */units/*.json"
"""A part of the evaluation is done."""
EVALUATION_MOMENTS = [
    Moment("the first part", ["forward *"] * 20),
    Moment("half of a unit's file", [MEASURED, "write */units/*.part"]),
    Moment("a unit's file that is not yet in place", [MEASURED, "rename */units/*.part *.json"]),
    Moment("between two units", [MEASURED, MEASURED]),
    Moment("a later part", [MEASURED, MEASURED, *["forward *"] * 20]),
    Moment("an empty video", ["video */media/*.mp4"] * 2),
    Moment("half of a strip of frames", ["write */media/*.png"]),
    Moment("half of what the report shows", ["write */.media.json.*"]),
    Moment("half of the values", ["write */.per_clip.csv.*"]),
    Moment("half of the results", ["write */.results.json.*"]),
    Moment("the last file, not yet in place", ["rename *.part */comparison.json"]),
]


def test_an_evaluation_that_is_killed_goes_on_to_the_same_numbers(runs):
    """Each process measures what the ones before have not, and is killed at another moment."""
    for name in ("diffusion", "regression", "probe"):
        assert train_here(name, runs / name) == 0
    never = Moment("no moment", ["never"])
    assert run_until(never, evaluation(runs, runs / "calm"), ENVIRONMENT, runs / "log").code == 0
    out = runs / "physics"

    def kept():
        return {path: path.stat().st_mtime_ns for path in out.glob("units/*.json")}

    for moment in EVALUATION_MOMENTS:
        before = kept()
        ended = run_until(moment, evaluation(runs, out), ENVIRONMENT, runs / "log")
        assert ended.code == -signal.SIGKILL, f"{moment.name}: never came\n{ended.output}"
        assert f"killed at {moment.name}\n" in ended.output
        if MEASURED in moment.events:
            assert len(kept()) == len(before) + moment.events.count(MEASURED), moment.name
        assert before.items() <= kept().items(), f"measured again after a kill at {moment.name}"
    assert run_until(never, evaluation(runs, out), ENVIRONMENT, runs / "log").code == 0
    calm, killed = ((runs / name / "per_clip.csv").read_text() for name in ("calm", "physics"))
    assert killed == calm
    assert shown(out) == shown(runs / "calm")
    assert before.items() <= kept().items()


def shown(out):
    """Digests of the pictures and videos of an evaluation."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (out / "media").iterdir()}
