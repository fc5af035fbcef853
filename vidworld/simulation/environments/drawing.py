"""Pictures and true tracks of scenes that somebody acts in: screens may come and go."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vidworld.core.clip import Frames, Tracks
from vidworld.core.clip_shape import ClipShape
from vidworld.simulation.discs import Scenes
from vidworld.simulation.simulated import render_discs, visible_share


def drawn_over_time(scenes: Sequence[Scenes], shape: ClipShape) -> tuple[Frames, Tracks]:
    """The frames and true tracks of the same worlds at times in turn.

    Where screens and blocks stay, all frames of a world have one base picture, which takes longest to draw.
    """
    over = {name: torch.stack([getattr(each, name) for each in scenes], dim=1) for name in vars(scenes[0])}
    stays = torch.stack([(over[name] == over[name][:, :1]).flatten(1).all(1) for name in ("screens", "blocks")]).all(0)
    groups = [(some.nonzero()[:, 0], together) for some, together in ((stays, True), (~stays, False))]
    parts = [(some, *_drawn(over, some, together, shape)) for some, together in groups if len(some) > 0]
    numbers, frames, visible = (torch.cat(part) for part in zip(*parts, strict=True))
    order = numbers.argsort()
    tracks = Tracks(
        position=over["position"],
        velocity=over["velocity"],
        radius=scenes[0].radius,
        mass=scenes[0].mass,
        color=scenes[0].color.to(torch.float32),
        present=over["present"],
        visible=visible[order],
    )
    return (frames if len(parts) == 1 else frames[order]), tracks


def _drawn(over: dict[str, Tensor], some: Tensor, together: bool, shape: ClipShape) -> tuple[Frames, Tensor]:
    """The frames of some worlds, each world's together or each by itself, and how much of each disc shows."""
    fields = {name: value[some] for name, value in over.items()}
    scene = {name: value[:, 0] if together else value.flatten(0, 1) for name, value in fields.items()}
    place = fields["position"] if together else scene["position"][:, None]
    looks = (scene["radius"], scene["color"], scene["present"], scene["screens"], scene["blocks"])
    frames = render_discs(place, *looks, shape)
    visible = visible_share(place, scene["radius"], scene["screens"], shape)
    return frames.reshape(len(some), -1, *frames.shape[2:]), visible.reshape(len(some), -1, visible.shape[2])
