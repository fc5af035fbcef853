"""Surprise over quadruplets: every future after its own past and after the other's."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from vidworld.analysis.records import Value
from vidworld.core.clip import Clips, Tracks
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.media import save_quadruplets
from vidworld.evaluation.task import Case, Setup, Subject, Task, Unit, measure, pieces
from vidworld.metrics import METRICS, Metric
from vidworld.metrics.surprise import Surprise
from vidworld.models.world_model import Encoded, Scorer, truth_surprise
from vidworld.simulation import LAWS
from vidworld.simulation.quadruplets import Quadruplets, quadruplets
from vidworld.simulation.stage import joined

SURPRISE_VERSION = 1
"""Of what is done between a model's surprise and a metric; raised when that gives other values."""


@dataclass(frozen=True)
class EncodedQuadruplets:
    """The four clips of quadruplets with their tokens, in the order of a matrix: (A, A then B, B then A, B)."""

    quadruplets: Quadruplets
    clips: tuple[Encoded, Encoded, Encoded, Encoded]

    @staticmethod
    def of(evaluator: Evaluator, quadruplets: Quadruplets) -> "EncodedQuadruplets":
        """The possible clips are encoded and the others joined from their chunks: a splice lies between chunks.

        With a tokenizer that remembers, tokens after the splice would tell of the past that they were encoded after:
        then the spliced frames are encoded, as a model would meet them.
        """
        a, b = evaluator.encode(quadruplets.a), evaluator.encode(quadruplets.b)
        cut = evaluator.context_length

        def spliced(first: Encoded, second: Encoded, clips: Clips) -> Encoded:
            if evaluator.tokenizer.remembers:
                return evaluator.encode(clips)
            return Encoded(clips, torch.cat((first.tokens[:, :cut], second.tokens[:, cut:]), dim=1))

        a_then_b, b_then_a = spliced(a, b, quadruplets.a_then_b), spliced(b, a, quadruplets.b_then_a)
        return EncodedQuadruplets(quadruplets, (a, a_then_b, b_then_a, b))

    def stacked(self) -> Encoded:
        """The four clips of all quadruplets as one batch: all A, all A then B, all B then A, all B."""
        a, b, splice = self.quadruplets.a.tracks, self.quadruplets.b.tracks, self.quadruplets.splice_frame
        tracks = None
        if a is not None and b is not None:
            end = self.quadruplets.a.frames.shape[1]
            shown = [_shown(a, end, b), _shown(a, splice, b), _shown(b, splice, a), _shown(b, end, a)]
            tracks = joined(shown)
        frames = torch.cat([each.clips.frames for each in self.clips])
        identity = sum((each.clips.identity for each in self.clips), ())
        clips = Clips(frames, self.clips[0].clips.fps, identity, tracks)
        return Encoded(clips, torch.cat([each.tokens for each in self.clips]))

    def seeds(self, evaluator: Evaluator) -> list[int]:
        """One a clip of the stack: the clips of a quadruplet share it."""
        return evaluator.seeds(self.quadruplets.identity) * 4


def _shown(first: Tracks, until: int, then: Tracks) -> Tracks:
    """The objects of one clip before a frame and those of another from it on, as the pictures show them.

    They may differ in colour and radius, which an object has for a whole clip: so each is an object of its own, that
    is absent for the rest.
    """

    absent = {"position": torch.nan, "velocity": torch.nan, "present": False, "visible": 0.0}  # frame by frame

    def present(tracks: Tracks, frames: slice) -> dict[str, Tensor]:
        shown = {name: torch.full_like(getattr(tracks, name), value) for name, value in absent.items()}
        for name, values in shown.items():
            values[:, frames] = getattr(tracks, name)[:, frames]
        return vars(tracks) | shown

    parts = present(first, slice(until)), present(then, slice(until, None))
    joint = {name: torch.cat([part[name] for part in parts], 2 if name in absent else 1) for name in parts[0]}
    return Tracks(**joint)


def as_matrix(surprise: Float[Tensor, "clip *rest"]) -> Float[ndarray, "quad 2 2 *rest"]:
    """Surprise of a stack of quadruplets, by quadruplet, past and future."""
    by_quad = surprise.unflatten(0, (4, -1)).transpose(0, 1).unflatten(1, (2, 2))
    matrix: ndarray = by_quad.double().cpu().numpy()
    return matrix


def surprise_of(evaluator: Evaluator, model: Scorer, encoded: EncodedQuadruplets) -> Surprise:
    """The model's surprise at every future after every past."""
    with evaluator.accelerator.autocast():
        surprise = model.surprise(encoded.stacked(), evaluator.context_length, encoded.seeds(evaluator))
        return as_matrix(surprise)


def surprise_of_truth(evaluator: Evaluator, encoded: EncodedQuadruplets) -> Surprise:
    """The ceiling: the distance of each future from what the scene of its past really did."""
    a, a_b, b_a, b = (each.tokens[:, evaluator.context_length :] for each in encoded.clips)
    return as_matrix(truth_surprise(torch.cat((a, a_b, b_a, b)), torch.cat((a, a, b, b))))


# --- the task ----------------------------------------------------------------------------------------------


def surprise_units(setup: Setup) -> Iterator[Unit]:
    """Every law and split, a batch of quadruplets at a time: the truth, then each subject that is surprised."""
    encoded = lru_cache(maxsize=1)(partial(_encoded, setup))
    metrics = setup.metrics("surprise")
    for law in setup.laws:
        for split in (split for split in ("id", "ood") if split in setup.config.splits):
            for numbers in pieces(count_of(setup, law, split), setup.config.quadruplets_at_once):
                batch, depends_on = _batch("surprise", law, split, numbers)
                seen = partial(encoded, law, split, numbers)
                place = (setup.evaluator, split, metrics)
                yield setup.unit(batch, None, depends_on, metrics, partial(measured, seen, *place, None))
                for subject in setup.subjects:
                    if subject.is_surprised and not (split != "id" and subject.in_distribution_only):
                        yield setup.unit(batch, subject, depends_on, metrics, partial(measured, seen, *place, subject))


