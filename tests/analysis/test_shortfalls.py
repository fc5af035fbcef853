"""What a model does not do is said, and nothing else."""

from vidworld.analysis.records import Model, Row
from vidworld.analysis.shortfalls import shortfalls

MODELS = {"diffusion": Model("Diffusion", "diffusion", "runs/diffusion")}


def row(metric, value, low, task="collision", law="collision", floor=2.0, readout="pixels", model="diffusion"):
    return Row(
        model, task, law, "id", metric, value, low, value + 0.1, 100, "units/s", False, floor, 0.0, 0, readout, True
    )


def test_a_model_that_does_well_has_no_sentence():
    good = [row("velocity_error", 0.9, 0.8), row("motion_ratio", 1.0, 0.9)]
    assert shortfalls([*good, row("surprise_accuracy", 0.8, 0.7, "surprise", readout=None)], MODELS) == []


def test_each_shortfall_has_a_sentence_with_its_numbers():
    said = shortfalls(
        [
            row("velocity_error", 1.4, 1.2),
            row("motion_ratio", 0.78, 0.7),
            row("surprise_accuracy", 0.53, 0.48, "surprise", "permanence", readout=None),
            row("surprise_accuracy", 0.90, 0.85, "surprise", "momentum", readout=None),
        ],
        MODELS,
    )
    assert len(said) == 3
    assert "permanence" in said[0] and "momentum" not in said[0]
    assert "1.40" in said[1] and "2.00" in said[1]
    assert "0.78" in said[2]


def test_baselines_and_the_probe_are_not_judged():
    poor = [row("velocity_error", 9.0, 8.0, model="copy_last"), row("velocity_error", 9.0, 8.0, readout="probe")]
    assert shortfalls(poor, MODELS) == []
