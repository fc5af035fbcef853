"""Injected errors of the picture: tracks as they should be, and something wrong with how they look.

Each paints the clips of a scene from frame `start` on, and leaves the context as it is. A size of 0 changes nothing.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from torch import Tensor

from vidworld.core.clip import Frames, Tracks
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.evaluation.calibration import ErrorScene, InjectedError
from vidworld.metrics.appearance import disc_shares
from vidworld.simulation.simulated import BACKGROUND
from vidworld.simulation.tracker import with_strangers

Painted = Float[Tensor, "clip time 3 height width"]  # in grey levels


def x_ray(scene: ErrorScene, tracks: Tracks, percent: float, start: int) -> Frames:
    """Discs show through the screens, so opaque."""
    true, open_scene = scene.render(tracks), scene.without_screens()
    white = open_scene.render(replace(tracks, color=torch.ones_like(tracks.color)))
    covered = ((white.float() / 255 - open_scene.empty(tracks) / 255) / (1 - BACKGROUND)).clamp(0, 1)
    discs = open_scene.render(tracks).float() - open_scene.empty(tracks)
    over = torch.lerp(scene.empty(tracks), torch.full_like(covered, BACKGROUND * 255), covered) + discs
    # Beside the screens both pictures are the same, but for rounding.
    hidden = scene.empty(tracks) != open_scene.empty(tracks)
    return _horizon(true, torch.where(hidden, torch.lerp(true.float(), over, percent / 100), true.float()), start)


def dissolving_scene(scene: ErrorScene, tracks: Tracks, percent: float, start: int) -> Frames:
    """Screens and blocks fade, and have lost so much of what tells them from the background at the end."""
    true = scene.render(tracks)
    contrast = scene.empty(tracks) - BACKGROUND * 255
    return _horizon(true, true - percent / 100 * _growing(true, start) * contrast, start)


def splitting_disc(scene: ErrorScene, tracks: Tracks, pixels_of_64: float, start: int) -> Frames:
    """Each disc falls into a left and a right half, which are so far apart at the end."""
    true, empty = scene.render(tracks), scene.empty(tracks)
    apart = pixels_of_64 * WORLD_SIZE / 64 * _growing(true, start)[..., 0]  # (1, time, 1, 1)
    columns = (torch.arange(true.shape[-1]) + 0.5) * scene.setting.pixel
    picture = empty.clone()
    for i in range(tracks.radius.shape[1]):
        for side in (-0.5, 0.5):
            shift = torch.cat([side * apart, torch.zeros_like(apart)], dim=-1)
            half = _only(replace(tracks, position=tracks.position + shift), i)
            beyond = (columns - half.position[:, :, i, :1].float()) / scene.setting.pixel  # (clip, time, column)
            share = (0.5 + 2 * side * beyond).clamp(0, 1).nan_to_num()[:, :, None, None]
            picture += share * (scene.render(half) - empty)
    return _horizon(true, picture, start)


def other_shape(scene: ErrorScene, tracks: Tracks, percent: float, start: int) -> Frames:
    """Discs become ellipses of the same area, broader by so much than a disc. For scenarios without screens."""
    true, broader = scene.render(tracks), 1 + percent / 100
    per_unit = 1 / scene.setting.pixel
    place = tracks.position.float().nan_to_num(-1e3) * per_unit
    dx = torch.arange(true.shape[-1]) + 0.5 - place[..., :1]
    dy = torch.arange(true.shape[-2]) + 0.5 - place[..., 1:]
    share = disc_shares(dx / broader, dy * broader, tracks.radius.float() * per_unit)
    color = 255 * (tracks.color.float() - BACKGROUND)
    picture = scene.empty(tracks) + torch.einsum("btohw, boc -> btchw", share, color)
    return true if percent == 0 else _horizon(true, picture, start)


def other_colour(scene: ErrorScene, tracks: Tracks, percent: float, start: int) -> Frames:
    """Each disc has gone so far towards a colour that no disc of its clip has."""
    count = tracks.radius.shape[1]
    other = with_strangers(tracks)[0][:, count : count + 1].to(tracks.color)
    painted = scene.render(replace(tracks, color=torch.lerp(tracks.color, other, percent / 100)))
    return _horizon(scene.render(tracks), painted, start)


def other_size(scene: ErrorScene, tracks: Tracks, percent: float, start: int) -> Frames:
    """Each disc's radius is larger by so much."""
    larger = scene.render(replace(tracks, radius=tracks.radius * (1 + percent / 100)))
    return _horizon(scene.render(tracks), larger, start)


