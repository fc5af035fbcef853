"""A dictionary of states, learned without any answer, and how far single features of it go with concepts.

Beside it are the same states written in neurons and in principal components, whose features are judged the same way.
"""

import io
import os
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.stats import rankdata
from torch import Tensor
from tqdm import tqdm

from vidworld.core.errors import UserError
from vidworld.inside.concepts import Samples
from vidworld.inside.features import SIDE, windows
from vidworld.models.states import Grid, cells_of

States = Float[Tensor, "*cell channel"]
"""States of cells, whose mean over all that a dictionary is fitted to is 0 and whose mean square is 1."""
Codes = Float[Tensor, "*cell feature"]
DICTIONARY = "dictionary"
_BATCH = 512
_SILENT = 100
"""Batches without being active after which a feature is given what the others missed to learn."""
_MISSED = 1 / 32
"""How much learning that weighs (Source: Gao et al. 2024, the coefficient of AuxK)."""


class Code(NamedTuple):
    """A way to write states."""

    name: str
    encode: Callable[[States], Codes]
    decode: Callable[[Codes], States]


def sparse_coders() -> Any:
    """The library of sparse autoencoders. Raises UserError: it is not installed."""
    os.environ.setdefault(
        "SPARSIFY_DISABLE_TRITON", "1"
    )  # its kernel takes none of the states here, which are on a CPU
    try:
        with redirect_stdout(io.StringIO()):  # it says whether there is Triton
            import sparsify

            return sparsify.SparseCoder, sparsify.SparseCoderConfig
    except (ModuleNotFoundError, AttributeError) as error:  # another package has the same name
        raise UserError(
            "a dictionary takes eai-sparsify, which is not installed: pip install 'vidworld[dictionary]'"
        ) from error


def learned(states: Float[Tensor, "cell channel"], features: int, active: int, steps: int, name: str = "") -> Code:
    """A sparse autoencoder of so many features, of which at most `active` are above 0 in a state, and none below.

    Source: Gao et al. 2024 (TopK). Raises UserError: its library is not installed.
    """
    coder, settings = sparse_coders()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = coder(states.shape[1], settings(num_latents=features, k=active))
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    decay = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, 3 * (1 - step / steps)))
    drawn, silent = torch.Generator().manual_seed(0), torch.zeros(features)
    for _ in tqdm(range(steps), f"{name}, dictionary", unit="step", disable=None, leave=False):
        given = states[torch.randint(len(states), (_BATCH,), generator=drawn)]
        out = network(given, dead_mask=silent > _SILENT)
        optimiser.zero_grad()
        (out.fvu + _MISSED * out.auxk_loss).backward()
        network.remove_gradient_parallel_to_decoder_directions()
        optimiser.step()
        decay.step()
        network.set_decoder_norm_to_unit_norm()
        silent += 1
        silent[out.latent_indices[out.latent_acts > 0]] = 0

    @torch.no_grad()
    def encode(x: States) -> Codes:
        most, which, _ = network.encode(x.flatten(0, -2))
        return torch.zeros(len(most), features).scatter(1, which, most).view(*x.shape[:-1], features)

    @torch.no_grad()
    def decode(codes: Codes) -> States:
        made: States = codes @ network.W_dec + network.b_dec
        return made

    return Code(DICTIONARY, encode, decode)


def principal_components(states: Float[Tensor, "cell channel"], active: int) -> Code:
    """All of them, the largest first, of which so many make up a state again."""
    vectors = torch.linalg.eigh((states.T @ states).double()).eigenvectors.flip(1).float()
    return Code("principal components", lambda x: x @ vectors, lambda c: c[..., :active] @ vectors[:, :active].T)


def codes_of(states: Float[Tensor, "cell channel"], features: int, active: int, steps: int, name: str) -> list[Code]:
    """A dictionary, and what it is compared with: neurons (the channels as they are) and principal components."""
    neurons = Code("neurons", lambda x: x, lambda codes: codes)
    return [learned(states, features, active, steps, name), neurons, principal_components(states, active)]


def about(codes: Grid, samples: Samples) -> Float[Tensor, "sample feature"]:
    """How active each feature is on average in the window about each sample, or in the whole picture."""
    if samples.place is None:
        return codes.mean(dim=(1, 2))[samples.clip]
    height, width = samples.clips.frames.shape[-2:]
    cell = cells_of(samples.place, (codes.shape[1], codes.shape[2]), height / width)
    near: Tensor = windows(codes, samples.clip, cell).unflatten(1, (SIDE * SIDE, -1)).mean(dim=1)
    return near


def along(codes: Float[Tensor, "sample feature"], answers: Float[Tensor, "sample _"]) -> Float[Tensor, "_ feature"]:
    """In which direction of the answers each feature grows, by least squares; of length 1."""
    answer, code = (each - each.mean(dim=0) for each in (answers, codes))
    direction: Tensor = torch.linalg.pinv(answer) @ code
    return F.normalize(direction, dim=0)


class Agreement(NamedTuple):
    """What samples add to two sums, whose ratio says how far each feature goes with an answer."""

    above: Float[Tensor, "sample feature"]
    below: Float[Tensor, "sample feature"]


def agreement(
    codes: Float[Tensor, "sample feature"], answers: Float[Tensor, "sample _"],
    direction: Float[Tensor, "_ feature"], binary: bool,
) -> Agreement:  # fmt: skip
    """Each feature's rank correlation with the answers along its direction.

    binary: its area under the ROC curve; answers are -1 and 1 and equally frequent.
    """
    ranks, along_it = _ranks(codes), answers @ direction
    if binary:
        placed = torch.empty_like(ranks)  # the share of the other half that lies below
        for half in (answers[:, 0] > 0, answers[:, 0] <= 0):
            placed[half] = (ranks[half] - _ranks(codes[half])) / (~half).sum()
        return Agreement(0.5 + along_it * (placed - 0.5), torch.ones_like(ranks))
    first, other = (x - x.mean(dim=0) for x in (ranks, _ranks(along_it)))
    first, other = (x / x.square().mean(dim=0).sqrt().clamp_min(1e-9) for x in (first, other))
    return Agreement(first * other, (first.square() + other.square()) / 2)


def _ranks(values: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
    """Of each column; those of ties are their mean."""
    return torch.from_numpy(rankdata(values.numpy(), axis=0)).float()
