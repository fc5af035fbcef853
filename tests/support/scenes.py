"""Exact scenes written out by hand, so that the metrics' tests rest on no simulator."""

from dataclasses import replace

import numpy as np
import torch

from vidworld.core.clip import Tracks

DT_S = 0.1
FRAMES = 16
START = 8
PER_FRAME = ("position", "velocity", "present", "visible")
TIMES = np.arange(FRAMES) * DT_S


def tracks(position, velocity, radius, visible=None, contact_s=None) -> Tracks:
    """Tracks of (clip, time, object, 2) positions with mass = radius squared and everything present."""
    position, velocity = np.asarray(position, float), np.asarray(velocity, float)
    clips, frames, objects, _ = position.shape
    radius = np.broadcast_to(radius, (clips, objects)).copy()
    visible = np.ones((clips, frames, objects)) if visible is None else visible
    contact_s = np.full((clips, objects), np.nan) if contact_s is None else contact_s
    return Tracks(
        position=torch.tensor(position, dtype=torch.float32),
        velocity=torch.tensor(velocity, dtype=torch.float32),
        radius=torch.tensor(radius, dtype=torch.float32),
        mass=torch.tensor(radius**2, dtype=torch.float32),
        color=torch.rand(clips, objects, 3, generator=torch.Generator().manual_seed(0)),
        present=torch.ones(clips, frames, objects, dtype=torch.bool),
        visible=torch.tensor(visible, dtype=torch.float32),
        contact_s=torch.tensor(contact_s, dtype=torch.float32),
    )


def uniform(clips: int = 8, seed: int = 0) -> Tracks:
    """Two discs a clip that move straight."""
    generator = np.random.default_rng(seed)
    angle, pace = generator.uniform(0, 2 * np.pi, (clips, 2)), generator.uniform(1, 3, (clips, 2))
    velocity = pace[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    begin = generator.uniform(4, 6, (clips, 1, 2, 2))
    position = begin + TIMES[None, :, None, None] * velocity[:, None]
    moving = np.broadcast_to(velocity[:, None], position.shape)
    return tracks(position, moving, generator.uniform(0.4, 0.8, (clips, 2)))


def collision(clips: int = 8, seed: int = 0, restitution: float = 1.0) -> Tracks:
    """Two discs a clip that meet between frames 9 and 12, head-on or up to 40 degrees off."""
    generator = np.random.default_rng(seed)
    radius = generator.uniform(0.4, 0.8, (clips, 2))
    mass = radius**2
    contact_s = generator.uniform(0.91, 1.19, clips)
    towards = generator.uniform(0, 2 * np.pi, clips)
    line = np.stack([np.cos(towards), np.sin(towards)], axis=-1)  # from the first disc to the second
    meet = np.stack([5 - radius[:, :1] * line, 5 + radius[:, 1:] * line], axis=1)
    turn = towards + generator.uniform(-0.7, 0.7, clips)
    closing = generator.uniform(2, 4, clips)[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    drift = generator.uniform(-0.5, 0.5, (clips, 2))
    before = np.stack([drift + closing / 2, drift - closing / 2], axis=1)
    reduced = mass[:, 0] * mass[:, 1] / mass.sum(axis=1)
    impulse = (1 + restitution) * reduced * (closing * line).sum(axis=-1)
    change = impulse[:, None] * line
    after = before + np.stack([-change / mass[:, :1], change / mass[:, 1:]], axis=1)
    since = (TIMES[None] - contact_s[:, None])[:, :, None, None]
    velocity = np.where(since >= 0, after[:, None], before[:, None])
    return tracks(meet[:, None] + since * velocity, velocity, radius, contact_s=np.stack([contact_s, contact_s], 1))


def occlusion(clips: int = 8, seed: int = 0) -> Tracks:
    """One disc a clip that is hidden as the horizon begins and comes out, beside one in the open."""
    generator = np.random.default_rng(seed)
    pace = generator.uniform(2.5, 4, clips)
    begin, radius, height = 1.0, 0.4, generator.uniform(2, 4, clips)
    hides_at, shows_at = begin + pace * 0.62, begin + pace * 1.05
    x = begin + pace[:, None] * TIMES
    y = np.broadcast_to(height[:, None], x.shape)
    hidden = (x > hides_at[:, None]) & (x < shows_at[:, None])
    partly = ((np.abs(x - hides_at[:, None]) < radius) | (np.abs(x - shows_at[:, None]) < radius)) & ~hidden
    visible = np.where(hidden, 0.0, np.where(partly, 0.5, 1.0))
    other_x = np.broadcast_to(3 + 2.0 * TIMES, x.shape)
    position = np.stack([np.stack([x, y], -1), np.stack([other_x, np.full_like(x, 8.0)], -1)], axis=2)
    pace_2 = np.broadcast_to(pace[:, None], x.shape)
    velocity = np.stack([np.stack([pace_2, 0 * x], -1), np.stack([np.full_like(x, 2.0), 0 * x], -1)], axis=2)
    return tracks(position, velocity, radius, np.stack([visible, np.ones_like(x)], axis=2))


def moved(truth: Tracks, position) -> Tracks:
    """The same tracks elsewhere."""
    return replace(truth, position=torch.as_tensor(np.asarray(position), dtype=torch.float32))


SCENES = {"uniform": uniform, "collision": collision, "occlusion": occlusion}


def mean(metric, predicted, truth) -> float:
    """The metric's mean over the clips that it applies to."""
    values = metric(predicted, truth, DT_S, START)
    assert values.dtype == np.float64 and values.shape == (len(truth.position),)
    return float(np.nanmean(values))


def places(truth: Tracks) -> np.ndarray:
    """A copy of the positions, to plant faults in."""
    return truth.position.numpy().astype(float)


def scaled(truth: Tracks, factor: float) -> Tracks:
    """The horizon's motion faster or slower by a factor."""
    position = places(truth)
    last = position[:, START - 1 : START]
    position[:, START:] = last + factor * (position[:, START:] - last)
    return moved(truth, position)


def duplicated(truth: Tracks) -> Tracks:
    """A second copy of the first object in the horizon, one unit away, as a further object."""
    twice = {k: torch.cat([v, v[:, :, :1]], 2) for k, v in vars(truth).items() if k in PER_FRAME}
    once = {k: torch.cat([v, v[:, :1]], 1) for k, v in vars(truth).items() if k not in PER_FRAME}
    twice["position"][:, :, -1] += 1.0
    twice["position"][:, :START, -1] = torch.nan
    return Tracks(**twice, **once)
