"""Error against what clips were drawn with: what is inside and outside, and what curve comes of it."""

import csv

import numpy as np
import pytest

from vidworld.analysis.generalisation import MIN_CLIPS, Draw, draws_of, generalisation_curves, trained_range
from vidworld.analysis.records import Model, Value
from vidworld.core.clip_shape import ClipShape
from vidworld.core.records import write_csv
from vidworld.report.charts import line_chart
from vidworld.simulation.simulated import SimulatedClips

TASK = "uniform"
MODELS = {"jepa": Model("JEPA", "jepa", "runs/jepa")}


def draws(scenario, split, count=40):
    clips = SimulatedClips(scenario, split, 0, shape=ClipShape(height_px=32, width_px=32)).clips(range(count))
    return list(draws_of(clips, scenario, split))


def values_of(drawn, error, model="jepa", metric="velocity_error"):
    return [
        Value(model, "pixels", d.task, "uniform motion", d.split, metric, "", d.identity, error(d), 0) for d in drawn
    ]


@pytest.mark.parametrize("scenario", ["uniform", "parabola", "collision", "billiards", "occlusion"])
def test_clips_of_the_trained_distribution_lie_inside_and_the_others_outside(scenario):
    slow, fast = trained_range(scenario, "speed")
    small, large = trained_range(scenario, "radius")
    for draw in draws(scenario, "id"):
        assert slow <= draw.speed <= fast and small <= draw.radius <= large
        assert 1 <= draw.mass_ratio <= trained_range(scenario, "mass_ratio")[1]
    for draw in draws(scenario, "ood"):
        assert not (slow <= draw.speed <= fast and small <= draw.radius <= large)


def test_a_clip_without_a_disc_has_no_line():
    tracks = SimulatedClips("occlusion", "id", 0, shape=ClipShape(height_px=32, width_px=32)).clips(range(40)).tracks
    empty = int((~tracks.present[:, 0].any(dim=1)).sum())
    assert empty > 0 and len(draws("occlusion", "id")) == 40 - empty


def test_what_a_clip_was_drawn_with_by_hand():
    clips = SimulatedClips("collision", "id", 0, shape=ClipShape(height_px=32, width_px=32)).clips([3])
    (draw,) = draws_of(clips, "collision", "id")
    radius = clips.tracks.radius[0].double().numpy()
    assert draw.identity == "collision/id/0/3"
    assert draw.radius == pytest.approx(radius.max())
    assert draw.mass_ratio == pytest.approx((radius.max() / radius.min()) ** 2)
    assert draw.speed == pytest.approx(float(clips.tracks.velocity[0, 0].norm(dim=-1).max()))


def test_a_curve_follows_the_error_and_shades_what_was_trained_on():
    """An error that is the speed itself: a straight line, through bins inside and on either side."""
    drawn = draws(TASK, "id", 100) + draws(TASK, "ood", 100) + draws(TASK, "recombined", 20)
    curves = generalisation_curves(values_of(drawn, lambda d: d.speed), drawn, MODELS)
    assert [curve.name for curve in curves] == ["Uniform: speed", "Uniform: radius"]
    speed = curves[0]
    assert speed.shaded == [trained_range(TASK, "speed")]
    (line,) = speed.series
    assert line.y == pytest.approx(line.x) and len(line.x) == 6
    assert line.x[0] < 1 and line.x[-1] > 4 and line.x == sorted(line.x)
    assert all(low <= y <= high for low, y, high in zip(line.low, line.y, line.high, strict=True))
    assert "Speed and radius both outside (" in speed.note and "JEPA" in speed.note
    chart = line_chart(speed)
    ((left, width),) = chart.shaded
    assert 0 < left < 30 and 50 < width < 90


def test_a_point_outside_counts_clips_of_which_nothing_else_is_outside():
    """An error of 1 where the radius lies outside, else 0: it shows over the radius and never over the speed."""
    small, large = trained_range(TASK, "radius")
    drawn = draws(TASK, "id", 60) + draws(TASK, "ood", 100)
    values = values_of(drawn, lambda d: float(not small <= d.radius <= large))
    speed, radius = (curve.series[0] for curve in generalisation_curves(values, drawn, MODELS))
    assert set(speed.y) == {0.0}
    outside = [not small <= x <= large for x in radius.x]
    assert radius.y == [float(out) for out in outside] and any(outside)


def test_recombined_clips_stand_apart_beside_those_whose_values_they_recombine():
    """An error of 1 where training left the pair out: the curves do not see it, their note does."""
    drawn = draws(TASK, "id", 60) + draws(TASK, "recombined", 10)
    values = values_of(drawn, lambda d: float(d.split == "recombined"))
    curves = generalisation_curves(values, drawn, MODELS)
    assert all(set(line.y) == {0.0} for curve in curves for line in curve.series)
    seen, recombined = curves[0].note.split(". ")
    assert "fast or" in seen and "JEPA 0.00" in seen
    assert recombined.startswith("Recombined, with a disc that is both (10 clips): JEPA 1.00")


def test_the_mass_ratio_is_drawn_where_discs_meet():
    drawn = draws("collision", "id", 100) + draws("collision", "ood", 100)
    values = values_of(drawn, lambda d: d.mass_ratio, metric="outgoing_velocity_error")
    (curve,) = generalisation_curves(values, drawn, MODELS)
    assert curve.x_label == "mass ratio, heavy / light"
    assert curve.series[0].x[-1] > curve.shaded[0][1]


def test_few_clips_make_no_point_and_the_truth_no_line():
    drawn = [Draw(f"uniform/id/0/{i}", TASK, "id", 1.2 + i, 1.0, 1.0) for i in range(MIN_CLIPS - 1)]
    assert generalisation_curves(values_of(drawn, lambda d: 1.0), drawn, MODELS) == []
    many = draws(TASK, "id", 40)
    assert generalisation_curves(values_of(many, lambda d: 1.0, model="truth"), many, MODELS) == []


def test_a_line_a_clip(tmp_path):
    drawn = draws("collision", "ood", 5)
    write_csv(tmp_path / "clips.csv", Draw, drawn)
    with (tmp_path / "clips.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["identity"] for row in rows] == [draw.identity for draw in drawn]
    assert np.allclose([float(row["mass_ratio"]) for row in rows], [draw.mass_ratio for draw in drawn])
