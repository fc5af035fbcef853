"""A real Slurm of two nodes: the chained comparison, preemption, time limits, a sweep (`make test-slurm`)."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from slurm_cluster import Cluster, why_not
from small_runs import ENVIRONMENT, ROOT, SETTINGS, SMALL, weights

from vidworld.core.config import load, to_yaml
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.models.families import FAMILIES
from vidworld.models.schema import ProbeConfig, TokenizerConfig

pytestmark = pytest.mark.slow

SMALL_JOBS = ["--nodes=1", "--ntasks-per-node=1", "--gres=none", "--cpus-per-task=1"]
FEW = ["clips=3", "quadruplets=4", "further_quadruplets=2", "ood_quadruplets=2", "shown=1", "sampling_steps=2"]
FEW += ["shape.height_px=32", "shape.width_px=32", "mixed_precision=no", "laws=[permanence,momentum]"]
FEW += ["levels=[0.7,1.0]", "horizons=[]", "contexts=[]"]
KINDS = {
    "tokenizer": TokenizerConfig,
    "diffusion": FAMILIES["diffusion"].config,
    "regression": FAMILIES["regression"].config,
    "jepa": FAMILIES["jepa"].config,
    "probe": ProbeConfig,
    "physics": PhysicsConfig,
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A running Slurm."""
    if reason := why_not():
        pytest.skip(reason)
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    cluster.environment |= ENVIRONMENT | {"VIDWORLD_PYTHON": sys.executable}
    cluster.environment["SLURM_CONF"] = str(cluster.state / "slurm.conf")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A copy of what a job needs, so that its logs and runs are not those of this checkout; configs/small is small."""
    place = tmp_path_factory.mktemp("checkout")
    for name in ("train", "eval", "slurm", "configs"):
        shutil.copytree(ROOT / name, place / name)
    small = place / "configs" / "small"
    shutil.copytree(ROOT / "configs" / "short", small)
    for name, kind in KINDS.items():
        path = small / f"{name}.yaml"
        settings = FEW if name == "physics" else SETTINGS + SMALL[name]
        path.write_text(to_yaml(load(kind, path, settings)))
    return place


def submitted(cluster, place, *command):
    """The numbers of the jobs that a command sends."""
    done = subprocess.run(
        command, cwd=place, env=cluster.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return re.findall(r"\b\d+\b", done.stdout.partition(",")[0] if "sweep" in command[0] else done.stdout)


def logs(place):
    """Everything that jobs have said, for a failure's message."""
    return "\n".join(f"== {p.name}\n{p.read_text()[-2000:]}" for p in sorted((place / "runs/slurm").glob("*")))


def sent(cluster, place, name, runs, *settings, options=()):
    """The number of the job that trains one world model."""
    (place / "runs" / "slurm").mkdir(parents=True, exist_ok=True)
    line = [
        "sbatch",
        "--parsable",
        *SMALL_JOBS,
        *options,
        "slurm/world_model.sbatch",
        "configs/small",
        runs,
        name,
        *settings,
    ]
    (job,) = submitted(cluster, place, *line)
    return job


@pytest.fixture(scope="module")
def chained(cluster, place):
    """The runs of the whole comparison, submitted as one chain."""
    jobs = submitted(cluster, place, "slurm/submit", "configs/small", "runs/chain", *SMALL_JOBS)
    assert len(jobs) == 7  # the tokenizer, two probes, three models, the evaluation
    try:
        cluster.wait_for(jobs[-1], 600)
    except (AssertionError, TimeoutError) as error:
        raise AssertionError(logs(place)) from error
    return place / "runs" / "chain"


def test_the_chained_comparison_goes_from_submit_to_report(chained):
    assert (chained / "report.html").stat().st_size > 10_000
    names = [path.name for path in (chained.parent / "slurm").iterdir()]
    assert any(re.fullmatch(r"vidworld-regression-\d+-train_world_model-rank0\.log", name) for name in names)


LONG = ["steps=400", "save_every=1000", "log_every=10"]


