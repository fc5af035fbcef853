"""Few steps: jumps lie on the levels of sampling, and a flow map that is right loses nothing and lands right."""

from itertools import pairwise

import pytest
import torch

from vidworld.core.counter_rng import generators
from vidworld.models.diffusion import DiffusionTransformer, sample, shifted
from vidworld.models.flow_map import Jump, draw, flow_map_loss, flow_map_of, jumps, two_halves

MEAN, DEVIATION = 1.5, 0.3


def flowed(noisy, level, towards):
    """Where the exact flow of data N(MEAN, DEVIATION²) leads: standardised tokens keep their value."""
    start, end = (((1 - x) ** 2 * DEVIATION**2 + x**2) ** 0.5 for x in (level, towards))
    return (1 - towards) * MEAN + end / start * (noisy - (1 - level) * MEAN)


class ExactMap(torch.nn.Module):
    """Answers with the clean tokens that a straight step must aim at; at a level itself, with E[x | x_t]."""

    def forward(self, noisy, noise_level, previous, towards):
        level, end = (x[:, :, None, None, None] for x in (noise_level, towards))
        ended = flowed(noisy, level, end)
        jumped = noisy - level / (level - end).clamp_min(1e-9) * (noisy - ended)
        spread = (1 - level) ** 2 * DEVIATION**2 + level**2
        expected = MEAN + (noisy - (1 - level) * MEAN) * (1 - level) * DEVIATION**2 / spread
        return torch.where(level == end, expected, jumped), []


def test_jumps_are_the_steps_of_sampling_in_1_2_or_4():
    jump = jumps(torch.rand(400, 2, 3, generator=torch.Generator().manual_seed(0)), 3.0)
    steps = {
        (round(a, 5), round(b, 5))
        for n in (1, 2, 4)
        for levels in [shifted(torch.linspace(1, 0, n + 1), 3.0).tolist()]
        for a, b in pairwise(levels)
    }
    found = zip(jump.start.flatten().tolist(), jump.end.flatten().tolist(), strict=True)
    assert {(round(a, 5), round(b, 5)) for a, b in found} == steps
    assert ((jump.start > jump.halfway) & (jump.halfway > jump.end)).all()


def test_the_exact_map_lands_where_the_data_lie_in_any_number_of_steps():
    torch.manual_seed(0)
    network, noise = ExactMap(), torch.randn(2000, 1, 1, 1, 4)

    def denoised(tokens, level, following):
        levels = (tokens.new_full(tokens.shape[:2], x) for x in (level, following))
        level, towards = levels
        return network(tokens, level, tokens, towards)[0]

    for steps in (1, 2, 4):
        sampled = sample(denoised, noise, steps, 3.0)
        assert float(sampled.mean()) == pytest.approx(MEAN, abs=0.02)
        assert float(sampled.std()) == pytest.approx(DEVIATION, rel=0.05)


def test_two_exact_halves_end_where_the_exact_jump_does():
    torch.manual_seed(0)
    network, noisy = ExactMap(), torch.randn(5, 1, 1, 1, 4)
    start, halfway, end = (torch.full((5, 1), level) for level in (0.9, 0.75, 0.5))
    jump = Jump(start, halfway, end, torch.zeros(5, 1, dtype=torch.bool))
    expected = network(noisy, start, noisy, end)[0]
    assert torch.allclose(two_halves(network, noisy, noisy, jump), expected, atol=1e-4)
    by_flow = two_halves(network, noisy, noisy, jump._replace(finest=~jump.finest))
    assert not torch.allclose(by_flow, expected, atol=1e-3)


@pytest.mark.parametrize("prediction", ["edm", "fitted"])
def test_before_it_is_trained_a_flow_map_answers_as_the_network_that_it_comes_from(prediction):
    torch.manual_seed(0)
    network = DiffusionTransformer(6, width=32, depth=2, heads=2, prediction=prediction).eval()
    if network.changes is not None:
        network.changes.fit(torch.randn(8, 3, 2, 2, 6))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    wider = flow_map_of(network).eval()
    noisy, previous = torch.randn(2, 3, 2, 2, 6), torch.randn(2, 3, 2, 2, 6)
    level, towards = torch.full((2, 3), 0.8), torch.full((2, 3), 0.2)
    expected = network(noisy, level, previous)[0]
    assert torch.allclose(wider(noisy, level, previous, towards=towards)[0], expected, atol=1e-6)
    torch.nn.init.normal_(wider.embed_jump[2].weight)
    assert not torch.allclose(wider(noisy, level, previous, towards=towards)[0], expected, atol=1e-3)


def test_a_flow_map_learns_to_jump():
    """Its loss on the same draws, twenty times as many as a step has, falls by more than such a mean scatters."""
    torch.manual_seed(0)
    network = flow_map_of(DiffusionTransformer(4, width=32, depth=1, heads=1))
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    tokens = torch.randn(16, 1, 1, 1, 4).expand(-1, 4, -1, -1, -1) + 0.3 * torch.randn(16, 4, 1, 1, 4)
    many = tokens.repeat(20, 1, 1, 1, 1)
    drawn = draw(generators(1, 0, range(len(many))), many)

    def tested():
        with torch.no_grad():
            return flow_map_loss(network, many, drawn, 3.0, 3.0).item()

    before = tested()
    for step in range(120):
        flow_map_loss(network, tokens, draw(generators(0, step, range(16)), tokens), 3.0, 3.0).backward()
        optimiser.step()
        optimiser.zero_grad()
    assert tested() < 0.85 * before


def test_how_a_batch_is_cut_changes_no_loss():
    """What a clip is given at random is its own: micro-batches and processes lose what the whole batch does."""
    torch.manual_seed(0)
    network = flow_map_of(DiffusionTransformer(4, width=32, depth=1, heads=1))
    torch.nn.init.normal_(network.head.weight, std=0.1)
    tokens = torch.randn(4, 3, 2, 2, 4)

    def loss(places):
        drawn = draw(generators(0, 7, places), tokens[list(places)])
        return flow_map_loss(network, tokens[list(places)], drawn, 3.0, 3.0).item()

    assert loss(range(4)) == pytest.approx((loss(range(2)) + loss(range(2, 4))) / 2, rel=1e-5)
    assert loss(range(2)) != pytest.approx(loss(range(2, 4)), rel=1e-3)


def test_a_flow_map_of_a_network_that_acts_is_given_the_actions():
    torch.manual_seed(0)
    network = flow_map_of(DiffusionTransformer(4, width=32, depth=1, heads=1, action_channels=2))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    tokens, actions = torch.randn(3, 3, 2, 2, 4), torch.randn(3, 3, 2)
    drawn = draw(generators(0, 0, range(3)), tokens)
    one, other = (flow_map_loss(network, tokens, drawn, 3.0, 3.0, each).item() for each in (actions, -actions))
    assert one != pytest.approx(other, rel=1e-4)
