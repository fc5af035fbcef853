"""Scenes of more discs than training has: those of a scenario among others, which meet nobody."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vidworld.simulation.discs import dot, simulate
from vidworld.simulation.stage import Candidates, Fits, PerDisc, Sampler, Stage

CROWD = 5  # discs, at most


def apart_at_first(
    position: Float[Tensor, "world object 2"], radius: PerDisc, present: Bool[Tensor, "world object"]
) -> Fits:
    """Whether no two discs overlap. If one of a pair is absent, the second is."""
    first, second = torch.triu_indices(radius.shape[1], radius.shape[1], offset=1, device=radius.device)
    apart = position[:, first] - position[:, second]
    reach = radius[:, first] + radius[:, second]
    return ((dot(apart, apart) > reach * reach) | ~present[:, second]).all(1)


def crowded(sampler: Sampler, other: Sampler) -> Sampler:
    """A sampler of the same scenes with further discs, each drawn by `other`, that touch nothing.

    There are three to five together.
    """

    def crowd(stage: Stage) -> Candidates:
        (few,), valid = sampler(stage)
        own = few.radius.shape[1]
        others = [other(stage) for _ in range(CROWD - own)]
        present = torch.arange(CROWD, device=valid.device) < stage.draws.uniform(3.0, CROWD + 1.0).floor()[:, None]
        parts = [few, *(scenes[0] for scenes, _ in others)]
        of_discs = ("position", "velocity", "radius", "mass")
        all_of_them = {name: torch.cat([vars(part)[name] for part in parts], dim=1) for name in of_discs}
        scenes = replace(few, **all_of_them, present=present, color=stage.colors(CROWD))
        in_view = torch.stack([fits for _, fits in others], dim=1) | ~present[:, own:]
        fits = valid & in_view.all(1) & apart_at_first(scenes.position, scenes.radius, present)
        end_s = torch.full((1,), stage.setting.duration_s, dtype=torch.float64, device=valid.device)
        untouched = simulate(scenes.at(fits), end_s).contact_s[:, own:].isnan().all(1)
        return (scenes,), fits.index_put((fits.nonzero()[:, 0],), untouched)

    return crowd
