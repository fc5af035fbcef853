"""A rollout that goes on: by the same numbers as `rollout`, in bounded memory, and back again."""

import pytest
import torch

from vidworld.core.clip import Clips, packed
from vidworld.core.errors import UserError
from vidworld.models.diffusion import DiffusionTransformer, GenerativeModel
from vidworld.models.jepa import JointEmbeddingPredictor, PredictiveModel
from vidworld.models.live import LiveRollout
from vidworld.models.world_model import Encoded

CHANNELS, GRID, SEED = 16, (2, 2), 7


def made(family, acts):
    torch.manual_seed(0)
    actions = {"action_channels": 8} if acts else {}
    if family == "diffusion":
        network = DiffusionTransformer(CHANNELS, 16, 2, 1, 8, **actions)
    else:
        target = "vcreg" if family == "jepa" else "frozen"
        network = JointEmbeddingPredictor(CHANNELS, 16, 1, 2, 1, target=target, **actions)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    if family == "diffusion":
        return GenerativeModel(network, family, 2, 8.0, (1.0,))
    return PredictiveModel(network, family, torch.nn.Linear(16, CHANNELS) if family == "jepa" else None)


def clip(acts, chunks=8):
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(1, chunks, *GRID, CHANNELS, generator=generator)
    actions = torch.rand(1, 4 * chunks, 2, generator=generator) * 2 - 1 if acts else None
    return Encoded(Clips(torch.zeros(1, 4 * chunks, 3, 8, 8, dtype=torch.uint8), 10.0, ("",), actions=actions), tokens)


def started(model, seen, context=2, window=100):
    actions = None if seen.actions is None else seen.actions[:, :context]
    return LiveRollout("it", model, seen.tokens[:, :context], actions, SEED, window)


def stepped(live, seen, numbers):
    with torch.no_grad():
        return [live.step(None if seen.actions is None else seen.actions[:, k : k + 1])[1] for k in numbers]


@pytest.mark.parametrize("acts", [True, False])
@pytest.mark.parametrize("family", ["regression", "jepa", "diffusion"])
def test_steps_are_those_of_a_rollout(family, acts):
    model, seen = made(family, acts), clip(acts)
    actions = {"actions": seen.actions[:, None, 2:]} if acts else {}
    whole = model.rollout(seen.chunks(0, 2), 6, 1, [SEED], **actions).tokens[:, 0]
    parts = torch.cat(stepped(started(model, seen), seen, range(2, 8)), dim=1)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(whole[:, 0], whole[:, -1], atol=1e-2)


@pytest.mark.parametrize("family", ["regression", "jepa", "diffusion"])
def test_a_full_window_begins_anew_from_its_later_half(family):
    model, seen = made(family, True), clip(True)
    live = started(model, seen, window=4)
    before = stepped(live, seen, range(2, 7))
    assert live._caches[0].keys.shape[2] == 2 * 4  # of the two chunks that were kept, of four cells each
    if family != "diffusion":  # its noise goes on
        spaces = [model.entered(seen.tokens[:, :2]), *[each.chunk for each in live._taken[2:]]]
        fed = torch.cat(spaces, dim=1)
        caches = model.remembered(fed[:, 4:6], seen.actions[:, 4:6])
        expected, _ = model.following(fed[:, 5:6], caches, seen.actions[:, 6:7])
        torch.testing.assert_close(model.decoded(expected), before[-1])


@pytest.mark.thorough
@pytest.mark.parametrize("family", ["jepa", "diffusion"])
@pytest.mark.parametrize("number", [0, 1, 3, 6, 11, 12])
def test_gone_back_the_future_is_what_it_was(family, number):
    model, seen = made(family, True), clip(True)
    live = started(model, seen, window=4)
    was = stepped(live, seen, [2, 3, 4, 5, 6, 7] * 2)
    live.go_back(number)
    assert live.number == number
    again = stepped(live, seen, ([2, 3, 4, 5, 6, 7] * 2)[number:])
    assert all(torch.equal(a, b) for a, b in zip(was[number:], again, strict=True))


def test_memory_is_bounded_and_so_is_the_way_back(monkeypatch):
    monkeypatch.setattr("vidworld.models.live.HISTORY", 8)
    model, seen = made("regression", True), clip(True)
    live = started(model, seen, window=4)
    stepped(live, seen, [3] * 40)
    assert live.number == 40 and len(live._taken) <= 16
    live.go_back(live.least)
    with pytest.raises(ValueError, match="lies outside"):
        live.go_back(0)


def test_what_cannot_be_stepped_says_so():
    with pytest.raises(UserError, match="it: cannot be played"):
        LiveRollout("it", object(), torch.zeros(1, 2, 2, 2, 4), None, 0)
    model, seen = made("regression", True), clip(True)
    with pytest.raises(UserError, match="trained on actions"):
        started(model, seen).step(None)


def test_actions_count():
    model, seen = made("regression", True), clip(True)
    one, other = (started(model, seen).step(packed(torch.full((1, 4, 2), x), 1))[1] for x in (-1.0, 1.0))
    assert (one - other).abs().max() > 1e-2
