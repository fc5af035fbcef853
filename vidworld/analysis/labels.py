"""The report's words and numbers: labels for names in result files, and digits that fit their interval."""

import math
from typing import Any

WORLDS = {
    "diffusion": "Diffusion",
    "jepa": "JEPA",
    "truth": "Truth",
    "reconstruction": "Reconstruction",
    "constant_velocity": "Constant velocity",
    "copy_last": "Copy last",
    "frame_difference": "Frame difference",
    "blind": "Blind (one frame)",
    "untrained": "Untrained JEPA",
    "untrained_diffusion": "Untrained diffusion",
}
"""Labels of worlds, in the order in which they are listed."""

LAWS = {
    "permanence": "A hidden object is still there.",
    "collision": "How two discs part follows from how they met.",
    "momentum": "Nothing changes its velocity without a cause.",
    "continuity": "Nothing gets from one place to another without crossing what lies between.",
    "solidity": "Solid things do not pass through each other.",
    "constancy": "Colour and size stay the same while hidden.",
    "uniform motion": "Left alone, a thing keeps its velocity; thrown, it follows its parabola.",
    "reconstruction": "What the tokenizer keeps of a clip: no world that is decoded can be better.",
    "jump": "Real video: nothing leaps from one place to another.",
    "freeze": "Real video: what moves does not stop dead.",
    "missing": "Real video: nothing vanishes.",
}
"""What each law says, in the order in which laws are listed; laws without a word here come after."""

METRICS = {
    "surprise_accuracy": "Futures that surprise more after the wrong past than after their own; "
    "a tie counts one half.",
    "surprise_auroc": "How well surprise alone separates impossible from possible clips.",
    "surprise_accuracy_usual": "The usual form: one past, two futures. An emptier scene surprises less.",
    "surprise_accuracy_within_quad": "Quads whose possible clips together surprise less than the impossible ones.",
    "surprise_accuracy_maximum": "As the first, by the maximum over time and not the mean: cheap cues show more.",
    "velocity_error": "Mean distance between predicted and true velocity.",
    "momentum_drift": "Change of total momentum, relative to what was there.",
    "energy_drift": "Change of total energy, relative to what was there.",
    "contact_time_error": "How far the predicted contact lies from the true one.",
    "outgoing_velocity_error": "Error of the velocity after contact, relative to the approach.",
    "restitution_error": "Error of the bounciness.",
    "reappearance": "Hidden objects that come back as themselves.",
    "reappearance_error": "How far from the truth they come back.",
    "phantom_objects": "Objects that appear from nowhere.",
    "psnr": "Peak signal-to-noise ratio of what was encoded and decoded.",
    "centroid_error": "How far discs move when they are encoded and decoded.",
    "motion_ratio": "Predicted over true path length; 1 is right, 0 is frozen.",
    "determinism_spread": "Spread of the samples over the true displacement; a disc that is lost or frozen counts as "
    "one that could be anywhere, so that a world without chance may have some.",
    "physics_iq_spatial_iou": "Physics-IQ: where something moves.",
    "physics_iq_spatiotemporal_iou": "Physics-IQ: where and when something moves.",
    "physics_iq_weighted_spatial_iou": "Physics-IQ: where and how much moves.",
    "physics_iq_mse": "Physics-IQ: pixel error.",
    "position_error": "Real video: how far from the truth things are, in pictures; what is missing is charged 0.41.",
    "law_deviation": "Real video: how far the path lies from the law of what happens; the truth has a deviation too.",
    "added_deviation": "Real video: what a world adds to the truth's own deviation from the law.",
}

SPLITS = {"id": "ID", "ood": "OOD", "recombined": "recombined", "real": "real", "val": "validation"}

TARGETS = {
    "frozen": "frozen tokens: it predicts the shared tokenizer's tokens, which do not change while it learns",
    "vcreg": "end to end with a variance-covariance regulariser in the space of the prediction",
    "sigreg": "end to end with SIGReg in the space of the prediction",
    "ema": "an exponential moving average of its own encoder (V-JEPA)",
}

STAGES = ("tokenizer", "diffusion", "jepa", "readout")
"""The training runs that may lie beside `physics/`, in the order in which they happen."""

_UPPER = {
    "auroc": "AUROC",
    "iq": "IQ",
    "iou": "IoU",
    "mse": "MSE",
    "psnr": "PSNR",
    "jepa": "JEPA",
    "flops": "FLOPs",
    "ood": "OOD",
}


def title(name: str) -> str:
    """The name as a heading: `contact_time_error` becomes `Contact time error`."""
    words = " ".join(_UPPER.get(word, word) for word in name.replace("_", " ").split())
    return words[:1].upper() + words[1:]


def world_label(name: str) -> str:
    return WORLDS.get(name, title(name))


def rank(names: dict[str, str], name: str) -> int:
    """Where the name stands in the order of these labels; names without a label come last."""
    return list(names).index(name) if name in names else len(names)


def direction(higher_is_better: bool | None) -> str:
    """Which way is better, as an arrow and words; empty where neither is."""
    return {True: "↑ higher is better", False: "↓ lower is better", None: "closest to the ceiling is best"}[
        higher_is_better
    ]


def number(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """The value with as many digits as its interval supports, three significant ones without an interval."""
    if value is None:
        return "–"
    if value and (abs(value) >= 1e5 or abs(value) < 1e-4):
        return scientific(value)
    decimals = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    if low is not None and high is not None and high > low:
        width = high - low if abs(value) >= 0.1 else (high - low) / 2
        decimals = min(4, max(decimals, -math.floor(math.log10(width) + 1e-9)))
    elif value and abs(value) < 0.1:
        return f"{value:.2g}".replace("-", "−")
    return f"{value:.{decimals}f}".replace("-", "−")


def interval(value: float | None, low: float | None, high: float | None) -> str:
    """The interval in brackets, with the digits of `number(value, low, high)`; empty without an interval."""
    if value is None or low is None or high is None:
        return ""
    decimals = len(number(value, low, high).partition(".")[2])
    return f"[{low:.{decimals}f}, {high:.{decimals}f}]".replace("-", "−")


def scientific(value: float) -> str:
    """Three digits and a power of ten: 1.31 × 10¹⁵."""
    mantissa, exponent = f"{value:.2e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} × 10{power}".replace("-", "−")


def p_text(p_value: float | None) -> str:
    if p_value is None:
        return ""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def detection_limit(size: float | None, unit: str) -> str:
    """From which size on a planted fault is seen."""
    return "none found" if size is None or not math.isfinite(size) else f"{size:g} {unit}"


def duration(seconds: float) -> str:
    """The time as a reader says it: 42 s, 12 min, 3.4 h."""
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def setting(value: Any) -> str:
    """A value of a budget or a configuration, for a reader."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}".replace(",", "\u202f") if abs(value) < 1e12 else scientific(value)
        case float():
            return setting(int(value)) if value.is_integer() and abs(value) < 1e12 else number(value)
        case list() | tuple():
            return ", ".join(setting(item) for item in value)
        case dict():
            return ", ".join(f"{key} {setting(item)}" for key, item in value.items())
    return str(value)
