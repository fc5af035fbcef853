"""Losses of embeddings: against collapse, and of predictions that say how sure they are.

The former are variance and covariance, or a sketched Gaussian test; the latter proper scores, least on average for the
true distribution.
"""

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as differentiable
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Embeddings
from vidworld.models.layers import in_full_precision

LATENT = 32
"""Numbers of a latent variable a chunk, standard normal (as many as in FGN, arXiv 2506.10772)."""
LOG_VARIANCES = (-8.0, 4.0)
"""What the logarithm of a predicted variance lies between; embeddings have variance 1 or so."""

# --- against collapse ---


def over_all_processes(mean: Tensor) -> Tensor:
    """The mean over processes of a per-process mean, with its gradient.

    The plain all-reduce is unseen by autograd and so scales the gradient by one over the number of processes. Here
    each process gets the derivative of the global value; data parallel averages these, and one process's come out.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return mean
    summed: Tensor = differentiable.all_reduce(mean)
    return summed / dist.get_world_size()


def variance_covariance(embeddings: Embeddings) -> Float[Tensor, ""]:
    """How far the embedding channels are from unit deviation or more, and from being uncorrelated.

    Source: VICReg (arXiv 2105.04906), eqs. 1 and 3. Deviations are taken across clips at a fixed place, where collapse
    shows; covariances over all places.
    """
    mean = over_all_processes(embeddings.mean(dim=0, keepdim=True))
    centred = embeddings - mean
    deviation = (over_all_processes(centred.square().mean(dim=0)) + 1e-4).sqrt()
    variance_loss = torch.relu(1 - deviation).mean()
    flat = centred.flatten(0, -2)  # (n, channel)
    covariance = over_all_processes(flat.T @ flat / len(flat))
    covariance = covariance - torch.diag(covariance.diag())
    return variance_loss + covariance.square().sum() / embeddings.shape[-1]


def sketched_gaussian(embeddings: Embeddings) -> Float[Tensor, ""]:
    """How far random one-dimensional shadows of the embeddings are from a standard normal.

    Source: SIGReg, LeJEPA (arXiv 2511.08544): Epps and Pulley's statistic by the trapezoid rule, on the empirical
    characteristic function. The directions are drawn anew at every call, the same on all processes.
    """
    flat = embeddings.flatten(0, -2)  # (n, channel)
    directions = torch.randn(flat.shape[-1], 256, device=flat.device, dtype=flat.dtype)
    if dist.is_available() and dist.is_initialized():
        dist.broadcast(directions, src=0)
    shadows = flat @ (directions / directions.norm(dim=0))  # (n, projection)
    points = torch.linspace(0, 3.0, 17, device=flat.device)
    angles = shadows.unsqueeze(-1) * points
    real, imaginary = (over_all_processes(part.mean(dim=0)) for part in (angles.cos(), angles.sin()))
    normal = torch.exp(-points.square() / 2)
    distance = ((real - normal).square() + imaginary.square()) * normal
    return 2 * torch.trapezoid(distance, points, dim=-1).mean()


# --- of predictions that say how sure they are ---


def bounded(raw: Tensor) -> Tensor:
    """Any number as the logarithm of a variance."""
    low, high = LOG_VARIANCES
    return low + (high - low) * raw.float().sigmoid()


def gaussian_loss(mean: Embeddings, log_variance: Embeddings, target: Embeddings) -> Float[Tensor, ""]:
    """The negative log-likelihood a number, each by itself, less its bound: never below 0.

    Each number weighs as much as its standard deviation, through which no gradient goes: without weights what is hard
    to predict is called noise at first, counts little from then on, and its mean is never learned. The optimum is the
    same. Source: the beta-NLL of Seitzer et al. (arXiv 2203.09168), beta 1/2.
    """
    error, weight = (mean - target).square(), (log_variance.detach() / 2).exp()
    return 0.5 * (weight * (log_variance - LOG_VARIANCES[0] + error * (-log_variance).exp())).mean()


def correlated_loss(
    mean: Embeddings, log_variance: Embeddings, target: Embeddings, basis: Float[Tensor, "component channel"]
) -> Float[Tensor, ""]:
    """The Gaussian loss of the components in an orthogonal basis, and what fits the basis to what is left of them.

    The second part is the likelihood itself, without the weights of the first: of all rotations it is least for the one
    in which the components are uncorrelated, given their variances.
    """
    with in_full_precision(mean.device.type):
        apart = (mean - target).float()
        turned, left = apart @ basis.detach().T, apart.detach() @ basis.T
    fit = 0.5 * (left.square() * (-log_variance.detach()).exp()).mean()
    return gaussian_loss(turned, log_variance, torch.zeros_like(turned)) + fit


def energy_loss(samples: Float[Tensor, "2 clip t h w embedding"], target: Embeddings) -> Float[Tensor, ""]:
    """The energy score of two samples of each chunk as a whole, an unbiased estimate; distances are root mean squares.

    Of whole chunks, so that all cells of a sample are of one future. Source: Gneiting & Raftery (2007), eq. 22; as a
    loss of networks with latent noise, engression (arXiv 2307.00835).
    """

    def apart(one: Tensor, other: Tensor) -> Tensor:
        return ((one - other).square().mean(dim=(-3, -2, -1)) + 1e-8).sqrt()

    wrong = apart(samples, target[None]).mean(dim=0)
    return (wrong - apart(samples[0], samples[1]) / 2).mean()
