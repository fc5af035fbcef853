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
from vidworld.evaluation.pictures import disc_shares
from vidworld.simulation.simulated import BACKGROUND
from vidworld.simulation.tracker import with_strangers


def x_ray(scene: ErrorScene, percent: float, start: int) -> Frames:
    """Discs show through the screens, so opaque."""
    true, open_scene = scene.true_frames, scene.without_screens()
    white = open_scene.render(replace(scene.truth, color=torch.ones_like(scene.truth.color)))
    covered = ((white.float() / 255 - open_scene.empty / 255) / (1 - BACKGROUND)).clamp(0, 1)
    discs = open_scene.true_frames.float() - open_scene.empty
    over = torch.lerp(scene.empty, torch.full_like(covered, BACKGROUND * 255), covered) + discs
    # Beside the screens both pictures are the same, but for rounding.
    hidden = scene.empty != open_scene.empty
    return _horizon(true, torch.where(hidden, torch.lerp(true.float(), over, percent / 100), true.float()), start)


def dissolving_scene(scene: ErrorScene, percent: float, start: int) -> Frames:
    """Screens and blocks fade, and have lost so much of what tells them from the background at the end."""
    true = scene.true_frames
    contrast = scene.empty - BACKGROUND * 255
    return _horizon(true, true - percent / 100 * _growing(true, start) * contrast, start)


def splitting_disc(scene: ErrorScene, pixels_of_64: float, start: int) -> Frames:
    """Each disc falls into a left and a right half, which are so far apart at the end."""
    tracks, true, empty = scene.truth, scene.true_frames, scene.empty
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


def other_shape(scene: ErrorScene, percent: float, start: int) -> Frames:
    """Discs become ellipses of the same area, broader by so much than a disc. For scenarios without screens."""
    tracks, true, broader = scene.truth, scene.true_frames, 1 + percent / 100
    per_unit = 1 / scene.setting.pixel
    place = tracks.position.float().nan_to_num(-1e3) * per_unit
    dx = torch.arange(true.shape[-1]) + 0.5 - place[..., :1]
    dy = torch.arange(true.shape[-2]) + 0.5 - place[..., 1:]
    radius, color = tracks.radius.float() * per_unit, 255 * (tracks.color.float() - BACKGROUND)
    change = disc_shares(dx / broader, dy * broader, radius) - disc_shares(dx, dy, radius)
    return _horizon(true, true + torch.einsum("btohw, boc -> btchw", change, color), start)


def other_colour(scene: ErrorScene, percent: float, start: int) -> Frames:
    """Each disc has gone so far towards a colour that no disc of its clip has."""
    tracks, count = scene.truth, scene.truth.radius.shape[1]
    other = with_strangers(tracks)[0][:, count : count + 1].to(tracks.color)
    painted = scene.render(replace(tracks, color=torch.lerp(tracks.color, other, percent / 100)))
    return _horizon(scene.true_frames, painted, start)


def other_size(scene: ErrorScene, percent: float, start: int) -> Frames:
    """Each disc's radius is larger by so much."""
    larger = scene.render(replace(scene.truth, radius=scene.truth.radius * (1 + percent / 100)))
    return _horizon(scene.true_frames, larger, start)


def blur(scene: ErrorScene, pixels_of_64: float, start: int) -> Frames:
    """The picture is as through a Gaussian of this standard deviation."""
    true = scene.true_frames
    deviation = pixels_of_64 * true.shape[-1] / 64
    blurred = gaussian_filter(true.float().numpy(), (0, 0, 0, deviation, deviation), mode="nearest")
    return _horizon(true, torch.from_numpy(np.asarray(blurred)), start)


def ghost_copies(scene: ErrorScene, percent: float, start: int) -> Frames:
    """Half a picture beside each disc there is another of its colour, so opaque."""
    tracks, true = scene.truth, scene.true_frames
    middle = tracks.position.nanmean(dim=1, keepdim=True)
    beside = torch.where(middle[..., :1] > WORLD_SIZE / 2, -WORLD_SIZE / 2, WORLD_SIZE / 2)
    copies = tracks.position + torch.cat([beside, torch.zeros_like(beside)], dim=-1)
    ghosts = scene.render(replace(tracks, position=copies)) - scene.empty
    return _horizon(true, true + percent / 100 * ghosts, start)


def flicker(scene: ErrorScene, percent: float, start: int) -> Frames:
    """Every other frame is darker by so much."""
    true = scene.true_frames
    darker = true.float()
    darker[:, start::2] *= 1 - percent / 100
    return _horizon(true, darker, start)


def moved_screens(scene: ErrorScene, pixels_of_64: float, start: int) -> Frames:
    """The screens stand so far to the right of where they stood."""
    right = torch.tensor([1.0, 0.0, 1.0, 0.0]) * pixels_of_64 * WORLD_SIZE / 64
    moved = replace(scene, scenes=replace(scene.scenes, screens=scene.scenes.screens + right))
    return _horizon(scene.true_frames, moved.true_frames, start)


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
    InjectedError("blur", "px of 64", "occlusion", None, (0.5, 0.8, 1.2, 2.0, 3.0), (_OBJECT, _SCENE), blur),
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
