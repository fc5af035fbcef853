"""Another package adds a scenario, a law, a metric, a task and a model family: one file and one entry point each.

They are trained on or measured and stand on the page, and nothing of vidworld is edited.
"""

import json
import os
import subprocess
import sys

import pytest
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
    return np.asarray(away.nan_to_num(10.0).mean(dim=1))


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
}
ENTRY_POINTS = """
[vidworld.scenarios]
drift = drift:DRIFT
[vidworld.laws]
inertia = inertia:INERTIA
[vidworld.metrics]
last_distance = last_distance:LAST_DISTANCE
[vidworld.tasks]
backwards = backwards:BACKWARDS
[vidworld.families]
damped = damped:DAMPED
"""
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
    run(package, "eval/run_physics.py", "--config", tmp_path / "physics.yaml", *SIZE)
    rows = json.loads((tmp_path / "physics" / "results.json").read_text())["results"]
    assert {row["task"] for row in rows if (row["model"], row["metric"]) == ("damped", "last_distance")} == {
        "drift",
        "uniform",
        "backwards",
    }  # the scenario names the metric, and the metric the scenario
    assert [row for row in rows if (row["model"], row["law"]) == ("damped", "inertia")]
    truth = [r for r in rows if (r["model"], r["metric"]) == ("truth", "last_distance")]
    assert all(row["value"] < 0.5 for row in truth)

    run(package, "eval/make_report.py", tmp_path)
    page = (tmp_path / "report.html").read_text()
    for words in ("Damped copy", "What goes right does not turn back.", "Distance from the true place", "Drift"):
        assert words in page, words
