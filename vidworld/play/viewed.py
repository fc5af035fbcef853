"""What the viewer shows of one clip or quadruplet, as one JSON value: served, or laid into a page for sharing."""

import base64
import io
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vidworld.core.clip import Clips, Frames, Tracks
from vidworld.core.errors import UserError
from vidworld.models.live import LiveRollout
from vidworld.models.world_model import Encoded, Rollout
from vidworld.play.cast import CONTEXT_FRAMES, Cast, Player, clips_in, rolled_out
from vidworld.play.messages import colors_of, rounded
from vidworld.play.readings import error_by_token, places_in
from vidworld.play.recording import PANEL_LABELS
from vidworld.play.session import COPY_LAST, TRUTH
from vidworld.play.truths import video_frames
from vidworld.simulation import LAWS, SCENARIOS
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.clips import ENVIRONMENT_SPLITS
from vidworld.simulation.quadruplets import quadruplets
from vidworld.simulation.simulated import SPLITS

SPRITE_COLUMNS = 8
"""Pictures in a row of the one that holds all frames."""
SIDES = {"a": "A", "b": "B", "a_then_b": "A, then B", "b_then_a": "B, then A"}
VIDEO = "video"


@dataclass(frozen=True)
class Choice:
    """Which clip: `clip/puck/id/3`, `law/permanence/id/0`, or `video/video/-/2`, the third clip of one's own video."""

    kind: str
    name: str
    split: str
    index: int

    @staticmethod
    def of(text: str) -> "Choice":
        """Raises UserError: it names no clip."""
        match = re.fullmatch(r"(clip|law|video)/([\w.-]{1,64})/([a-z-]{1,16})/(\d{1,5})", text, re.ASCII)
        if match is None:
            raise UserError(f"{text[:80]!r}: names no clip; KIND/NAME/SPLIT/NUMBER, such as clip/puck/id/0, would do")
        return Choice(match[1], match[2], match[3], int(match[4]))

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}/{self.split}/{self.index}"


def choices(cast: Cast, video: Path | None = None) -> dict[str, Any]:
    """What there is to choose from: names by kind, and their splits."""
    found: dict[str, Any] = {
        "clip": {n: list(ENVIRONMENT_SPLITS if n in ENVIRONMENTS else SPLITS) for n in cast.worlds}
    }
    if not cast.action_channels:
        found["law"] = {name: ["id", "ood"] for name in LAWS if not LAWS[name].legacy}
    if video is not None:
        found["video"] = {VIDEO: ["-"]}
    return found


def viewed(cast: Cast, choice: Choice, video: Path | None = None) -> dict[str, Any]:
    """All that the page shows of a choice. Raises UserError: there is no such clip."""
    known(cast, choice, video)
    if choice.kind == "law":
        return _of_law(cast, choice)
    return _of_clip(cast, choice, clips_of(cast, choice, video))


def known(cast: Cast, choice: Choice, video: Path | None) -> None:
    """Raise UserError: there is no such clip."""
    there = choices(cast, video)
    if choice.split not in there.get(choice.kind, {}).get(choice.name, ()):
        raise UserError(f"{choice}: there is no such clip; `view` without a number lists {', '.join(there)}")


