"""What was played, as a file: scene and steps, from which all is made again; and as a moving picture."""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from tqdm import tqdm

from vidworld.core.errors import UserError
from vidworld.core.media import enlarged, write_mp4
from vidworld.core.records import prepare_folder, read_json, write_json, writing
from vidworld.play.cast import Cast
from vidworld.play.session import COPY_LAST, LONGEST, TRUTH, Moment, PlayedStep, Session

RECORDING_FORMAT = 1
PANEL_LABELS = {TRUTH: "Truth", COPY_LAST: "Copy-last"}
MOST_GIF_COLORS = 128
EXPORTED = 150
"""Chunks (a minute) of a recording that are made into pictures; the file holds all of it."""
FILE_NAME = re.compile(r"[a-z0-9_]{1,64}-\d{1,6}-\d{1,6}\.(json|mp4|gif)")
"""Of the files that a page saves: world, scene, a running number."""
_LINE_PX, _LABEL_PX = 4, 16
_PAPER, _INK, _SOFT = (255, 255, 255), (20, 23, 28), (178, 38, 30)


def as_recording(session: Session, steps: Sequence[PlayedStep]) -> dict[str, Any]:
    """All that is needed to play the same again with the same models."""
    return {
        "format": RECORDING_FORMAT,
        "models": session.cast.fingerprints,
        "world": session.truth.name,
        "number": session.number,
        "steps": [[what, *action] for what, action in steps],
    }


def read_recording(path: Path, cast: Cast) -> tuple[str, int, list[PlayedStep]]:
    """World, scene number and steps. Raises UserError: no recording, or one of other models."""
    record = read_json(path)
    try:
        if record["format"] != RECORDING_FORMAT:
            raise ValueError("another format")
        steps: list[PlayedStep] = [(str(what), tuple(float(x) for x in action)) for what, *action in record["steps"]]
        if len(steps) > LONGEST or any(what not in ("act", "anchor", "hide") for what, _ in steps):
            raise ValueError("steps that nobody can play")
        world, number, models = str(record["world"]), int(record["number"]), dict(record["models"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is no recording of play ({error}); one that the page saved would do") from None
    if models != cast.fingerprints:
        raise UserError(f"{path}: was played with other models ({', '.join(models)}); name their run folder")
    return world, number, steps


def export_played(session: Session, steps: list[PlayedStep], folder: Path) -> list[Path]:
    """The recording of these steps, an MP4 and a GIF, all under a new name. Raises UserError: none can be written."""
    stem = f"{session.truth.name}-{session.number}"
    prepare_folder(folder)
    number = next(n for n in itertools.count() if not (folder / f"{stem}-{n}.json").exists())
    paths = [folder / f"{stem}-{number}{suffix}" for suffix in (".json", ".mp4", ".gif")]
    write_json(paths[0], as_recording(session, steps))
    moments = list(played_again(session, steps[:EXPORTED]))
    for path in paths[1:]:
        write_picture(path, session.cast, moments, len(moments))
    return paths


def played_again(session: Session, steps: Iterable[PlayedStep]) -> Iterator[Moment]:
    """The scene's moments under these steps, from its start."""
    yield session.new(session.number)
    for step in steps:
        yield session.take(step)


def scripted(session: Session, chunks: int) -> Iterator[Moment]:
    """The scene's moments under what somebody would do who knows the state; a still hand where nobody acts."""
    yield session.new(session.number)
    for _ in range(chunks):
        expert = session.truth.expert(session.now.seen.state)[0].tolist() if session.truth.acts else ()
        yield session.act(tuple(expert))


def write_picture(path: Path, cast: Cast, moments: Iterable[Moment], count: int, scale: int = 2) -> Path:
    """The path of a moving picture (.mp4 or .gif) of all panels side by side, each under its name.

    Raises UserError: another suffix, or nothing can be written there.
    """
    writers: dict[str, Callable[..., object]] = {".mp4": write_mp4, ".gif": _write_gif}
    write = writers.get(path.suffix.lower())
    if write is None:
        raise UserError(f"{path}: a moving picture is written as .mp4 or .gif")
    labels = PANEL_LABELS | {player.name: player.label for player in cast.players}
    shown = tqdm(moments, "pictures", total=count, unit="chunk", disable=None)
    frames = torch.cat([_side_by_side(moment, labels, scale) for moment in shown])
    prepare_folder(path.parent)
    with writing(path):
        write(path, frames, cast.shape.fps)
    return path


def _side_by_side(moment: Moment, labels: dict[str, str], scale: int) -> UInt8[Tensor, "time 3 height width"]:
    shown = next(panel.frames for panel in moment.panels if panel.frames is not None)
    count, _, _, width = shown.shape[1:]
    columns = []
    for panel in moment.panels:
        frames = torch.full_like(shown, 235) if panel.frames is None else panel.frames
        picture = enlarged(frames[0].cpu(), scale)
        parted = "" if panel.parted_s is None else f"parted after {panel.parted_s:.1f} s"
        head = _heading(labels[panel.name], parted, width * scale)
        columns += [torch.cat([head.expand(count, -1, -1, -1), picture], dim=2)]
        columns += [picture.new_full((count, 3, columns[-1].shape[2], _LINE_PX), 255)]
    return torch.cat(columns[:-1], dim=3)


def _heading(label: str, below: str, width: int) -> UInt8[Tensor, "3 height width"]:
    image = Image.new("RGB", (width, 2 * _LABEL_PX), _PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    draw.text((2, 1), label, _INK, font)
    draw.text((2, _LABEL_PX - 1), below, _SOFT, font)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _write_gif(path: Path, frames: Tensor, fps: float) -> None:
    """One palette for all pictures, so that what stands still costs nothing."""
    pictures = [Image.fromarray(frame) for frame in frames.permute(0, 2, 3, 1).contiguous().numpy()]
    some = torch.cat([*frames[:: max(1, len(frames) // 12)]], dim=1)  # the palette is made from a few of them
    palette = Image.fromarray(some.permute(1, 2, 0).contiguous().numpy()).quantize(MOST_GIF_COLORS)
    reduced = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    reduced[0].save(path, save_all=True, append_images=reduced[1:], duration=round(1000 / fps), loop=0, optimize=True)
