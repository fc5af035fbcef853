"""What the report shows: rollouts as videos, quadruplets as film strips with the surprise beneath."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vidworld.core.clip import Clips
from vidworld.core.media import filmstrip, write_mp4, write_png
from vidworld.core.records import prepare_folder, writing
from vidworld.evaluation.evaluator import Evaluator
from vidworld.metrics.surprise import Surprise
from vidworld.models.world_model import WorldModel
from vidworld.simulation.quadruplets import Quadruplets

SCALE = 2
"""Screen pixels a pixel of a film strip; videos are enlarged by the page."""


def save_rollouts(
    evaluator: Evaluator, models: Sequence[WorldModel], clips: Clips, task: str, folder: Path
) -> list[dict[str, Any]]:
    """What media.json says of these clips' rollouts, after writing a video of each model's."""
    prepare_folder(folder / "media")
    seen = evaluator.encode(clips)
    context = clips.frames[:, : evaluator.context_frames]
    futures = {"truth": clips.frames[:, evaluator.context_frames :]}
    futures |= {model.name: evaluator.future_frames(model, seen) for model in models}
    futures["reconstruction"] = evaluator.decode_future(seen, seen.tokens[:, evaluator.context_length :])
    entries = []
    for i, identity in enumerate(clips.identity):
        videos = {}
        for name, future in futures.items():
            file = f"media/{_file_name(identity)}_{name}.mp4"
            with writing(folder / file):
                write_mp4(folder / file, torch.cat((context[i], future[i])), clips.fps, scale=SCALE)
            videos[name] = file
        entry = {"task": task, "identity": identity, "context_frames": evaluator.context_frames}
        entries.append(entry | {"fps": clips.fps, "videos": videos})
    return entries


def save_quadruplets(
    evaluator: Evaluator, quadruplets: Quadruplets, surprises: Mapping[str, Surprise], folder: Path
) -> list[dict[str, Any]]:
    """What media.json says of these quadruplets: film strips of A and of B then A, and the surprise at A's future."""
    prepare_folder(folder / "media")
    chunk = evaluator.tokenizer.patch_size[0]
    entries = []
    for i, identity in enumerate(quadruplets.identity):
        name = _file_name(identity)
        strips = {}
        for kind, clips in (("possible", quadruplets.a), ("impossible", quadruplets.b_then_a)):
            strips[kind] = f"media/{name}_{kind}.png"
            with writing(folder / strips[kind]):
                write_png(folder / strips[kind], filmstrip(clips.frames[i]), scale=SCALE)
        curves = {
            model: {"possible": matrix[i, 0, 0].tolist(), "impossible": matrix[i, 1, 0].tolist()}
            for model, matrix in surprises.items()
        }
        entry = {"law": quadruplets.law, "identity": identity, "frames": strips, "surprise": curves}
        entries.append(entry | {"frames_per_chunk": chunk, "chunk_start": evaluator.context_length})
    return entries


def _file_name(identity: str) -> str:
    return "".join(character if character.isalnum() or character in "-." else "_" for character in identity)