def clips_of(cast: Cast, choice: Choice, video: Path | None) -> Clips:
    """The clip of a choice that is no quadruplet. Raises UserError: the video, or the scenario, has no such one."""
    if choice.kind == "video":
        assert video is not None
        frames, length = video_frames(video, cast.shape), cast.shape.num_frames
        first = choice.index * length
        if frames.shape[1] < first + CONTEXT_FRAMES + cast.chunk_frames:
            raise UserError(f"{video}: has no clip {choice.index}; it is {frames.shape[1] / cast.shape.fps:.1f} s long")
        frames = frames[:, first : first + length]
        frames = frames[:, : frames.shape[1] // cast.chunk_frames * cast.chunk_frames]
        actions = torch.zeros(1, frames.shape[1], cast.action_channels) if cast.action_channels else None
        return Clips(frames, cast.shape.fps, (str(choice),), actions=actions)
    if choice.name in SCENARIOS:
        scenario = SCENARIOS[choice.name]
        lacks = {"recombined": not scenario.ranges.corner, "more": not scenario.more}
        if lacks.get(choice.split, False):
            raise UserError(f"{choice}: the scenario has no split {choice.split}; id would do")
    return clips_in(choice.name, choice.split, cast.shape).clips([choice.index])


def _of_clip(cast: Cast, choice: Choice, clips: Clips) -> dict[str, Any]:
    seen, tracks = cast.evaluator.encode(clips), clips.tracks
    panels = [_panel(TRUTH, PANEL_LABELS[TRUTH], clips.frames, tracks)]
    context = CONTEXT_FRAMES // cast.chunk_frames
    surprise = {}
    for player in cast.players:
        rollout = rolled_out(cast, player, seen, context)
        frames = torch.cat((clips.frames[:, :CONTEXT_FRAMES], cast.evaluator.decode(rollout.tokens[:, 0])), dim=1)
        maps = [
            error_by_token(rollout.tokens[:, 0, k : k + 1], seen.tokens[:, context + k : context + k + 1])
            for k in range(rollout.tokens.shape[2])
        ]
        more = {"errors": rounded(torch.stack(maps)), "surprises": rounded(surprise_map(cast, player, seen, context))}
        more["probe"] = _by_probe(cast, player, rollout, tracks)
        panels.append(_panel(player.name, player.label, frames, tracks, **more))
        surprise[player.name] = {"": _surprise(cast, player, seen)}
    frozen = clips.frames[:, CONTEXT_FRAMES - 1 : CONTEXT_FRAMES].expand_as(clips.frames[:, CONTEXT_FRAMES:])
    frozen = torch.cat((clips.frames[:, :CONTEXT_FRAMES], frozen), dim=1)
    panels.append(_panel(COPY_LAST, PANEL_LABELS[COPY_LAST], frozen, tracks))
    return _head(cast, choice, clips) | {"panels": panels, "surprise": surprise}


def _cut(cast: Cast) -> int:
    """The frame at which the clips of a quadruplet swap their futures."""
    return cast.shape.num_frames // 2 // cast.chunk_frames * cast.chunk_frames


def first_of_law(cast: Cast, choice: Choice) -> Clips:
    """Clip A of a quadruplet."""
    return quadruplets(choice.name, choice.split, 0, [choice.index], _cut(cast), cast.shape).a


def _of_law(cast: Cast, choice: Choice) -> dict[str, Any]:
    """The four clips beside each other, and each model's surprise at them."""
    cut = _cut(cast)
    made = quadruplets(choice.name, choice.split, 0, [choice.index], cut, cast.shape)
    panels: list[dict[str, Any]] = []
    surprise: dict[str, dict[str, Any]] = {player.name: {} for player in cast.players}
    for side, label in SIDES.items():
        clips: Clips = getattr(made, side)
        seen, tracks = cast.evaluator.encode(replace(clips, tracks=None)), clips.tracks
        maps = {p.name: rounded(surprise_map(cast, p, seen, cut // cast.chunk_frames)) for p in cast.players}
        label = f"{label} ({'possible' if len(side) == 1 else 'impossible'})"
        panels.append(_panel(side, label, clips.frames, tracks, by_model=maps))
        for player in cast.players:
            surprise[player.name][side] = _surprise(cast, player, seen, cut)
    return _head(cast, choice, made.a, cut) | {"panels": panels, "surprise": surprise}


def _head(cast: Cast, choice: Choice, clips: Clips, context: int = CONTEXT_FRAMES) -> dict[str, Any]:
    return {
        "choice": str(choice), "fps": cast.shape.fps, "frames": clips.frames.shape[1], "chunk": cast.chunk_frames,
        "context": context, "size": list(clips.frames.shape[3:]), "columns": SPRITE_COLUMNS,
        "discs": [] if clips.tracks is None else colors_of(clips.tracks),
        "radii": [] if clips.tracks is None else rounded(clips.tracks.radius[0]),
        "places": None if clips.tracks is None else rounded(_shown(clips.tracks)),
        "labels": {player.name: player.label for player in cast.players},
        "actions": None if clips.actions is None else rounded(clips.actions[0], 2),
    }  # fmt: skip


def _surprise(cast: Cast, player: Player, seen: Encoded, context_frames: int = CONTEXT_FRAMES) -> list[float]:
    """The model's own surprise at each chunk after the context, shown the truth up to it."""
    evaluator = replace(cast.evaluator, context_frames=context_frames)
    found: list[float] = rounded(evaluator.surprise(player.model, seen, evaluator.seeds(seen.clips.identity))[0], 4)
    return found


def surprise_map(cast: Cast, player: Player, seen: Encoded, context: int) -> Float[Tensor, "t h w"]:
    """Squared error of each token of each chunk after the context, as the model predicts it from the true ones."""
    maps, evaluator = [], cast.evaluator
    with evaluator.accelerator.autocast(), torch.no_grad():
        for k in range(context, seen.tokens.shape[1]):
            before = None if seen.actions is None else seen.actions[:, :k]
            live = LiveRollout(player.name, player.model, seen.tokens[:, :k], before, evaluator.seed, player.window)
            _, tokens = live.step(None if seen.actions is None else seen.actions[:, k : k + 1])
            maps.append(error_by_token(tokens, seen.tokens[:, k : k + 1]))
    return torch.stack(maps)


def _by_probe(cast: Cast, player: Player, rollout: Rollout, tracks: Tracks | None) -> Any:
    """Where the probe reads the discs out of what the model predicts, frame by frame after the context."""
    probe = cast.evaluator.probes.get(player.name, cast.evaluator.probes.get(""))
    if tracks is None or probe is None:
        return None
    with cast.evaluator.accelerator.autocast():
        return rounded(probe.locate(rollout.embeddings[:, 0], tracks.color.to(rollout.embeddings.device))[0])


def _panel(name: str, label: str, frames: Frames, tracks: Tracks | None, **more: Any) -> dict[str, Any]:
    tracked = {} if tracks is None else {"tracked": rounded(places_in(frames, tracks)[0])}
    return {"name": name, "label": label, "sprite": sprite(frames)} | more | tracked


def _shown(tracks: Tracks) -> Float[Tensor, "time object 2"]:
    return torch.where(tracks.present[0][..., None], tracks.position[0], torch.nan)


def sprite(frames: Frames) -> str:
    """All frames of one clip in rows, as a data URI of lossless WebP."""
    rows = [torch.cat([*row], dim=2) for row in frames[0].split(SPRITE_COLUMNS)]
    width = max(row.shape[2] for row in rows)
    picture = torch.cat([torch.nn.functional.pad(row, (0, width - row.shape[2])) for row in rows], dim=1)
    file = io.BytesIO()
    Image.fromarray(picture.permute(1, 2, 0).contiguous().cpu().numpy()).save(file, "WEBP", lossless=True)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
