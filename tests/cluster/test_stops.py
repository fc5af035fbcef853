"""Runs that are stopped, hang, spike or go on with others: what they say, leave behind and come to."""

import json
import re
import signal
import subprocess
import time

import pytest
import torch
from small_runs import ENVIRONMENT, ROOT, command, train, weights

LONG = ["steps=60", "save_every=1000", "log_every=1"]


def rows(run_folder):
    return [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]


def started(line):
    return subprocess.Popen(
        line, env=ENVIRONMENT, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for_a_step(run_folder, process, seconds=120):
    """Returns once the run has told of a step."""
    until = time.monotonic() + seconds
    while not (run_folder / "heartbeat.json").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(scope="module")
def undisturbed(tokenizer):
    """A run of sixty steps that nothing happened to."""
    done = train("diffusion", tokenizer.parent / "undisturbed", *LONG)
    assert done.returncode == 0, done.stderr
    return tokenizer.parent / "undisturbed"


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGUSR1])
def test_a_run_that_is_asked_to_stop_saves_and_goes_on_to_the_same_weights(sent, undisturbed, runs):
    out = runs / "diffusion"
    process = started(command("diffusion", out, *LONG))
    wait_for_a_step(out, process)
    process.send_signal(sent)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 75, said
    stopped_at = int(re.search(rf"{sent.name}\), saved at step (\d+) of 60", said)[1])
    assert 1 <= stopped_at < 60
    assert rows(out)[-1]["step"] == stopped_at
    done = train("diffusion", out, *LONG)
    assert f"going on from step {stopped_at}" in done.stdout
    first, again = weights(undisturbed), weights(out)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert [row["loss"] for row in rows(out)] == [row["loss"] for row in rows(undisturbed)]
    beat = json.loads((out / "heartbeat.json").read_text())
    assert beat["step"] == beat["steps"] == 60
    assert beat["steps_per_s"] > 0


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (["optimiser.lr=1e-3"], "optimiser.lr (0.01, now 0.001)"),
        (["seed=1", "steps=7"], "seed (0, now 1), steps (6, now 7)"),
    ],
)
def test_a_checkpoint_of_another_configuration_is_refused_by_the_keys_that_differ(overrides, names, runs):
    assert train("diffusion", runs / "diffusion").returncode == 0
    (runs / "diffusion" / "model").rename(runs / "model")
    done = train("diffusion", runs / "diffusion", *overrides)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert names in line
    assert len(list((runs / "diffusion" / "checkpoints").iterdir())) == 2


def test_keys_that_change_no_weight_may_change_on_the_way(runs):
    assert train("diffusion", runs / "diffusion").returncode == 0
    (runs / "diffusion" / "model").rename(runs / "model")
    done = train(
        "diffusion", runs / "diffusion", "save_every=5", "keep.last=3", "timeout_s=60.0", "log_every=2"
    )
    assert done.returncode == 0, done.stderr
    assert "going on from step 4" in done.stdout


def test_a_run_that_diverges_skips_keeps_the_batches_and_ends_with_one_line(runs):
    wild = ["optimiser.lr=1e30", "optimiser.warmup_steps=0", "steps=20", "spikes.most=3"]
    done = train("diffusion", runs / "diffusion", *wild)
    assert done.returncode == 2
    assert "optimiser.lr may help" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(list((runs / "diffusion" / "spikes").glob("*.safetensors"))) == 3
    assert rows(runs / "diffusion")[-1]["skipped"] >= 2


def test_two_processes_lose_what_one_does_and_either_goes_on_for_the_other(undisturbed, runs):
    """Stopped on two processes and resumed on one, and the other way round, against one alone."""
    out = runs / "diffusion"
    process = started(command("diffusion", out, *LONG, "save_every=20", processes=2))
    wait_for_a_step(out, process)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[0]
    assert "saved at step" in said
    other = runs / "other"
    first = train("diffusion", other, *LONG, "save_every=20")
    assert first.returncode == 0, first.stderr
    (other / "model" / "budget.json").unlink()
    for folder, processes in ((out, 1), (other, 2)):
        done = train("diffusion", folder, *LONG, "save_every=20", processes=processes)
        assert done.returncode == 0, done.stderr
        assert "going on from step" in done.stdout
        alone = rows(undisturbed)
        assert len(rows(folder)) == 60
        for row, other_row in zip(rows(folder), alone, strict=True):
            assert row["loss"] == pytest.approx(other_row["loss"], rel=1e-5)


def test_a_run_that_hangs_ends_with_a_message(runs):
    """One of two processes is stopped for good: the other waits for it in a collective, and does not for ever."""
    out = runs / "diffusion"
    hang = "import os, runpy, signal, sys; from vidworld.run import Run; update = Run.update\n"
    hang += "def stuck(run):\n"
    hang += (
        "    if run.step == 2 and run.accelerator.process_index == 1: os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    hang += "    update(run)\n"
    hang += "Run.update = stuck; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')\n"
    (runs / "hang.py").write_text(hang)
    line = command("diffusion", out, "timeout_s=6.0", processes=2)
    line.insert(line.index("2") + 1, str(runs / "hang.py"))
    done = subprocess.run(
        line, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode != 0
    assert "nothing was done for 6 s after step 2" in done.stderr
    assert list((out / "checkpoints").glob("step_*"))
