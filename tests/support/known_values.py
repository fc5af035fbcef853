"""Values of clips whose answer is known: of quadruplets by chance, and of errors that fall or rise."""

import numpy as np

from vidworld.analysis.records import Comparison, Model, Value
from vidworld.analysis.results import verdicts as verdicts_of
from vidworld.analysis.results import write_results

LAW = "uniform motion"
JEPA_AND_DIFFUSION = ("jepa", "diffusion")
MODELS = {
    "jepa": Model("JEPA", "jepa", "runs/jepa"),
    "diffusion": Model("Diffusion", "diffusion", "runs/diffusion"),
    "mine": Model("My model", "python", "python:my.Model"),
}


def verdicts(values, *pairs):
    """The primary verdicts, of the one pair where none is named."""
    return verdicts_of(values, pairs or [JEPA_AND_DIFFUSION], MODELS)[0]


def write(folder, values, comparison=None, seed=0):
    return write_results(folder, values, MODELS, [JEPA_AND_DIFFUSION], comparison or Comparison(), seed)


def quad_values(model, law, accuracies, seed=0, split="id"):
    return [
        Value(model, None, "surprise", law, split, "surprise_accuracy", "share", f"{law}/{i}", float(a), seed)
        for i, a in enumerate(accuracies)
    ]


def clip_values(model, errors, readout="pixels", seed=0):
    return [
        Value(model, readout, "uniform", LAW, "id", "velocity_error", "units/s", f"u/{i}", float(e), seed)
        for i, e in enumerate(errors)
    ]


def share(chance, n=200, seed=0):
    return np.random.default_rng(seed).binomial(2, chance, n) / 2


def both(law, jepa, diffusion):
    return [*quad_values("jepa", law, share(jepa)), *quad_values("diffusion", law, share(diffusion, seed=1))]


def of_three_laws():
    return [
        *quad_values("jepa", "permanence", share(0.95)),
        *quad_values("diffusion", "permanence", share(0.6, seed=1)),
        *quad_values("blind", "permanence", [0.5] * 200),
        *quad_values("copy_last", "permanence", share(0.5, seed=2)),
        *quad_values("truth", "permanence", [1.0] * 200),
        *quad_values("jepa", "collision", share(0.8)),
        *quad_values("diffusion", "collision", share(0.6, seed=1)),
        *quad_values("untrained_jepa", "collision", [1.0] * 150 + [0.0] * 50),
        *clip_values("jepa", np.linspace(0.4, 0.6, 100)),
        *clip_values("diffusion", np.linspace(0.6, 0.4, 100)),
        *clip_values("copy_last", np.linspace(1.9, 2.1, 100)),
        *clip_values("truth", np.full(100, 0.01)),
    ]