def show_quadruplets(setup: Setup, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Film strips of a few quadruplets of each law, with the surprise of the models and of a frozen frame."""
    curves = [s for s in setup.subjects if s.name in setup.config.models or s.name == "copy_last"]
    entries = []
    for law in setup.laws:
        few = range(min(setup.config.shown, count_of(setup, law, "id")))
        if few:
            encoded = _encoded(setup, law, "id", few)
            found = {s.name: surprise_of(setup.evaluator, s.model, encoded) for s in curves if s.is_surprised}
            entries += save_quadruplets(setup.evaluator, encoded.quadruplets, found, folder)
    return {"quadruplets": entries}


SURPRISE = Task(surprise_units, show_quadruplets)


def count_of(setup: Setup, law: str, split: str) -> int:
    """How many quadruplets of a law are measured."""
    if split == "ood":
        return setup.config.ood_quadruplets
    return setup.config.quadruplets if law in setup.config.main_laws else setup.config.further_quadruplets


def measure_surprise(
    case: Case, matrix: Surprise, quadruplets: Quadruplets, metrics: Sequence[Metric]
) -> Iterator[Value]:
    for metric in metrics:
        yield from case.values(metric, quadruplets.identity, metric.function(matrix).tolist(), quadruplets.law)


def _encoded(setup: Setup, law: str, split: str, numbers: Sequence[int]) -> EncodedQuadruplets:
    config = setup.config
    made = quadruplets(law, split, config.seed, numbers, config.context_frames, config.shape)
    return EncodedQuadruplets.of(setup.evaluator, made)


def _batch(task: str, law: str, split: str, numbers: range) -> tuple[str, list[object]]:
    """The name of a batch, and what its values depend on."""
    name = f"{task}_{law}_{split}_{numbers[0]}_{numbers[-1]}"
    return name, [task, SURPRISE_VERSION, law, LAWS.version(law), split, list(numbers)]


def measured(
    encoded: Callable[[], EncodedQuadruplets],
    evaluator: Evaluator,
    split: str,
    metrics: Sequence[Metric],
    subject: Subject | None,
) -> Iterator[Value]:
    """Every metric of a subject's surprise, or of the truth's."""
    seen = encoded()
    name = "truth" if subject is None else subject.name
    matrix = surprise_of_truth(evaluator, seen) if subject is None else surprise_of(evaluator, subject.model, seen)
    yield from measure_surprise(Case(name, None, "surprise", split, evaluator.seed), matrix, seen.quadruplets, metrics)


# --- noise levels, chosen on a validation split ------------------------------------------------------------


def choose_levels(setup: Setup, accelerator: Accelerator) -> dict[str, dict[str, list[float]]]:
    """Set every model that is surprised at several noise levels to its best one; accuracy by model, law and level.

    The levels are part of the metric, and choosing them on the test quadruplets would flatter.
    """
    tunable = [subject for subject in setup.subjects if len(getattr(subject.model, "levels", ())) > 1]
    own = [subject for subject in tunable if not subject.in_distribution_only]
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for value in measure(list(_level_units(setup, own)), accelerator, "noise levels"):
        found[value.model, value.law, value.task].append(value.value)
    tables = {}
    for subject in own:
        tasks = [_level_task(level) for level in setup.config.levels]
        rows = {law: [float(np.mean(found[subject.name, law, task])) for task in tasks] for law in setup.main_laws}
        tables[subject.name] = rows
        best = setup.config.levels[int(np.array(list(rows.values())).mean(axis=0).argmax())]
        for each in tunable:
            if each.name in (subject.name, f"untrained_{subject.name}"):
                each.model.levels = (best,)
                each.made_from = f"{each.made_from} at level {best:g}"
    return tables


def _level_task(level: float) -> str:
    return f"noise level {level:g}"


def _level_units(setup: Setup, subjects: Sequence[Subject]) -> Iterator[Unit]:
    """Accuracy of surprise at each noise level alone, on the validation quadruplets."""
    encoded = lru_cache(maxsize=1)(partial(_encoded, setup))
    metric = METRICS["surprise_accuracy"]
    for law in setup.main_laws:
        for numbers in pieces(setup.config.val_quadruplets, setup.config.quadruplets_at_once):
            for subject in subjects:
                batch, depends_on = _batch("levels", law, "val", numbers)
                seen = partial(encoded, law, "val", numbers)
                depends_on.append(list(setup.config.levels))
                by_level = partial(_by_level, seen, setup, metric, subject)
                yield setup.unit(batch, subject, depends_on, [metric], by_level)


def _by_level(
    encoded: Callable[[], EncodedQuadruplets], setup: Setup, metric: Metric, subject: Subject
) -> Iterator[Value]:
    seen, evaluator = encoded(), setup.evaluator
    stack, seeds = seen.stacked(), seen.seeds(evaluator)
    with evaluator.accelerator.autocast():
        by_level = subject.model.surprise_by_level(stack, evaluator.context_length, seeds)
    matrix = as_matrix(by_level)  # (quad, 2, 2, chunk, level)
    for number, level in enumerate(subject.model.levels):
        case = Case(subject.name, None, _level_task(level), "val", evaluator.seed)
        numbers = metric.function(matrix[..., number]).tolist()
        yield from case.values(metric, seen.quadruplets.identity, numbers, seen.quadruplets.law)
