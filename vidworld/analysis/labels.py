"""Words and numbers for a reader: labels for names in result files, and digits that fit their interval."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from vidworld.analysis.records import Model

Models = Mapping[str, Model]
"""The models of an evaluation by name, in their order."""


FAMILY_RUNS = 5
"""Trainings of a model from which on its results speak of its family; those of fewer, of these checkpoints."""

FEW_CLIPS = 40
"""Clips from which on the interval of an error covers also where one clip in ten goes ten times worse."""


@runtime_checkable
class Bounded(Protocol):
    """Any row with a number and its interval."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


class Reference(NamedTuple):
    label: str
    kind: str  # `ceiling`, `baseline` or `control`: a control that reaches a law's quadruplets withholds its verdict


REFERENCES = {
    "truth": Reference("Truth", "ceiling"),
    "reconstruction": Reference("Reconstruction", "ceiling"),
    "oracle": Reference("Oracle", "ceiling"),
    "constant_velocity": Reference("Constant velocity", "baseline"),
    "copy_last": Reference("Copy last", "control"),
    "frame_difference": Reference("Frame difference (0.50 by construction)", "control"),
    "blind": Reference("Blind (0.50 by construction)", "control"),
    "fitted_cues": Reference("All cues, fitted", "control"),
    "one_object": Reference("One object, straight on", "baseline"),
    "mirrored_past": Reference("The past played backwards", "baseline"),
}
"""In the order in which they are listed, after the models."""
UNTRAINED = "untrained_"
"""Before the name of a model: the same network, never trained; a control."""

SPLIT_LABELS = {
    **{"id": "ID", "decided": "ID, decided", "undecided": "ID, undecided", "ood": "OOD", "recombined": "recombined"},
    **{"real": "real", "val": "validation", "more": "more discs", "textures": "textures"},
}
FURTHER_SPLITS = ("more", "textures", "horizon", "context")
"""Conditions that are measured on few clips, beside the headline splits: their names, or what these begin with."""

TARGETS = {
    "frozen": "frozen tokens: it predicts the shared tokenizer's tokens, which do not change while it learns",
    "vcreg": "end to end with a variance-covariance regulariser in the space of the prediction",
    "sigreg": "end to end with SIGReg in the space of the prediction",
    "ema": "an exponential moving average of its own encoder (V-JEPA)",
}

READOUT_LABELS = {"pixels": "tracker", "probe": "probe", "tracks": "true tracks"}
"""What objects are located by: a tracker in the pictures, or a probe of the model's embeddings."""

DIRECTIONS = {True: "↑ higher is better", False: "↓ lower is better", None: "closest to the ceiling is best"}
"""By `higher_is_better` of a metric."""

_UPPER = {word.lower(): word for word in ("AUROC", "IQ", "IoU", "MSE", "PSNR", "FLOPs", "OOD", "JEPA")}


def title(name: str) -> str:
    """The name as a heading: `contact_time_error` becomes `Contact time error`."""
    words = " ".join(_UPPER.get(word, word) for word in name.replace("_", " ").split())
    return words[:1].upper() + words[1:]


def model_label(name: str, models: Models) -> str:
    """The label of a model, or of a reference or control beside it."""
    if known := models.get(name, REFERENCES.get(name)):
        return known.label
    if name.startswith(UNTRAINED):
        return f"Untrained {model_label(name.removeprefix(UNTRAINED), models)}"
    return title(name)


def kind_of(name: str) -> str:
    """`model`, or what kind of reference the name is."""
    if name.startswith(UNTRAINED):
        return "control"
    return REFERENCES[name].kind if name in REFERENCES else "model"


def rank(names: Iterable[str], name: str) -> int:
    """Where the name stands in this order; unknown names come last."""
    order = list(names)
    return order.index(name) if name in order else len(order)


def model_rank(name: str, models: Models) -> int:
    """Where the name is listed: models first, then references, then what else there is."""
    return rank([*models, *REFERENCES], name)


def split_label(name: str) -> str:
    """The label of a split or condition: `horizon_24` is a horizon of 24 frames."""
    kind, _, frames = name.partition("_")
    return f"{kind} of {frames} frames" if frames.isdecimal() else SPLIT_LABELS.get(name, name)


def split_rank(name: str) -> tuple[int, str, int]:
    """Where a split is listed: those with a label first, then what else there is, by name and number of frames."""
    kind, _, frames = name.partition("_")
    return rank(SPLIT_LABELS, name), kind, int(frames) if frames.isdecimal() else 0


def is_further(split: str) -> bool:
    """Whether the split is a condition beside the headline splits."""
    return split.partition("_")[0] in FURTHER_SPLITS


def number(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """The value with as many digits as its interval supports, three significant ones without an interval."""
    if value is None or not math.isfinite(value):
        return "–"
    if value and (abs(value) >= 1e5 or abs(value) < 1e-4):
        return scientific(value)
    decimals = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    if low is not None and high is not None and high > low:  # not for NaN
        width = high - low if abs(value) >= 0.1 else (high - low) / 2
        decimals = min(4, max(decimals, -math.floor(math.log10(min(width, 1e9)) + 1e-9)))
    elif value and abs(value) < 0.1:
        return f"{value:.2g}".replace("-", "−")
    return f"{value:.{decimals}f}".replace("-", "−")


def percent(share: float) -> str:
    """The share in percent; a dash where it is none."""
    return f"{100 * share:.0f}%".replace("-", "−") if math.isfinite(share) else "–"


def interval_text(value: float | None, low: float | None, high: float | None) -> str:
    """The interval in brackets, with the digits of `number(value, low, high)`, or powers of ten as there.

    It is empty without an interval.
    """
    if value is None or low is None or high is None or not math.isfinite(value + low + high):
        return ""
    text = number(value, low, high)
    decimals = len(text.partition(".")[2])
    ends = [scientific(end) if "×" in text or abs(end) >= 1e5 else f"{end:.{decimals}f}" for end in (low, high)]
    return f"[{', '.join(ends)}]".replace("-", "−")


def estimate(value: float | None, low: float | None, high: float | None) -> str:
    """The number with its interval."""
    return f"{number(value, low, high)} {interval_text(value, low, high)}".strip()


def estimate_of(found: Bounded | None) -> str:
    """The same of a row; a dash where there is none."""
    return "–" if found is None else estimate(found.value, found.low, found.high)


def scientific(value: float) -> str:
    """Three digits and a power of ten: 1.31 × 10¹⁵."""
    if not value:
        return "0"
    mantissa, exponent = f"{value:.2e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} × 10{power}".replace("-", "−")


def p_text(p_value: float | None) -> str:
    if p_value is None or not math.isfinite(p_value):
        return ""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def detection_limit_text(size: float, unit: str) -> str:
    """From which size on an injected error is seen."""
    return f"{size:g} {unit}" if math.isfinite(size) else "none found"


def duration(seconds: float) -> str:
    """The time as a reader says it: 42 s, 12 min, 3.4 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


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
            return ", ".join(map(setting, value))
        case dict():
            return ", ".join(f"{key} {setting(item)}" for key, item in value.items())
    return str(value)
