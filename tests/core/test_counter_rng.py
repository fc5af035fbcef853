"""Random numbers by number."""

import math

import pytest
import torch

from vidworld.core.counter_rng import Draws, clip_streams, key, mix, stratum, unit_vector


def test_splitmix64_known_answers() -> None:
    """The first outputs of the reference generator seeded with 1234567."""
    state, golden = 1234567, 0x9E3779B97F4A7C15
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    for i, number in enumerate(expected):
        counter = (state + i * golden) % 2**64
        signed = counter - 2**64 if counter >= 2**63 else counter
        assert int(mix(torch.tensor([signed]))[0]) % 2**64 == number


def test_draws_do_not_depend_on_the_batch() -> None:
    streams = clip_streams("uniform/train/0", range(1000), torch.device("cpu"))
    together = Draws(streams).uniform(-3.0, 7.0, count=5)
    for one in (0, 1, 7, 333, 999):
        assert torch.equal(Draws(streams[one : one + 1]).uniform(-3.0, 7.0, count=5)[0], together[one])


def test_draws_are_even_and_unrelated() -> None:
    draws = Draws(clip_streams("a", range(20_000), torch.device("cpu")))
    first, second = draws.uniform(), draws.uniform()
    assert float(first.min()) >= 0 and float(first.max()) < 1
    assert float(first.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(first.var()) == pytest.approx(1 / 12, abs=0.003)
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 0.03
    other = Draws(clip_streams("b", range(20_000), torch.device("cpu"))).uniform()
    assert abs(float(torch.corrcoef(torch.stack([first, other]))[0, 1])) < 0.03


def test_names_are_keys_for_good() -> None:
    """The key of a name may never change, or every clip would."""
    assert key("uniform/train/0") == -3879885904381911647
    assert key("uniform/train/0") != key("uniform/train/1")


def test_unit_vectors_point_where_asked() -> None:
    turn = torch.linspace(0, 1, 1001, dtype=torch.float64)[:-1]
    vector = unit_vector(turn)
    angle = turn * 2 * math.pi
    assert torch.allclose(vector[:, 0], angle.cos(), atol=1e-6, rtol=0)
    assert torch.allclose(vector[:, 1], angle.sin(), atol=1e-6, rtol=0)
    assert torch.allclose(vector.square().sum(1), torch.ones_like(turn), atol=1e-15, rtol=0)


def test_order_is_a_permutation() -> None:
    order = Draws(clip_streams("order", range(500), torch.device("cpu"))).order(6)
    assert torch.equal(order.sort(dim=1).values, torch.arange(6).expand(500, 6))
    assert len(order.unique(dim=0)) > 300


def test_strata_are_filled_evenly_and_do_not_depend_on_the_batch() -> None:
    device = torch.device("cpu")
    numbers = stratum("permanence", range(90), 3, device)
    assert torch.equal(numbers.reshape(30, 3).sort(dim=1).values, torch.arange(3).expand(30, 3))
    assert len(numbers.reshape(30, 3).unique(dim=0)) > 3
    assert torch.equal(stratum("permanence", [50, 7], 3, device), numbers[[50, 7]])
