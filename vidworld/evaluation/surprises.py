"""Surprise over quadruplets: every future after its own past and after the other's.

What it must not be mistaken for, cues that frames alone show, is in `cues`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from vidworld.analysis.records import Value
from vidworld.core.clip import Clips, Tracks
from vidworld.core.media import filmstrip, write_png
from vidworld.core.records import prepare_folder, writing
from vidworld.evaluation.evaluator import Evaluator, Subject
from vidworld.evaluation.presentation import clip_seed, shared_names
from vidworld.evaluation.task import SCALE, Case, Setup, Task, Unit, applied, media_name, pieces
from vidworld.metrics import Metric
from vidworld.metrics.surprise import Surprise
from vidworld.models.world_model import Encoded, Scorer, truth_surprise
from vidworld.simulation import LAWS
from vidworld.simulation.quadruplets import Quadruplets, quadruplets
from vidworld.simulation.stage import joined

SURPRISE_VERSION = 2  # of what is done between a model's surprise and a metric; raised when that gives other values


class EncodedQuadruplets(NamedTuple):
    """Quadruplets with the tokens of all their clips."""

    quadruplets: Quadruplets
    stack: Encoded  # their clips: all A, all A then B, all B then A, all B
    seeds: list[int]  # one a clip of the stack: the clips of a quadruplet share it

    @property
    def groups(self) -> list[int]:
        """Which quadruplet each clip of the stack is of."""
        return [*range(len(self.quadruplets))] * 4


_Seen = Callable[[], EncodedQuadruplets]


def encode_quadruplets(evaluator: Evaluator, quadruplets: Quadruplets) -> EncodedQuadruplets:
    """The possible clips are encoded and the others joined from their chunks: a splice lies between chunks.

    With a tokenizer that remembers, tokens after the splice would tell of the past that they were encoded after:
    then the spliced frames are encoded, as a model would meet them.
    """
    four = (quadruplets.a, quadruplets.a_then_b, quadruplets.b_then_a, quadruplets.b)
    if evaluator.tokenizer.remembers:
        tokens = [evaluator.encode(clips).tokens for clips in four]
    else:
        cut = evaluator.context_length
        a, b = (evaluator.encode(clips).tokens for clips in (quadruplets.a, quadruplets.b))
        a_then_b, b_then_a = (torch.cat((x[:, :cut], y[:, cut:]), dim=1) for x, y in ((a, b), (b, a)))
        tokens = [a, a_then_b, b_then_a, b]
    frames, identity = torch.cat([clips.frames for clips in four]), sum((clips.identity for clips in four), ())
    clean = None if quadruplets.a.clean is None else torch.cat([clips.without_nuisance for clips in four])
    clips = Clips(frames, quadruplets.a.fps, identity, _tracks(quadruplets), clean)
    seeds = evaluator.seeds(shared_names(quadruplets)) * 4
    return EncodedQuadruplets(quadruplets, Encoded(clips, torch.cat(tokens)), seeds)


def _tracks(quadruplets: Quadruplets) -> Tracks | None:
    """The true tracks of the stack, as the pictures show them; None for real video."""
    a, b, splice = quadruplets.a.tracks, quadruplets.b.tracks, quadruplets.splice_frame
    if a is None or b is None:
        return None
    end = a.present.shape[1]
    return joined([_shown(a, end, b), _shown(a, splice, b), _shown(b, splice, a), _shown(b, end, a)])


def _shown(first: Tracks, until: int, then: Tracks) -> Tracks:
    """The objects of one clip before a frame and those of another from it on.

    They may differ in colour and radius, which an object has for a whole clip: so each is an object of its own, that
    is absent for the rest.
    """
    absent = {"position": torch.nan, "velocity": torch.nan, "present": False, "visible": 0.0}  # frame by frame
    parts = []
    for tracks, frames in ((first, slice(until)), (then, slice(until, None))):
        shown = {name: torch.full_like(getattr(tracks, name), value) for name, value in absent.items()}
        for name, values in shown.items():
            values[:, frames] = getattr(tracks, name)[:, frames]
        parts.append(vars(tracks) | shown)
    return Tracks(**{k: torch.cat([part[k] for part in parts], 2 if k in absent else 1) for k in parts[0]})


def as_matrix(surprise: Float[Tensor, "clip *rest"]) -> Float[ndarray, "quad 2 2 *rest"]:
    """Surprise of a stack of quadruplets, by quadruplet, past and future."""
    by_quad = rearrange(surprise, "(past future quad) ... -> quad past future ...", past=2, future=2)
    return by_quad.double().cpu().numpy()


def surprise_of(evaluator: Evaluator, model: Scorer | None, encoded: EncodedQuadruplets) -> Surprise:
    """The model's surprise at every future after every past.

    Without a model the ceiling: the distance of each future from what the scene of its past really did.
    """
    if model is None:
        future = encoded.stack.tokens[:, evaluator.context_length :]
        a, _, _, b = future.chunk(4)
        return as_matrix(truth_surprise(future, torch.cat((a, a, b, b))))
    return as_matrix(evaluator.surprise(model, encoded.stack, encoded.seeds, encoded.groups))


def surprise_units(setup: Setup) -> Iterator[Unit]:
    """Every law and split, a batch of quadruplets at a time: the truth, then each subject that is surprised."""
    encoded, metrics = lru_cache(maxsize=1)(partial(_encoded, setup)), setup.metrics("surprise")
    for law, split in product(setup.laws, ("id", "ood")):
        if split not in setup.config.splits:
            continue
        subjects = [s for s in setup.subjects if s.is_surprised and (split == "id" or not s.in_distribution_only)]
        for numbers in pieces(count_of(setup, law, split), setup.config.quadruplets_at_once):
            batch = f"surprise_{law}_{split}_{numbers[0]}_{numbers[-1]}"
            depends_on = ["surprise", SURPRISE_VERSION, law, LAWS.version(law), split, list(numbers)]
            place = (partial(encoded, law, split, numbers), setup.evaluator, split, metrics)
            for subject in [None, *subjects]:
                yield setup.unit(batch, subject, depends_on, metrics, partial(measured, *place, subject))


def show_quadruplets(setup: Setup, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Strips of frames of A and of B then A of a few quadruplets of each law, with the surprise at A's future beneath.

    That is of the models and of a frozen frame.
    """
    evaluator, named = setup.evaluator, (*setup.config.models, "copy_last")
    shared = {"frames_per_chunk": evaluator.tokenizer.patch_size[0], "chunk_start": evaluator.context_length}
    entries = []
    for law in setup.laws:
        few = range(min(setup.config.shown, count_of(setup, law, "id")))
        if not few:
            continue
        prepare_folder(folder / "media")
        encoded = _encoded(setup, law, "id", few)
        subjects = [s for s in setup.subjects if s.is_surprised and s.name in named]
        surprises = {s.name: surprise_of(evaluator, s.model, encoded) for s in subjects}
        shown = {"possible": encoded.quadruplets.a, "impossible": encoded.quadruplets.b_then_a}
        for i, identity in enumerate(encoded.quadruplets.identity):
            strips = {kind: f"media/{media_name(identity)}_{kind}.png" for kind in shown}
            for kind, file in strips.items():
                with writing(folder / file):
                    write_png(folder / file, filmstrip(shown[kind].frames[i]), scale=SCALE)
            curves = {
                name: {"possible": matrix[i, 0, 0].tolist(), "impossible": matrix[i, 1, 0].tolist()}
                for name, matrix in surprises.items()
            }
            entry = {"law": law, "identity": identity, "frames": strips, "surprise": curves}
            entries.append(entry | shared)
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
        numbers = applied(metric, len(quadruplets), matrix)
        yield from case.values(metric, quadruplets.identity, numbers.tolist(), quadruplets.law)


def _encoded(setup: Setup, law: str, split: str, numbers: Sequence[int]) -> EncodedQuadruplets:
    config = setup.config
    how = (config.context_frames, config.shape)
    made = quadruplets(law, split, clip_seed(config), numbers, *how, nuisance=config.nuisance)
    return encode_quadruplets(setup.evaluator, made)


def measured(
    encoded: _Seen, evaluator: Evaluator, split: str, metrics: Sequence[Metric], subject: Subject | None
) -> Iterator[Value]:
    """Every metric of a subject's surprise, or of the truth's."""
    seen = encoded()
    name, model = ("truth", None) if subject is None else (subject.name, subject.model)
    case, matrix = Case(name, None, "surprise", split, evaluator.seed), surprise_of(evaluator, model, seen)
    yield from measure_surprise(case, matrix, seen.quadruplets, metrics)
