"""The best linear estimate of a noisy change, and the covariance of changes that is fitted to data."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidworld.core.errors import UserError
from vidworld.models.diffusion import DiffusionTransformer
from vidworld.models.preconditioning import LEAST_VARIANCE, Changes, preconditioned

LEVELS, VARIANCES = st.floats(0.01, 1.0), st.floats(1e-3, 30.0)


@given(LEVELS, VARIANCES)
def test_what_is_kept_of_a_noisy_change_is_the_regression_on_it_and_the_deviation_that_of_what_is_left(level, variance):
    kept, deviation = preconditioned(*torch.tensor([level, variance], dtype=torch.float64))
    noisy_variance, together = variance * (1 - level) ** 2 + level**2, variance * (1 - level)
    assert float(kept) == pytest.approx(together / noisy_variance)
    assert float(deviation) ** 2 == pytest.approx(variance - together**2 / noisy_variance, abs=1e-9 * variance)


def planted(clips: int = 4000, channels: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs of chunks whose change has a known covariance, and that."""
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(channels, 3, generator=generator)
    first = torch.randn(clips, 1, 1, 1, channels, generator=generator)
    change = torch.randn(clips, 1, 1, 1, 3, generator=generator) @ root.T
    return torch.cat((first, first + change), dim=1), root @ root.T


def test_the_fit_is_of_the_changes_covariance_and_no_direction_varies_by_nothing():
    tokens, covariance = planted()
    changes = Changes(6, width=4)
    changes.fit(tokens)
    assert torch.equal(changes.learned_basis(), changes.basis)
    found = changes.basis.T @ changes.variance.diag() @ changes.basis
    torch.testing.assert_close(found, covariance, atol=0.1 * float(covariance.diag().max()), rtol=0)
    torch.testing.assert_close(changes.basis.T @ changes.basis, torch.eye(6), atol=1e-5, rtol=0)
    assert float(changes.variance.min()) == pytest.approx(LEAST_VARIANCE)
    torch.testing.assert_close(changes.kept(tokens, torch.ones(6), changes.learned_basis()), tokens, atol=1e-5, rtol=0)


def test_before_it_learns_a_fitted_network_is_the_best_linear_estimate():
    """Its error is the Gaussian's own, which one variance for all directions misses."""
    tokens, covariance = planted()
    errors = {}
    for prediction in ("edm", "fitted"):
        network = DiffusionTransformer(6, width=4, heads=1, depth=1, prediction=prediction)
        torch.nn.init.zeros_(network.head.weight)
        if network.changes is not None:
            network.changes.fit(tokens)
        level = torch.full((len(tokens), 1), 0.5)
        noise = torch.randn(tokens[:, 1:].shape, generator=torch.Generator().manual_seed(1))
        noisy = 0.5 * tokens[:, 1:] + 0.5 * noise
        with torch.no_grad():
            found = network(noisy, level, tokens[:, :1])[0]
        errors[prediction] = float((found - tokens[:, 1:]).square().sum(dim=-1).mean())
    left = torch.linalg.eigvalsh(covariance)[-3:]
    best = float((left * 0.25 / (left * 0.25 + 0.25)).sum())
    assert errors["fitted"] == pytest.approx(best, rel=0.05)
    assert errors["edm"] > 1.2 * best


def test_a_place_may_vary_more_or_less_than_the_fit_within_bounds():
    changes = Changes(3, width=2)
    torch.nn.init.constant_(changes.spread.weight, 100.0)
    torch.nn.init.zeros_(changes.spread.bias)
    more, less = changes.variance_here(torch.ones(2)), changes.variance_here(-torch.ones(2))
    torch.testing.assert_close((more / changes.variance).log(), torch.full((3,), 4.0))
    torch.testing.assert_close((less / changes.variance).log(), torch.full((3,), -4.0))


@pytest.mark.parametrize(
    ("tokens", "says"),
    [(torch.zeros(2, 1, 1, 1, 3), "clips of one chunk"), (torch.full((2, 3, 1, 1, 3), torch.nan), "not finite")],
)
def test_what_cannot_be_fitted_is_one_clear_line(tokens, says):
    with pytest.raises(UserError, match=says):
        Changes(3, width=2).fit(tokens)
