"""Another package adds a scenario, law, metric, task, model family and benchmark: one file and one entry point each.

They are trained on or measured and stand on the page, and nothing of vidworld is edited.
"""

import json
import os
import subprocess
import sys

import pytest
import samples
from scripts import ROOT

FILES = {
    "drift": '''
"""A scenario: one disc that starts in the left half and goes right."""

import torch

from vidworld.simulation.stage import Ranges, Scenario

RANGES = Ranges((1.0, 2.0), (0.7, 1.0), ((2.5, 3.0),), ((1.2, 1.4),), corner=0.0)


def drift(stage):
    radius, color = stage.radius(1), stage.colors(1)
    velocity = stage.speed(1)[:, :, None] * torch.tensor([1.0, 0.0])
    travel = velocity[:, 0] * stage.setting.duration_s
    position, valid = stage.place(-radius, travel + radius)
    return (stage.scenes(position[:, None], velocity, radius, color),), valid


DRIFT = Scenario((drift,), RANGES, metrics=("velocity_error", "last_distance"), label="Drift to the right")
''',
    "inertia": '''
"""A law: what goes right does not turn back."""

import torch

from vidworld.simulation.stage import Law, Ranges

RANGES = Ranges((1.0, 2.0), (0.7, 1.0), ((2.5, 3.0),), ((1.2, 1.4),), corner=0.0)


def turns(stage, moment_s):
    radius, color = stage.radius(1), stage.colors(1)
    speed = stage.speed(1)[:, :, None]
    ways = [speed * torch.tensor([sign, 0.0]) for sign in (1.0, -1.0)]
    before, after = moment_s[:, None, None], stage.setting.duration_s - moment_s[:, None, None]
    ends = torch.cat([end for way in ways for end in (-way * before, way * after)], dim=1)
    point, valid = stage.place(ends.amin(1) - radius, ends.amax(1) + radius)
    return tuple(stage.scenes(point[:, None] - way * before, way, radius, color) for way in ways), valid


INERTIA = Law((turns,), RANGES, "What goes right does not turn back.")
''',
    "last_distance": '''
"""A metric: how far discs are from their true place in the last frame."""

import numpy as np

from vidworld.metrics import Metric


def last_distance(predicted, truth, dt_s, start):
    count = truth.position.shape[2]
    away = (predicted.position[:, -1, :count].double() - truth.position[:, -1].double()).norm(dim=-1)
    there = truth.present[:, -1]
    return np.asarray((away.nan_to_num(10.0) * there).sum(dim=1) / there.sum(dim=1))


LAST_DISTANCE = Metric(
    "last_distance", "uniform motion", "units", False, last_distance, ("uniform",),
    description="Distance from the true place in the last frame.",
)
''',
    "backwards": '''
"""A task: clips are played backwards, which discs without friction or gravity allow."""

from dataclasses import replace
from functools import partial

from vidworld.evaluation.task import Case, Task
from vidworld.metrics import METRICS


def units(setup):
    metric = METRICS["last_distance"]
    for subject in setup.subjects:
        if subject.rolls_out and not subject.needs_tracks:
            measure = partial(measured, setup, subject, metric)
            yield setup.unit("backwards", subject, ["backwards", 1], [metric], measure)


def measured(setup, subject, metric):
    clips, evaluator = setup.clips("uniform", "id").clips(range(setup.config.clips)), setup.evaluator
    per_frame = {name: getattr(clips.tracks, name).flip(1) for name in ("position", "velocity", "present", "visible")}
    truth = replace(clips.tracks, **per_frame | {"velocity": -per_frame["velocity"]})
    frames = evaluator.future_frames(subject.model, evaluator.encode(replace(clips, frames=clips.frames.flip(1))))
    errors = metric.function(evaluator.by_pixels(frames, truth), truth, clips.dt_s, evaluator.context_frames)
    case = Case(subject.name, "pixels", "backwards", "id", setup.config.seed)
    return case.values(metric, clips.identity, errors.tolist())


BACKWARDS = Task(units)
''',
    "damped": '''
"""A model family: the next chunk is the last one, scaled by one number a channel."""

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin

from vidworld.core.config import schema
from vidworld.models.families import Family, Loss
from vidworld.models.schema import WorldModelConfig
from vidworld.models.world_model import Rollout


@schema
class DampedConfig(WorldModelConfig):
    family: str = "damped"
    first: float = 0.5


class Scale(ModelMixin, ConfigMixin):
    _supports_gradient_checkpointing = False

    @register_to_config
    def __init__(self, channels=8, first=0.5):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.full((channels,), first))

    def forward(self, tokens):
        return tokens * self.scale


class DampedModel:
    def __init__(self, network, name):
        self.network, self.name = network.eval(), name

    @torch.no_grad()
    def rollout(self, context, horizon, samples, seeds):
        chunks = [self.network(context.tokens[:, -1:])]
        while len(chunks) < horizon:
            chunks.append(self.network(chunks[-1]))
        tokens = torch.cat(chunks, dim=1)[:, None].expand(-1, samples, -1, -1, -1, -1)
        return Rollout(tokens, tokens)

    @torch.no_grad()
    def surprise(self, seen, context_length, seeds):
        error = (self.network(seen.tokens[:, :-1]) - seen.tokens[:, 1:]).square().mean(dim=(2, 3, 4))
        return error[:, context_length - 1 :]


class Damped(Family):
    name, label, config = "damped", "Damped copy", DampedConfig

    def network_class(self):
        return Scale

    def network(self, config, channels):
        return Scale(channels, config.first)

    def loss(self, config, model, tokens, *drawn):
        return Loss(F.mse_loss(model(tokens[:, :-1]).float(), tokens[:, 1:].float()), {})

    def world_model(self, network, name, settings, decoder=None):
        return DampedModel(network, name)


DAMPED = Damped()
''',
    "films": '''
"""A benchmark: films that a model continues, and the metric of how it does; both are of one file here."""

from vidworld.evaluation.benchmarks.benchmark import Benchmark, ContinuationScore, Entry, Reading
from vidworld.metrics import Metric


def entries(folder):
    return [Entry(path.stem, "motion", path.stem, None, path) for path in sorted(folder.glob("*.mp4"))]


def of_video(context, entry, model):
    start = context.evaluator.context_frames
    clip = context.around(context.clip(entry), start)
    future = clip.frames[:, start:] if model is None else context.future(model, clip)
    error = (future[:, -1].float() - clip.frames[:, -1].float()).abs().mean() / 255
    yield context.value(model, entry, "motion", "last_picture", "share", float(error))


LAST_PICTURE = Metric(
    "last_picture", "motion", "share", False, of_video, takes="benchmark", bounds=(0.0, 1.0),
    description="How far the last pictures are apart.",
)
SCORE = ContinuationScore(of_video, ("last_picture",))
FILMS = Benchmark("films", "Films", "a test", "FOLDER/*.mp4", Reading(32), entries, SCORE)
''',
}
ENTRY_POINTS = """
[vidworld.scenarios]
drift = drift:DRIFT
[vidworld.laws]
inertia = inertia:INERTIA
[vidworld.metrics]
last_distance = last_distance:LAST_DISTANCE
last_picture = films:LAST_PICTURE
[vidworld.tasks]
backwards = backwards:BACKWARDS
[vidworld.families]
damped = damped:DAMPED
[vidworld.benchmarks]
films = films:FILMS
"""
ONE_PROCESS = """
import json, runpy, sys

for sys.argv in json.loads(sys.argv[1]):
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise
"""  # two scripts after one another: torch is imported once
SMALL = ["steps=3", "global_batch_size=4", "data.clips=16", "mixed_precision=no", "compile=false", "log_every=1"]
SIZE = ["shape.height_px=32", "shape.width_px=32"]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder with the files and their entry points, as pip would leave them."""
    folder = tmp_path_factory.mktemp("package")
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(text)
    record = folder / "their_package-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


def run(package, *command):
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{package}", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [sys.executable, *map(str, command)], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_in_one_process(package, *commands):
    run(package, "-c", ONE_PROCESS, json.dumps([[str(word) for word in command] for command in commands]))


def test_one_file_and_one_entry_point_each_are_trained_on_measured_and_on_the_page(package, tmp_path):
    configs, data = ROOT / "configs" / "demo", [f"data.{size}" for size in SIZE]
    tokenizer, mine = tmp_path / "tokenizer", tmp_path / "mine"
    network = ["model.channels=8", "model.width=32", "model.depth=1", "model.heads=1"]
    scenarios = "data.scenarios={drift: 1.0}"
    run(
        package,
        "train/train_tokenizer.py",
        "--config",
        configs / "tokenizer.yaml",
        f"out={tokenizer}",
        *SMALL,
        *data,
        *network,
        scenarios,
    )
    (tmp_path / "mine.yaml").write_text(f"family: damped\nout: {mine}\ntokenizer: {tokenizer}\nfirst: 0.7\n")
    run(package, "train/train_world_model.py", "--config", tmp_path / "mine.yaml", *SMALL, *data, scenarios)
    assert json.loads((mine / "model" / "budget.json").read_text())["family"] == "damped"

    (tmp_path / "physics.yaml").write_text(
        f"out: {tmp_path / 'physics'}\ntokenizer: {tokenizer}\nmodels: {{damped: {mine}}}\n"
        "scenarios: [drift, uniform]\nlaws: [inertia]\nclips: 3\nfurther_quadruplets: 3\nood_quadruplets: 2\nshown: 1\n"
    )
    for number in range(2):
        samples.film(tmp_path / "films" / f"{number}.mp4", number, 60)
    models, scored = ("--config", tmp_path / "physics.yaml", *SIZE), ("--out", tmp_path / "scored")
    run_in_one_process(
        package,
        ["eval/run_physics.py", *models],
        ["eval/score_benchmark.py", "films", tmp_path / "films", *models, *scored],
    )
    rows = json.loads((tmp_path / "physics" / "results.json").read_text())["results"]
    assert {row["task"] for row in rows if (row["model"], row["metric"]) == ("damped", "last_distance")} == {
        "drift",
        "uniform",
        "backwards",
    }  # the scenario names the metric, and the metric the scenario
    assert [row for row in rows if (row["model"], row["law"]) == ("damped", "inertia")]
    truth = [r for r in rows if (r["model"], r["metric"]) == ("truth", "last_distance")]
    assert all(row["value"] < 0.5 for row in truth)

    scores = json.loads((tmp_path / "scored" / "results.json").read_text())["results"]
    errors = {row["model"]: row["value"] for row in scores if (row["task"], row["metric"]) == ("films", "last_picture")}
    assert errors.keys() == {"truth", "copy_last", "damped"}
    assert errors["truth"] == 0 < min(errors["copy_last"], errors["damped"])

    board = tmp_path / "leaderboard.html"
    run_in_one_process(
        package, ["eval/make_report.py", tmp_path], ["eval/make_leaderboard.py", tmp_path, "--out", board]
    )
    page = (tmp_path / "report.html").read_text()
    for words in ("Damped copy", "What goes right does not turn back.", "Distance from the true place", "Drift"):
        assert words in page, words
    every = board.read_text()  # of the physics and of the benchmark on one page
    for words in ('data-metric="last_distance"', 'data-metric="last_picture"', 'data-key="films"', "Damped copy"):
        assert words in every, words
