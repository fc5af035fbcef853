"""Runs on two processes: they lose what one does, go on for one another, and do not wait for each other for ever."""

import json
import re
import signal
import subprocess
import time

import pytest
from small_runs import ENVIRONMENT, ROOT, command, evaluation, rows, train, train_here

pytestmark = pytest.mark.slow
FIFTY = ["steps=50", "log_every=1", "save_every=20"]


def assert_the_same_losses(one, other):
    """To 1e-5, at every step."""
    steps = [row["step"] for row in rows(one)]
    assert steps == [row["step"] for row in rows(other)] == list(range(1, 51))
    assert [row["loss"] for row in rows(one)] == pytest.approx([row["loss"] for row in rows(other)], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        pytest.param("tokenizer", [], id="tokenizer"),
        pytest.param("diffusion", [], id="diffusion"),
        pytest.param("diffusion", ["grad_accum_steps=2"], id="accumulated"),  # CI runs this one
        pytest.param("regression", [], id="regression"),
        pytest.param("jepa", ["model.target=sigreg", "optimiser.lr=3e-3"], id="sigreg"),
        pytest.param("probe", ["optimiser.lr=1e-3"], id="probe"),
    ],
)
def test_two_processes_lose_what_one_does(name, settings, runs):
    one = train(name, runs / "one", *FIFTY, *[s for s in settings if "grad_accum" not in s])
    two = train(name, runs / "two", *FIFTY, *settings, processes=2)
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    assert_the_same_losses(runs / "one", runs / "two")


@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2)])
def test_a_run_that_was_stopped_goes_on_with_another_number_of_processes(first, then, runs):
    assert train("diffusion", runs / "one", *FIFTY).returncode == 0
    out = runs / "diffusion"
    process = subprocess.Popen(
        command("diffusion", out, *FIFTY, processes=first),
        env=ENVIRONMENT,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until = time.monotonic() + 120
    while not (out / "heartbeat.json").exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[0]
    assert 1 <= int(re.search(r"saved at step (\d+) of 50", said)[1]) < 50
    done = train("diffusion", out, *FIFTY, processes=then)
    assert done.returncode == 0, done.stderr
    assert "going on from step" in done.stdout
    assert_the_same_losses(runs / "one", out)


def test_a_run_that_hangs_ends_with_a_message(runs):
    """One of two processes is stopped for good: the other waits for it in a collective, and does not for ever."""
    (runs / "hang.py").write_text(
        "import os, runpy, signal, sys\n"
        "from vidworld.training.run import Run\n"
        "accepts = Run.accepts\n"
        "def stuck(run, norm):\n"
        "    if run.step == 3 and run.accelerator.process_index == 1:\n"
        "        os.kill(os.getpid(), signal.SIGSTOP)\n"
        "    return accepts(run, norm)\n"
        "Run.accepts = stuck\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    line = command("diffusion", runs / "diffusion", "timeout_s=10.0", processes=2)
    line.insert(line.index("2") + 1, str(runs / "hang.py"))
    done = subprocess.run(line, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode != 0
    assert "nothing was done for 10 s after step 2" in done.stderr
    assert "in accepts" in done.stderr  # where each thread of the one that waits is
    assert json.loads((runs / "diffusion" / "heartbeat.json").read_text())["step"] >= 1


def test_an_evaluation_that_is_shared_gives_the_same_numbers_to_the_last_bit(runs):
    for name in ("diffusion", "regression", "probe"):
        assert train_here(name, runs / name) == 0
    for processes in (1, 2):
        line = evaluation(runs, runs / str(processes), processes)
        subprocess.run(line, env=ENVIRONMENT, cwd=ROOT, capture_output=True, check=True)
    one, two = ((runs / name / "per_clip.csv").read_text() for name in ("1", "2"))
    assert one == two
