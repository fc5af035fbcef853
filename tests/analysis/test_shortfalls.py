"""What a model does not do is said, and nothing else."""

from dataclasses import replace

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


def test_a_model_below_a_frozen_frame_on_real_video_is_said_to_be():
    def real(metric, value, floor, better=True, model="diffusion"):
        return replace(
            row(metric, value, 0.0, "real video", floor=floor, model=model), split="real", higher_is_better=better
        )

    errors = [
        real("spatial_iou", 0.28, 0.34),
        real("mse", 0.02, 0.01, better=False),
        real("spatiotemporal_iou", 0.2, 0.1),
    ]
    (said,) = shortfalls([*errors, real("spatial_iou", 0.1, 0.34, model="copy_last")], MODELS)
    assert said.startswith("Diffusion: on held-out real video worse than a frozen frame")
    assert "spatial iou 0.28 against 0.34, mse 0.02 against 0.01" in said and "spatiotemporal" not in said
    assert shortfalls([errors[2], replace(errors[0], floor=None)], MODELS) == []


def test_baselines_and_the_probe_are_not_judged():
    poor = [row("velocity_error", 9.0, 8.0, model="copy_last"), row("velocity_error", 9.0, 8.0, readout="probe")]
    assert shortfalls(poor, MODELS) == []