def blur(scene: ErrorScene, tracks: Tracks, pixels_of_64: float, start: int) -> Frames:
    """The picture is as through a Gaussian of this standard deviation."""
    true = scene.render(tracks)
    deviation = pixels_of_64 * true.shape[-1] / 64
    blurred = gaussian_filter(true.float().numpy(), (0, 0, 0, deviation, deviation), mode="nearest")
    return _horizon(true, torch.from_numpy(np.asarray(blurred)), start)


def ghost_copies(scene: ErrorScene, tracks: Tracks, percent: float, start: int) -> Frames:
    """Half a picture beside each disc there is another of its colour, so opaque."""
    true, middle = scene.render(tracks), tracks.position.nanmean(dim=1, keepdim=True)
    beside = torch.where(middle[..., :1] > WORLD_SIZE / 2, -WORLD_SIZE / 2, WORLD_SIZE / 2)
    copies = tracks.position + torch.cat([beside, torch.zeros_like(beside)], dim=-1)
    ghosts = scene.render(replace(tracks, position=copies)) - scene.empty(tracks)
    return _horizon(true, true + percent / 100 * ghosts, start)


def flicker(scene: ErrorScene, tracks: Tracks, percent: float, start: int) -> Frames:
    """Every other frame is darker by so much."""
    true = scene.render(tracks)
    darker = true.float()
    darker[:, start::2] *= 1 - percent / 100
    return _horizon(true, darker, start)


def moved_screens(scene: ErrorScene, tracks: Tracks, pixels_of_64: float, start: int) -> Frames:
    """The screens stand so far to the right of where they stood."""
    right = torch.tensor([1.0, 0.0, 1.0, 0.0]) * pixels_of_64 * WORLD_SIZE / 64
    moved = replace(scene, scenes=replace(scene.scenes, screens=scene.scenes.screens + right))
    return _horizon(scene.render(tracks), moved.render(tracks), start)


_OBJECT, _SCENE, _HIDDEN = "object_integrity", "static_scene_error", "hidden_visible"
PICTURE_ERRORS = (
    InjectedError("x-ray", "% opaque", "occlusion", None, (5.0, 10.0, 25.0, 50.0, 100.0), (_HIDDEN, _SCENE), x_ray),
    InjectedError("dissolving scene", "% of contrast", "occlusion", None, (2.0, 5.0, 10.0, 40.0, 100.0), (_SCENE,),
          dissolving_scene),
    InjectedError("splitting disc", "px of 64", "collision", None, (0.5, 1.0, 2.0, 4.0, 8.0), (_OBJECT,),
          splitting_disc),
    InjectedError("other shape", "% broader", "collision", None, (2.0, 5.0, 10.0, 20.0, 50.0), (_OBJECT,), other_shape),
    InjectedError("other colour", "% of the way", "collision", None, (5.0, 10.0, 20.0, 50.0, 100.0), (_OBJECT,),
          other_colour),
    InjectedError("other size", "% of radius", "collision", None, (1.0, 2.0, 5.0, 10.0, 20.0), (_OBJECT,), other_size),
    InjectedError("blur", "px of 64", "occlusion", None, (0.25, 0.5, 1.0, 2.0, 3.0), (_OBJECT, _SCENE), blur),
    InjectedError("ghost copies", "% opaque", "collision", None, (5.0, 10.0, 25.0, 50.0, 100.0), (_SCENE,),
          ghost_copies),
    InjectedError("flicker", "% darker", "occlusion", None, (1.0, 2.0, 5.0, 10.0, 20.0), (_OBJECT, _SCENE), flicker),
    InjectedError("moved screens", "px of 64", "occlusion", None, (0.1, 0.25, 0.5, 1.0, 4.0), (_SCENE,), moved_screens),
)  # fmt: skip
"""Every metric of pictures stands under at least one of these."""


def _horizon(true: Frames, painted: Tensor, start: int) -> Frames:
    """The true frames with these from frame `start` on, in whole grey levels."""
    horizon = painted[:, start:]
    horizon = horizon if horizon.dtype == torch.uint8 else horizon.round().clamp(0, 255).to(torch.uint8)
    return torch.cat([true[:, :start], horizon], dim=1)


def _growing(frames: Frames, start: int) -> Float[Tensor, "1 time 1 1 1"]:
    """From 0 in the last frame of the context to 1 in the last of all."""
    times = torch.arange(frames.shape[1], dtype=torch.float32) - (start - 1)
    return (times / times[-1]).clamp_min(0)[None, :, None, None, None]


def _only(tracks: Tracks, number: int) -> Tracks:
    """The same of one object; the others are nowhere."""
    others = torch.arange(tracks.radius.shape[1]) != number
    return replace(tracks, position=tracks.position.masked_fill(others[:, None], torch.nan))
