"""Models on held-out real video: Physics-IQ's motion metrics and laws on futures, surprise on spliced quadruplets."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch

from vidworld.analysis.records import Value
from vidworld.core.clip_shape import ClipShape
from vidworld.evaluation.media import save_rollouts
from vidworld.evaluation.real_quadruplets import Kind, real_quadruplets
from vidworld.evaluation.surprises import EncodedQuadruplets, measured
from vidworld.evaluation.task import Case, Setup, Subject, Task, Unit, pieces
from vidworld.metrics import METRICS
from vidworld.metrics.physics_iq import PhysicsIq, physics_iq
from vidworld.video import content_fingerprint, has_clips
from vidworld.video.real import RealClips
from vidworld.video_laws.futures import law_values

REAL_VIDEO_VERSION = 1
"""Of what is done between a clip and a metric; raised when that gives other values."""
LAW_METRICS = ("position_error", "law_deviation", "added_deviation")
MOTION_METRICS = tuple(f"physics_iq_{name}" for name in PhysicsIq._fields)
REAL_CLIPS_AT_ONCE = 8
"""Clips of a unit."""
SHOWN = 4
"""Files of which the report shows a rollout."""
MASKS_ENLARGED = 4
"""Physics-IQ's masks lose what is narrower than 5 pixels, which at 64 px is much of what moves."""


def held_out(folder: Path, shape: ClipShape) -> RealClips | None:
    """The held-out clips of a data set; None where no video of it fell to split `real`. Raises UserError."""
    return RealClips(folder, "real", shape) if has_clips(folder, "real") else None


def real_video_units(setup: Setup) -> Iterator[Unit]:
    """Futures of the held-out clips, then surprise at each kind of quadruplet of them."""
    source = setup.real
    if source is None or setup.config.real is None:
        return
    subjects = [subject for subject in setup.subjects if not subject.needs_tracks]
    depends_on = ["real video", REAL_VIDEO_VERSION, content_fingerprint(setup.config.real, "real")]
    # All subjects at once: most of the time goes into tracking the truth.
    rolled = [subject for subject in subjects if subject.rolls_out]
    depends = [*depends_on, [[subject.name, subject.made_from] for subject in rolled]]
    metrics = [METRICS[name] for name in (*MOTION_METRICS, *LAW_METRICS)]
    for numbers in pieces(len(source), REAL_CLIPS_AT_ONCE):
        batch = f"real_{numbers[0]}_{numbers[-1]}"
        futures = partial(_futures, setup, source, numbers, rolled)
        yield setup.unit(batch, None, [*depends, list(numbers)], metrics, futures)
    metrics = setup.metrics("surprise")
    for kind in get_args(Kind):
        for subject in [None, *(subject for subject in subjects if subject.is_surprised)]:
            surprises = partial(_surprises, setup, source, kind, subject)
            yield setup.unit(f"real_surprise_{kind}", subject, [*depends_on, kind], metrics, surprises)


def show_real_video(setup: Setup, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Videos of rollouts of the first clip of some held-out files."""
    if setup.real is None:
        return {}
    models = [s.model for s in setup.subjects if s.rolls_out and not s.needs_tracks]
    firsts: dict[str, int] = {}
    for number, identity in enumerate(setup.real.identity):
        firsts.setdefault(identity.rpartition("/")[0], number)
    entries = []
    for number in list(firsts.values())[:SHOWN]:
        entries += save_rollouts(setup.evaluator, models, setup.real.clips([number]), "real video", folder)
    return {"rollouts": entries}


REAL_VIDEO = Task(real_video_units, show_real_video)


def _futures(setup: Setup, source: RealClips, numbers: range, subjects: list[Subject]) -> Iterator[Value]:
    """Physics-IQ's four measures of each future of each clip, and how it keeps the law of the clip's event."""
    evaluator, start = setup.evaluator, setup.evaluator.context_frames
    for number in numbers:
        clips = source.clips([number])
        seen = evaluator.encode(clips)
        futures = {subject.name: evaluator.future_frames(subject.model, seen) for subject in subjects}
        futures["reconstruction"] = evaluator.decode_future(seen, seen.tokens[:, evaluator.context_length :])
        futures["truth"] = clips.frames[:, start:]
        yield from law_values(source, number, futures, start, evaluator.seed)
        for name, future in futures.items():
            predicted = torch.cat((clips.frames[:, :start], future), dim=1)
            scores = physics_iq(predicted, clips.frames, start, MASKS_ENLARGED)
            case = Case(name, "pixels", "real video", "real", evaluator.seed)
            for metric, score in zip(MOTION_METRICS, scores, strict=True):
                yield from case.values(METRICS[metric], clips.identity, [float(score[0])])


def _surprises(setup: Setup, source: RealClips, kind: Kind, subject: Subject | None) -> Iterator[Value]:
    evaluator = setup.evaluator
    quadruplets = real_quadruplets(source, kind, evaluator.context_frames, evaluator.seed)
    if len(quadruplets):
        encoded = partial(EncodedQuadruplets.of, evaluator, quadruplets)
        yield from measured(encoded, evaluator, "real", setup.metrics("surprise"), subject)
