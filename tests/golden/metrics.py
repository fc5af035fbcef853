"""Golden values of metrics, which hold every metric's version to what it computes.

python tests/golden/metrics.py    writes metrics.json anew, once a version was raised

The inputs are simulated clips with injected errors, and numbers drawn by a seed. What benchmarks compute for several
metrics together is held by their own tests and by the version of the benchmark.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # where this runs as a script

from golden.simulation import as_text, close, rounded

from vidworld.core.clip_shape import ClipShape
from vidworld.evaluation.calibration import (
    ErrorScene,
    duller_contact,
    late_return,
    never_back,
    other_speed,
    phantom,
    vanished,
)
from vidworld.evaluation.picture_errors import other_shape, splitting_disc, x_ray
from vidworld.metrics import METRICS, Metric
from vidworld.metrics.interventions import Worlds
from vidworld.metrics.physics_iq import PhysicsIq, physics_iq
from vidworld.simulation.interventions import world_pairs
from vidworld.simulation.properties import PROPERTY_OF, property_pairs

PATH = Path(__file__).with_name("metrics.json")
AGAIN = "python tests/golden/metrics.py"
SHAPE, START, CLIPS = ClipShape(height_px=32, width_px=32), 8, range(12)
ERRORS = {
    "bounce": {"faster": (other_speed, 10.0), "vanished": (vanished, 50.0)},
    "uniform": {"faster": (other_speed, 10.0), "vanished": (vanished, 50.0), "phantom": (phantom, 50.0)},
    "collision": {"faster": (other_speed, 10.0), "duller": (duller_contact, 40.0)},
    "occlusion": {"late": (late_return, 0.4), "gone": (never_back, 50.0), "phantom": (phantom, 50.0)},
}
PICTURE_ERRORS = {
    "collision": {"split": (splitting_disc, 4.0), "ellipse": (other_shape, 20.0)},
    "occlusion": {"x-ray": (x_ray, 40.0)},
}
"""Both by scenario."""


def measured() -> dict[str, Any]:
    """The version of each metric, and its values under each injected error."""
    return {
        name: {"version": METRICS.version(name), "values": values_of(METRICS[name])}
        for name in METRICS
        if METRICS[name].takes != "benchmark"
    } | {"physics_iq": {"version": METRICS.version("physics_iq_mse"), "values": of_motion()}}


def values_of(metric: Metric) -> dict[str, list[float | None]]:
    """The metric of every clip, by what was injected."""
    draw = np.random.default_rng(0)
    if metric.takes == "surprise":
        return {"drawn": kept(metric.function(draw.random((8, 2, 2, 3))))}
    if metric.takes == "frames":
        return {"drawn": kept(metric.function(*draw.integers(0, 255, (2, 3, 4, 3, 8, 8), dtype=np.uint8)))}
    if metric.takes == "places":
        return {"drawn": kept(metric.function(*draw.random((2, 3, 4, 2, 2)), 0.5))}
    if metric.takes == "worlds":
        return of_pairs(metric)
    scene = ErrorScene.of(metric.scenarios[0], CLIPS, SHAPE)
    found = {}
    if metric.takes == "pictures":
        for name, (paint, size) in PICTURE_ERRORS[metric.scenarios[0]].items():
            future = paint(scene, size, START)[:, START:]
            found[name] = kept(metric.function(scene.pictures(future, START)))
        return found
    for name, (inject, size) in ERRORS[metric.scenarios[0]].items():
        wrong = inject(scene.truth, size, SHAPE.dt_s, START)
        other = inject(scene.truth, -size, SHAPE.dt_s, START)
        given = [wrong, wrong, other] if metric.takes == "samples" else wrong
        found[name] = kept(metric.function(given, scene.truth, SHAPE.dt_s, START))
    return found


def of_pairs(metric: Metric) -> dict[str, list[float | None]]:
    """The metric of pairs of scenes, where the second is too fast or the same as the first, or they are swapped."""
    scenario = metric.scenarios[0]
    if scenario in PROPERTY_OF:
        pair = property_pairs(scenario, "id", 0, CLIPS, SHAPE)
        truth = Worlds(pair.own.tracks, pair.other.tracks)
    else:
        kicked = world_pairs(scenario, "kick", "id", 0, CLIPS, START, SHAPE)
        truth = Worlds(kicked.factual.tracks, kicked.changed.tracks)
    faster = Worlds(truth.factual, other_speed(truth.changed, 20.0, SHAPE.dt_s, START))
    given = {"faster": faster, "nothing": Worlds(truth.factual, truth.factual), "swapped": Worlds(*truth[::-1])}
    return {name: kept(metric.function(each, truth, SHAPE.dt_s, START)) for name, each in given.items()}


def of_motion() -> dict[str, list[float | None]]:
    """Physics-IQ's measures of a square that moves, shifted by two pixels."""
    truth = torch.full((1, 12, 3, 32, 32), 128, dtype=torch.uint8)
    for frame in range(12):
        truth[:, frame, :, 8:20, frame : frame + 12] = 250
    scores = physics_iq(truth.roll(2, dims=-1), truth, 4)
    return {name: kept(score) for name, score in zip(PhysicsIq._fields, scores, strict=True)}


def kept(values: Any) -> list[float | None]:
    return [rounded(float(value)) for value in np.asarray(values)]


def changed(golden: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """A line for everything that is not as the golden values have it, with what to do."""
    found = []
    for name in sorted(golden.keys() | now.keys()):
        before, after = golden.get(name), now.get(name)
        if before is None or after is None or before["version"] != after["version"]:
            found.append(f"metric {name}: is new, gone or of another version than its golden values: {AGAIN}")
        elif not close(before["values"], after["values"]):
            found.append(
                f"metric {name}: its values changed and its version did not: raise it in `versions` of METRICS "
                f"(vidworld/metrics/__init__.py), then {AGAIN}"
            )
    return found


def main() -> None:
    now = measured()
    hidden = [line for line in changed(json.loads(PATH.read_text()), now) if "did not" in line] if PATH.exists() else []
    if hidden:
        raise SystemExit("\n".join(hidden))
    PATH.write_text(as_text(now))


if __name__ == "__main__":
    main()
