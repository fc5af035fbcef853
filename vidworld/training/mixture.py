"""The clips that a run trains on, in their order: a pure function of the configuration, the step and the seed."""

from collections.abc import Sequence

import torch

from vidworld.core.clip import ClipSource
from vidworld.core.config import resolved
from vidworld.core.fingerprint import fingerprint
from vidworld.core.shapes import Frames
from vidworld.models.schema import DataConfig
from vidworld.simulation import SCENARIOS
from vidworld.simulation.simulated import SimulatedClips
from vidworld.training.finished import data_sources
from vidworld.video.store_record import has_clips


class Mixture:
    """Clips of several sources, numbered from 0: which source a number belongs to is drawn once, by the seed."""

    def __init__(self, config: DataConfig, split: str = "train") -> None:
        sources, shares = _sources(config, split)
        generator = torch.Generator().manual_seed(config.seed)
        self.sources = sources
        self.source_of = torch.multinomial(
            torch.tensor(shares), config.clips, replacement=True, generator=generator
        )
        of_source = torch.nn.functional.one_hot(self.source_of, len(sources))
        self.number_in_source = (of_source.cumsum(0) - 1).gather(1, self.source_of[:, None])[:, 0]

    def __len__(self) -> int:
        return len(self.source_of)

    def frames(self, indices: Sequence[int]) -> Frames:
        """The frames of the clips of these numbers."""
        chosen = torch.as_tensor(indices)
        pieces: list[torch.Tensor] = []
        places: list[torch.Tensor] = []
        for number, source in enumerate(self.sources):
            mine = (self.source_of[chosen] == number).nonzero()[:, 0]
            if len(mine):
                inner = self.number_in_source[chosen[mine]] % len(source)
                pieces.append(source.clips(inner.tolist()).frames)
                places.append(mine)
        return torch.cat(pieces)[torch.cat(places).argsort()]


def weights(config: DataConfig) -> dict[str, float]:
    """The scenarios of a configuration and how often each is drawn, relative to the others."""
    if isinstance(config.scenarios, dict):
        return config.scenarios
    return {name: scenario.weight for name, scenario in SCENARIOS.items() if scenario.weight > 0}


def _sources(config: DataConfig, split: str) -> tuple[list[ClipSource], list[float]]:
    shape, simulated = config.shape, weights(config)
    sources: list[ClipSource] = [
        SimulatedClips(name, split, config.seed, config.clips, shape) for name in simulated
    ]
    shares = list(simulated.values())
    if config.real is not None and not has_clips(config.real, split):
        print(f"{config.real}: has no clips in split {split!r}; simulated clips only", flush=True)
    elif config.real is not None:
        from vidworld.video.real import RealClips

        sources.append(RealClips(config.real, split, shape.num_frames))
        shares = [share / sum(shares) * (1 - config.real_share) for share in shares] + [config.real_share]
    return sources, shares


def training_clips(config: DataConfig) -> str:
    """The fingerprint of the clips that are trained on: it changes when any of them may be another.

    Raises:
        UserError: there is no usable data set of real clips.
    """
    # A list: which clip a number belongs to depends on the order of the scenarios.
    drawn = list(weights(config).items())
    settings = resolved(config) | {"scenarios": drawn, "real": None} | data_sources(config)
    return fingerprint(settings)


def batch_order(step: int, batch: int, length: int, seed: int) -> list[int]:
    """The numbers of step `step`'s batch: every epoch goes once through all clips, in an order of its own."""
    numbers: list[int] = []
    position = step * batch
    while len(numbers) < batch:
        epoch, offset = divmod(position, length)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(length, generator=generator)
        numbers += order[offset : offset + batch - len(numbers)].tolist()
        position = step * batch + len(numbers)
    return numbers
