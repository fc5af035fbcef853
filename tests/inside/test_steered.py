"""Steering and maps of all families from their run folders to files and the page."""

import pytest
from tiny_play import tiny_run

from vidworld.analysis.inside import SteeringResults
from vidworld.analysis.records import read_as
from vidworld.core.clip_shape import ClipShape
from vidworld.inside.existence import PUT_IN, TAKEN_OUT
from vidworld.inside.mapping import map_models
from vidworld.inside.schema import InsideConfig
from vidworld.inside.steered import steer_models
from vidworld.report.inside_page import write_inside_page

SMALL = ClipShape(num_frames=16, fps=10.0, height_px=32, width_px=32)
MODELS = ("regression", "diffusion", "jepa")


@pytest.mark.thorough
def test_every_family_is_steered_and_mapped_and_stands_on_the_page(tmp_path):
    run = tiny_run(tmp_path / "run", acts=False, scenarios=("billiards",))
    config = InsideConfig(
        out=tmp_path / "inside", tokenizer=run / "tokenizer", models={name: str(run / name) for name in MODELS},
        probe=run / "probe", probes={"jepa": run / "probe_jepa"}, shape=SMALL,
        mixed_precision="no", fit=30, choose=15, quadruplets=12, steered=24, pairs=12, shown=1, untrained=False,
    )  # fmt: skip
    steer_models(config)
    found = read_as(SteeringResults, config.out / "steering.json")
    for name in MODELS:
        rows = [row for row in found.rows if row.model == name]
        assert {row.concept for row in rows} == {"velocity", "place", TAKEN_OUT, PUT_IN}
        assert {"exchanged", "random", "ablated", "random ablated"} < {row.direction for row in rows}
        hidden = [row for row in rows if row.direction == "exchanged"]
        assert all(row.clips > 0 and row.low <= row.slope <= row.high for row in hidden)
        for concept in (TAKEN_OUT, PUT_IN):
            assert len({row.layer for row in hidden if row.best and row.concept == concept}) == 1
    map_models(config)
    page = write_inside_page(config.out).read_text()
    assert TAKEN_OUT in page
    for strip in found.strips:
        assert (config.out / strip.file).is_file()
