"""Surprise over quadruplets: every future after its own past and after the other's.

What surprise must not be mistaken for: a control sees frames alone. One that looks at the future only is at one half in
every form, by construction; what looks across the splice reads how far a cue of continuity goes.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from vidworld.analysis.records import ControlRow, Value
from vidworld.analysis.statistics import interval
from vidworld.core.clip import Clips, Frames, Tracks
from vidworld.core.clip_shape import ClipShape
from vidworld.core.media import filmstrip, write_png
from vidworld.core.records import prepare_folder, writing
from vidworld.evaluation.evaluator import Evaluator, Subject, located
from vidworld.evaluation.presentation import clip_seed, shared_names
from vidworld.evaluation.task import SCALE, Case, Setup, Task, Unit, media_name, pieces
from vidworld.metrics import METRICS, Metric
from vidworld.metrics.surprise import Aggregation, Surprise
from vidworld.models.world_model import Encoded, Scorer, truth_surprise
from vidworld.simulation import LAWS
from vidworld.simulation.quadruplets import Quadruplets, quadruplets
from vidworld.simulation.stage import PALETTE, joined
from vidworld.simulation.tracker import MIN_RADIUS

SURPRISE_VERSION = 2  # of what is done between a model's surprise and a metric; raised when that gives other values


class EncodedQuadruplets(NamedTuple):
    quadruplets: Quadruplets
    stack: Encoded  # their clips: all A, all A then B, all B then A, all B
    seeds: list[int]  # one a clip of the stack: the clips of a quadruplet share it

    @property
    def groups(self) -> list[int]:
        """Which quadruplet each clip of the stack is of."""
        return [*range(len(self.quadruplets))] * 4


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
            batch, depends_on = _batch("surprise", law, split, numbers)
            place = (partial(encoded, law, split, numbers), setup.evaluator, split, metrics)
            for subject in [None, *subjects]:
                yield setup.unit(batch, subject, depends_on, metrics, partial(measured, *place, subject))


def show_quadruplets(setup: Setup, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Film strips of A and of B then A of a few quadruplets of each law, with the surprise at A's future beneath.

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
        yield from case.values(metric, quadruplets.identity, metric.function(matrix).tolist(), quadruplets.law)


def _encoded(setup: Setup, law: str, split: str, numbers: Sequence[int]) -> EncodedQuadruplets:
    config = setup.config
    how = (config.context_frames, config.shape)
    made = quadruplets(law, split, clip_seed(config), numbers, *how, nuisance=config.nuisance)
    return encode_quadruplets(setup.evaluator, made)


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
    name, model = ("truth", None) if subject is None else (subject.name, subject.model)
    case, matrix = Case(name, None, "surprise", split, evaluator.seed), surprise_of(evaluator, model, seen)
    yield from measure_surprise(case, matrix, seen.quadruplets, metrics)


# --- controls: scorers that know nothing of physics, on the same quads -------------------------------------


def _discs_shown(frames: Frames, start: int) -> Float[Tensor, "clip frame"]:
    color, radius = PALETTE.expand(len(frames), -1, -1), torch.full((len(frames), len(PALETTE)), MIN_RADIUS)
    return located(frames[:, start:], color, radius).isfinite().all(dim=-1).sum(dim=-1).float()


CueScorer = Callable[[Frames, int], Float[Tensor, "clip frame"]]  # surprise of the frames from `start` on
SCORERS: dict[str, CueScorer] = {
    "blind": lambda frames, start: torch.zeros(len(frames), frames.shape[1] - start),
    "static_scene": lambda frames, start: frames[:, start:].float().mean(dim=(2, 3, 4)),  # how bright the future is
    "count_only": _discs_shown,
    # How much changes from frame to frame, from the last of the past on.
    "motion_energy": lambda frames, start: frames[:, start - 1 :].float().diff(dim=1).square().mean(dim=(2, 3, 4)),
    # How far the future is from the past's last frame.
    "still_life": lambda frames, start: (
        (frames[:, start:].float() - frames[:, start - 1 : start].float()).square().mean(dim=(2, 3, 4))
    ),
}


def forms() -> list[str]:
    """The metrics of surprise but the maximum: each is taken with both aggregations."""
    return [n for n, metric in METRICS.items() if metric.takes == "surprise" and n != "surprise_accuracy_maximum"]


def measure_controls(law: str, setting: ClipShape, start: int, chunk_frames: int, count: int) -> Iterator[ControlRow]:
    """Every form of surprise accuracy of every scorer on a law's quads of the `id` split."""
    made = quadruplets(law, "id", 0, range(count), start, setting)
    for name, scorer in SCORERS.items():
        surprise = surprise_by(scorer, made, chunk_frames)
        for form in forms():
            for aggregation in get_args(Aggregation):
                values = METRICS[form].function(surprise, aggregation)
                found = interval(values[None], METRICS[form].bounds)
                yield ControlRow(law, name, form, aggregation, **vars(found))


def surprise_by(scorer: CueScorer, made: Quadruplets, chunk_frames: int) -> Float[ndarray, "quad 2 2 chunk"]:
    """A scorer's surprise at every future after every past, a mean over the frames of each chunk."""
    order = (made.a, made.a_then_b, made.b_then_a, made.b)
    per_frame = torch.cat([scorer(clips.frames, made.splice_frame) for clips in order])
    return as_matrix(reduce(per_frame, "clip (chunk frame) -> clip chunk", "mean", frame=chunk_frames))
