"""Worlds on held-out real video: Physics-IQ's motion metrics and laws on futures, surprise on spliced quads."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import torch

from vidworld.data.real import RealClips
from vidworld.data.real_quads import Kind, real_quads
from vidworld.errors import UserError
from vidworld.harness.bench import Bench, Value
from vidworld.harness.media import save_rollouts
from vidworld.harness.real_laws import law_values
from vidworld.harness.surprises import EncodedQuads, measure_surprise, surprise_of, surprise_of_truth
from vidworld.metrics.physics_iq import physics_iq
from vidworld.schema import PhysicsConfig
from vidworld.world import Scorer, World

SHOWN = 4
"""Files of which the report shows a rollout."""
ENLARGED = 4
"""Physics-IQ's masks lose what is narrower than 5 pixels, which at 64 px is much of what moves."""


def measure_real(
    bench: Bench, folder: Path, rollers: Sequence[World], surprised: Sequence[Scorer], config: PhysicsConfig
) -> tuple[list[Value], list[dict[str, Any]]]:
    """The values of the held-out clips, and what media.json says of some of their rollouts."""
    source = RealClips(folder, "real", config.shape.num_frames, config.shape.width_px)
    if not len(source):
        raise UserError(f"{folder}: has no held-out clips (split real); ingest a folder with more videos")
    mine = range(bench.accelerator.process_index, len(source), bench.accelerator.num_processes)
    values: list[Value] = []
    for number in mine:
        values += _futures(bench, source, number, rollers)
    shown: list[dict[str, Any]] = []
    if bench.accelerator.is_main_process:
        for kind in get_args(Kind):
            quads = real_quads(source, kind, bench.context_frames, config.seed)
            if not len(quads):
                continue
            encoded = EncodedQuads.of(bench, quads)
            worlds = [
                world for world in surprised if world.name != "constant_velocity"
            ]  # it needs true tracks
            matrices = {world.name: surprise_of(bench, world, encoded) for world in worlds}
            matrices["truth"] = surprise_of_truth(bench, encoded)
            for name, matrix in matrices.items():
                values += measure_surprise(matrix, name, quads, "real", bench)
        different = _one_a_file(source)[:SHOWN]
        for number in different:
            shown += save_rollouts(bench, rollers, source.clips([number]), "real video", config.out)
    return values, shown


def _futures(bench: Bench, source: RealClips, number: int, rollers: Sequence[World]) -> list[Value]:
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
                metric, unit = f"physics_iq_{name}", "squared level" if name == "mse" else "share"
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