@pytest.fixture(scope="module")
def left_alone(cluster, place, chained):
    """A long run on both nodes that nothing happened to."""
    shutil.copytree(chained / "tokenizer", place / "runs" / "alone" / "tokenizer")
    job = sent(cluster, place, "diffusion", "runs/alone", *LONG, options=["--nodes=2"])
    try:
        cluster.wait_for(job, 300)
    except (AssertionError, TimeoutError) as error:
        raise AssertionError(logs(place)) from error
    return place / "runs" / "alone" / "diffusion"


def test_a_job_on_two_nodes_leaves_a_log_for_each_rank(left_alone):
    budget = json.loads((left_alone / "provenance.json").read_text())
    assert budget["processes"] == 2
    names = " ".join(path.name for path in (left_alone.parents[1] / "slurm").iterdir())
    assert "train_world_model-rank1.log" in names


def test_a_preempted_job_is_requeued_and_comes_to_the_same_weights(cluster, place, chained, left_alone):
    shutil.copytree(chained / "tokenizer", place / "runs" / "preempted" / "tokenizer")
    out = place / "runs" / "preempted" / "diffusion"
    job = sent(cluster, place, "diffusion", "runs/preempted", *LONG, options=["--nodes=2"])
    cluster.wait((out / "heartbeat.json").exists, 120, "the first step")
    urgent = ["sbatch", "--parsable", "--partition=urgent", "--nodes=2", "--output=/dev/null", "--wrap=sleep 2"]
    submitted(cluster, place, *urgent)
    try:
        cluster.wait_for(job, 300)
    except (AssertionError, TimeoutError) as error:
        raise AssertionError(logs(place)) from error
    assert cluster.restarts(job) == 1
    resumed = json.loads((out / "provenance.json").read_text())["resumed"]
    assert 0 < resumed[0]["after_step"] < 400
    first, again = weights(left_alone), weights(out)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_job_that_hits_its_time_limit_goes_on_by_itself(cluster, place, chained, left_alone):
    """Slurm sends the signal up to a minute early: a job has half a minute at the least, and the run takes several."""
    shutil.copytree(chained / "tokenizer", place / "runs" / "limited" / "tokenizer")
    rows = [json.loads(line) for line in (left_alone / "metrics.jsonl").read_text().splitlines()]
    rate = (rows[-1]["step"] - rows[0]["step"]) / (rows[-1]["seconds"] - rows[0]["seconds"])
    settings = [f"steps={int(rate * 120)}", "save_every=100000", "log_every=10"]
    options = ["--nodes=2", "--time=2", "--signal=USR1@30"]
    job = sent(cluster, place, "diffusion", "runs/limited", *settings, options=options)
    try:
        cluster.wait_for(job, 600)
    except (AssertionError, TimeoutError) as error:
        raise AssertionError(logs(place)) from error
    assert cluster.restarts(job) >= 1
    assert (place / "runs" / "limited" / "diffusion" / "model" / "budget.json").exists()


def test_an_array_of_three_seeds_becomes_one_table_also_before_it_is_done(cluster, place):
    line = ["slurm/sweep", "configs/small", "runs/seeds", "seed", "0", "1", "2", "--", *SMALL_JOBS]
    (job,) = submitted(cluster, place, *line)
    sweep = place / "runs" / "seeds"
    cluster.wait(lambda: any(sweep.glob("*/physics/results.json")), 600, "the first comparison")

    def collected():
        line = [sys.executable, "eval/collect_sweep.py", str(sweep)]
        return subprocess.check_output(line, cwd=place, env=cluster.environment, text=True)

    half = collected()
    assert "finished" in half
    assert "(unfinished)" in half
    try:
        cluster.wait_for(job, 900)
    except (AssertionError, TimeoutError) as error:
        raise AssertionError(logs(place)) from error
    table = collected()
    assert "unfinished" not in table
    assert all(f"seed {seed}: finished" in table for seed in range(3))
    assert (sweep / "report.html").exists()
    assert json.loads((sweep / "physics" / "comparison.json").read_text())["runs"] == 3
