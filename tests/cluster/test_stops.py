"""Runs that are asked to stop, spike, or find a checkpoint that is not theirs: in this process, to be quick."""

import json
import os
import shutil
import signal

import pytest
import torch
from small_runs import rows, train_here, weights

from vidworld.core.locks import alone
from vidworld.training import run as training_run
from vidworld.training.run import Run


@pytest.fixture(scope="module")
def undisturbed(tokenizer):
    """A run of six steps that nothing happened to."""
    assert train_here("diffusion", tokenizer.parent / "undisturbed") == 0
    return tokenizer.parent / "undisturbed"


@pytest.fixture
def unfinished(undisturbed, runs):
    """The same without its model: its newest checkpoint is of step 4."""
    shutil.copytree(undisturbed, runs / "diffusion")
    shutil.rmtree(runs / "diffusion" / "model")
    return runs / "diffusion"


@pytest.mark.thorough
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGUSR1])
def test_a_run_that_is_asked_to_stop_saves_and_goes_on_to_the_same_weights(
    sent, undisturbed, runs, monkeypatch, capsys
):
    accepts = Run.accepts

    def signalled(run, norm):
        if run.step == 3:
            os.kill(os.getpid(), sent)
        return accepts(run, norm)

    before = signal.getsignal(sent)
    out = runs / "diffusion"
    with monkeypatch.context() as patched:
        patched.setattr(Run, "accepts", signalled)
        assert train_here("diffusion", out) == 75
    assert f"asked to stop ({sent.name}), saved at step 3 of 6" in capsys.readouterr().out
    assert signal.getsignal(sent) == before
    assert train_here("diffusion", out) == 0
    assert "going on from step 3" in capsys.readouterr().out
    first, again = weights(undisturbed), weights(out)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert [row["loss"] for row in rows(out)] == [row["loss"] for row in rows(undisturbed)]
    beat = json.loads((out / "heartbeat.json").read_text())
    assert beat["step"] == beat["steps"] == 6
    assert beat["steps_per_s"] > 0


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (["optimiser.lr=1e-3"], "optimiser.lr (0.01, now 0.001)"),
        (["seed=1", "steps=7"], "seed (0, now 1), steps (6, now 7)"),
    ],
)
def test_a_checkpoint_of_another_configuration_is_refused_by_the_keys_that_differ(overrides, names, unfinished, capsys):
    assert train_here("diffusion", unfinished, *overrides) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert names in line
    assert len(list((unfinished / "checkpoints").iterdir())) == 2


def test_keys_that_change_no_weight_may_change_on_the_way(unfinished, undisturbed, capsys):
    settings = ["save_every=5", "keep.last=3", "timeout_s=60.0", "log_every=2"]
    assert train_here("diffusion", unfinished, *settings) == 0
    assert "going on from step 4" in capsys.readouterr().out
    first, again = weights(undisturbed), weights(unfinished)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_broken_newest_checkpoint_costs_the_steps_since_the_one_before(unfinished, undisturbed, capsys):
    (unfinished / "checkpoints" / "step_00000004" / "optimiser.safetensors").unlink()
    assert train_here("diffusion", unfinished) == 0
    said = capsys.readouterr().out
    assert "optimiser.safetensors is missing" in said
    assert "going on from step 2" in said
    first, again = weights(undisturbed), weights(unfinished)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_folder_in_which_another_trains_is_refused_and_untouched(unfinished, capsys):
    with alone(unfinished / "lock"):
        before = sorted(unfinished.rglob("*")), (unfinished / "metrics.jsonl").read_bytes()
        assert train_here("diffusion", unfinished) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
        assert "another training is running there" in line
        assert before == (sorted(unfinished.rglob("*")), (unfinished / "metrics.jsonl").read_bytes())
    assert train_here("diffusion", unfinished) == 0


def test_a_run_that_diverges_skips_steps_and_ends_with_one_line(runs, capsys):
    wild = ["optimiser.lr=1e30", "optimiser.warmup_steps=0", "steps=20", "spikes.most=3"]
    assert train_here("diffusion", runs / "diffusion", *wild) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "optimiser.lr may help" in line
    assert rows(runs / "diffusion")[-1]["skipped"] >= 2


def test_a_tracker_that_is_not_installed_is_said_before_anything_is_made(runs, monkeypatch, capsys):
    monkeypatch.setattr(training_run, "missing_trackers", list)
    assert train_here("diffusion", runs / "diffusion", "trackers=[wandb]") == 2
    assert "trackers: wandb cannot be imported; install it" in capsys.readouterr().err
    assert not (runs / "diffusion").exists()


def test_one_spike_is_skipped_and_the_run_goes_on(runs, monkeypatch, capsys):
    record = Run.record

    def spiking(run, loss, logged=None):
        record(run, loss * float("nan") if run.step == 3 else loss, logged)

    monkeypatch.setattr(Run, "record", spiking)
    assert train_here("diffusion", runs / "diffusion") == 0
    assert "skipped step 3" in capsys.readouterr().out
    assert [row["skipped"] for row in rows(runs / "diffusion")] == [0, 0, 1, 1, 1, 1]
    assert all(value.isfinite().all() for value in weights(runs / "diffusion").values())
