"""Push-T alone: pymunk is asked only where something may touch, which changes nothing."""

from dataclasses import replace

import pytest
import torch

from vidworld.core.counter_rng import Draws, clip_streams
from vidworld.simulation.environments import push_t
from vidworld.simulation.environments.push_t import PUSH_T

pytest.importorskip("pymunk", reason="no pymunk (vidworld[environments])")

COUNT, EVERYTHING = 48, torch.ones(48, dtype=torch.bool)


def test_what_cannot_touch_is_left_out_and_changes_nothing(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    state = PUSH_T.start(Draws(clip_streams("push_t/alone", range(COUNT), torch.device("cpu"))))
    state = replace(state, position=state.position + 6 * torch.rand(COUNT, 1, 2, generator=draw) - 3)  # some at walls
    asked = []
    for frame in range(24):
        action = torch.rand(COUNT, 2, generator=draw, dtype=torch.float64) * 2 - 1
        action = action if frame % 3 else PUSH_T.expert(state)
        asked.append(torch.stack(push_t._may_touch(state.position, state.angle)).any(0))
        after = PUSH_T.step(state, action)
        with monkeypatch.context() as patched:
            patched.setattr(push_t, "_may_touch", lambda *_: (EVERYTHING, EVERYTHING))
            by_pymunk = PUSH_T.step(state, action)
        assert torch.allclose(after.position, by_pymunk.position, rtol=0, atol=1e-9)
        assert torch.allclose(after.angle, by_pymunk.angle, rtol=0, atol=1e-9)
        state = after
    assert 0.1 < torch.stack(asked).double().mean() < 0.9
