"""Kills at random moments: in a step, in a save, while data are made, while the model is written, in an evaluation."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from small_runs import ENVIRONMENT, ROOT, command, evaluation, train, train_here, weights

STEPS = 300
pytestmark = pytest.mark.slow
SETTINGS = [f"steps={STEPS}", "save_every=5", "log_every=10"]


@pytest.fixture(scope="module")
def undisturbed(tokenizer):
    """The run that nothing happened to."""
    done = train("diffusion", tokenizer.parent / "calm", *SETTINGS)
    assert done.returncode == 0, done.stderr
    return tokenizer.parent / "calm"


def step_of(out):
    """The last step whose metrics are written."""
    metrics = out / "metrics.jsonl"
    lines = metrics.read_text().split("\n")[:-1] if metrics.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0


@pytest.mark.parametrize("kills", [5, 25])
def test_a_run_that_is_killed_again_and_again_comes_to_the_same_weights(kills, undisturbed, runs):
    """Every kill comes once the run has gone on by a random part of its share of the steps, and at any moment then."""
    out, chance = runs / "diffusion", random.Random(kills)
    went_on = 0
    for kill in range(kills):
        process = subprocess.Popen(
            command("diffusion", out, *SETTINGS),
            env=ENVIRONMENT,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        aim = (kill + chance.random()) * (STEPS - 50) / kills
        while kill % 5 != 4 and process.poll() is None and step_of(out) < aim:
            time.sleep(0.01)
        time.sleep(chance.random() * (5.0 if kill % 5 == 4 else 0.3))  # every fifth while it still starts
        assert process.poll() is None, process.communicate()[0]
        os.killpg(process.pid, signal.SIGKILL)
        went_on += "going on from step" in process.communicate()[0]
    done = train("diffusion", out, *SETTINGS)
    assert done.returncode == 0, done.stderr
    assert went_on >= kills // 2
    first, again = weights(undisturbed), weights(out)
    assert all(torch.equal(first[name], again[name]) for name in first)
    steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(10, STEPS + 1, 10))


def test_an_evaluation_that_is_killed_goes_on_to_the_same_numbers(runs):
    """Killed between two parts, in one, and while what the report shows is written; nothing is measured twice."""
    for name in ("diffusion", "jepa", "readout"):
        assert train_here(name, runs / name) == 0
    quiet = {"env": ENVIRONMENT, "cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(evaluation(runs, runs / "calm"), check=True, **quiet)
    out, chance = runs / "physics", random.Random(0)

    def kept():
        return {path: path.stat().st_mtime_ns for path in out.glob("parts/*/*.csv")}

    before: dict[Path, int] = {}
    moments = [lambda n=n: len(kept()) >= n for n in (1, 7, 12)] + [lambda: any(out.glob("media/*.mp4"))]
    for reached in moments:
        process = subprocess.Popen(evaluation(runs, out), **quiet)
        while process.poll() is None and not reached():
            time.sleep(0.002)
        time.sleep(chance.random() * 0.1)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert before.items() <= kept().items()
        before = kept()
    subprocess.run(evaluation(runs, out), check=True, **quiet)
    calm, killed = ((runs / name / "per_clip.csv").read_text() for name in ("calm", "physics"))
    assert killed == calm
    assert not (out / "parts").exists()
