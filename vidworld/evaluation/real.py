"""Worlds on held-out real video: Physics-IQ's motion metrics and laws on futures, surprise on spliced quads."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args

import torch

from vidworld.analysis.records import Value
from vidworld.core.clip_shape import ClipShape
from vidworld.evaluation.bench import Bench
from vidworld.evaluation.media import save_rollouts
from vidworld.evaluation.real_quadruplets import Kind, real_quads
from vidworld.evaluation.surprises import EncodedQuads, measure_surprise, surprise_of, surprise_of_truth
from vidworld.evaluation.units import Part, few
from vidworld.metrics.physics_iq import UNITS, physics_iq
from vidworld.models.world_model import Scorer, WorldModel
from vidworld.video.real import RealClips
from vidworld.video.store_record import has_clips
from vidworld.video_laws.futures import law_values

AT_ONCE = 8
"""Clips of a part."""
SHOWN = 4
"""Files of which the report shows a rollout."""
ENLARGED = 4
"""Physics-IQ's masks lose what is narrower than 5 pixels, which at 64 px is much of what moves."""


def held_out(folder: Path, shape: ClipShape) -> RealClips | None:
    """The held-out clips of a data set; None where no video of it fell to split `real`.

    Raises:
        UserError: there is no data set, or its clips are of another shape.
    """
    return RealClips(folder, "real", shape.num_frames, shape.width_px) if has_clips(folder, "real") else None


def real_parts(
    bench: Bench, source: RealClips, rollers: Sequence[WorldModel], surprised: Sequence[Scorer], folder: Path
) -> Iterator[Part]:
    """Futures of the held-out clips, then surprise at each kind of quad of them."""

    def futures(numbers: range) -> Iterator[Value]:
        for number in numbers:
            yield from _futures(bench, source, number, without_tracks(rollers))

    def surprises(kind: Kind) -> Iterator[Value]:
        quads = real_quads(source, kind, bench.context_frames, bench.seed)
        if not len(quads):
            return
        encoded = EncodedQuads.of(bench, quads)
        for world in without_tracks(surprised):
            yield from measure_surprise(surprise_of(bench, world, encoded), world.name, quads, "real", bench)
        yield from measure_surprise(surprise_of_truth(bench, encoded), "truth", quads, "real", bench)

    for numbers in few(len(source), AT_ONCE):
        yield Part(folder / f"real_{numbers[0]}_{numbers[-1]}.csv", partial(futures, numbers))
    for kind in get_args(Kind):
        yield Part(folder / f"real_surprise_{kind}.csv", partial(surprises, kind))


def shown_real(
    bench: Bench, source: RealClips, rollers: Sequence[WorldModel], folder: Path
) -> list[dict[str, Any]]:
    """What media.json says of rollouts of some held-out clips."""
    worlds = without_tracks(rollers)
    return [
        entry
        for number in _one_a_file(source)[:SHOWN]
        for entry in save_rollouts(bench, worlds, source.clips([number]), "real video", folder)
    ]


S = TypeVar("S", bound=Scorer)


def without_tracks(worlds: Sequence[S]) -> list[S]:
    """Those that need no true tracks, which real video does not have."""
    return [world for world in worlds if world.name != "constant_velocity"]


def _futures(bench: Bench, source: RealClips, number: int, rollers: Sequence[WorldModel]) -> list[Value]:
    """Physics-IQ's four measures of each world's future of one clip, and how it keeps the law of the clip's event."""
    clips = source.clips([number])
    seen = bench.encode(clips)
    context = clips.frames[:, : bench.context_frames]
    futures = {world.name: bench.future_frames(world, seen) for world in rollers}
    futures["reconstruction"] = bench.decode_future(seen, seen.tokens[:, bench.context_length :])
    futures["truth"] = clips.frames[:, bench.context_frames :]
    values = law_values(source, number, futures, bench.context_frames, bench.seed)
    for world, future in futures.items():
        predicted = torch.cat((context, future), dim=1)
        scores = physics_iq(predicted, clips.frames, bench.context_frames, ENLARGED)
        for name, score in scores._asdict().items():
            value = float(score[0])
            if math.isfinite(value):
                metric, unit = f"physics_iq_{name}", UNITS[name]
                values.append(
                    Value(
                        world,
                        "pixels",
                        "real video",
                        "motion",
                        "real",
                        metric,
                        unit,
                        clips.identity[0],
                        value,
                        bench.seed,
                    )
                )
    return values


def _one_a_file(source: RealClips) -> list[int]:
    """The first clip of each file."""
    files: dict[str, int] = {}
    for number, identity in enumerate(source.identity):
        files.setdefault(identity.rpartition("/")[0], number)
    return list(files.values())
