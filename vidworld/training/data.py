"""What a run trains on: clips by number, their order, and their cached tokens; a function of configuration and seed."""

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from vidworld.core.clip import ClipSource, Frames, Tokens
from vidworld.core.config import resolved
from vidworld.core.records import fingerprint, prepare_folder, writing
from vidworld.models.schema import DataConfig
from vidworld.models.tokenizers import Tokenizer
from vidworld.simulation import SCENARIOS
from vidworld.simulation.simulated import SimulatedClips
from vidworld.training.finished import data_sources
from vidworld.video import has_clips

SHARD_CLIPS = 512
MADE_CLIPS = 256
"""Clips that are made at a time: a call costs some milliseconds whatever it asks for."""
ENCODED_CLIPS = 16
"""Clips that are encoded at a time on a CPU, so that what lies between two layers stays in its cache."""


class Mixture:
    """Clips of several sources, numbered from 0: which source a number belongs to is drawn once, by the seed."""

    def __init__(self, config: DataConfig) -> None:
        self.sources, shares = _sources(config)
        generator = torch.Generator().manual_seed(config.seed)
        self.source_of = torch.multinomial(torch.tensor(shares), config.clips, replacement=True, generator=generator)
        of_source = torch.nn.functional.one_hot(self.source_of, len(self.sources))
        self.number_in_source = (of_source.cumsum(0) - 1).gather(1, self.source_of[:, None])[:, 0]

    def __len__(self) -> int:
        return len(self.source_of)

    def frames(self, indices: Sequence[int]) -> Frames:
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


def training_source(config: DataConfig, scenario: str) -> SimulatedClips:
    """The clips of a scenario that are trained on."""
    return SimulatedClips(scenario, "train", config.seed, config.clips, shape=config.shape, nuisance=config.nuisance)


def _sources(config: DataConfig) -> tuple[list[ClipSource], list[float]]:
    simulated = weights(config)
    sources: list[ClipSource] = [training_source(config, name) for name in simulated]
    shares = list(simulated.values())
    if config.real is not None and not has_clips(config.real, "train"):
        print(f"{config.real}: has no clips in split 'train'; simulated clips only", flush=True)
    elif config.real is not None:
        from vidworld.video.real import RealClips

        sources.append(RealClips(config.real, "train", config.shape))
        shares = [share / sum(shares) * (1 - config.real_share) for share in shares] + [config.real_share]
    return sources, shares


def training_clips(config: DataConfig) -> str:
    """The fingerprint of the clips that are trained on. Raises UserError: there is no usable data set of real clips."""
    # A list: which clip a number belongs to depends on the order of the scenarios.
    drawn = list(weights(config).items())
    return fingerprint(resolved(config) | {"scenarios": drawn, "real": None} | data_sources(config))


def batch_order(step: int, batch: int, length: int, seed: int) -> list[int]:
    """The numbers of step `step`'s batch: every epoch goes once through all clips, in an order of its own."""
    numbers: list[int] = []
    while len(numbers) < batch:
        epoch, offset = divmod(step * batch + len(numbers), length)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(length, generator=generator)
        numbers += order[offset : offset + batch - len(numbers)].tolist()
    return numbers


class CachedTokens:
    """Tokens of a mixture's clips by number, from shards in bf16 that are mapped and not read."""

    def __init__(self, shards: Sequence[Path]) -> None:
        self.shards = [safe_open(str(path), framework="pt").get_tensor("tokens") for path in shards]

    def __len__(self) -> int:
        return sum(len(shard) for shard in self.shards)

    def tokens(self, numbers: Sequence[int]) -> Tokens:
        size = len(self.shards[0])
        return torch.stack([self.shards[number // size][number % size] for number in numbers]).float()


def cache_tokens(tokenizer: Any, config: DataConfig, folder: Path, accelerator: Accelerator) -> CachedTokens:
    """The tokens of every clip of the configuration; made now where they are missing, shared by the processes.

    Their folder is named by the fingerprints of the tokenizer and of the clips, so that no others are taken for these.
    """
    folder = prepare_folder(folder / fingerprint(tokenizer.fingerprint(), training_clips(config)))
    starts = range(0, config.clips, SHARD_CLIPS)
    paths = [folder / f"{start:09d}.safetensors" for start in starts]
    # Shares of all, not of the missing ones: another run may add some between one process' look and another's.
    shares = list(zip(starts, paths, strict=True))[accelerator.process_index :: accelerator.num_processes]
    mine = [(start, path) for start, path in shares if not _is_whole(path)]
    if mine:
        clips, tokenizer = Mixture(config), tokenizer.to(accelerator.device)
        # Two runs that start together share the work: each in an order of its own, leaving what the other has made.
        random.Random(os.getpid()).shuffle(mine)
        with tqdm(total=len(mine) * SHARD_CLIPS, desc="tokens", unit="clip", disable=None) as bar:
            for start, path in mine:
                if _is_whole(path):
                    bar.update(SHARD_CLIPS)
                    continue
                if path.exists():
                    print(f"{path}: is cut off or no tokens; made again", flush=True)
                numbers = range(start, min(start + SHARD_CLIPS, config.clips))
                _write_shard(path, _encode(tokenizer, clips, numbers, accelerator, bar))
    accelerator.wait_for_everyone()
    return CachedTokens(paths)


def _encode(tokenizer: Tokenizer, clips: Mixture, numbers: range, accelerator: Accelerator, bar: tqdm) -> Tokens:
    pieces: list[Tensor] = []
    at_once = ENCODED_CLIPS if accelerator.device.type == "cpu" else MADE_CLIPS
    for first in range(0, len(numbers), MADE_CLIPS):
        for frames in clips.frames(numbers[first : first + MADE_CLIPS]).split(at_once):
            with accelerator.autocast():
                tokens = tokenizer.encode(frames.to(accelerator.device))
            pieces.append(tokens.to("cpu", torch.bfloat16))
            bar.update(len(frames))
    return torch.cat(pieces)


def _is_whole(path: Path) -> bool:
    """Whether the shard is there, as long as it says that it is."""
    try:
        with safe_open(str(path), framework="pt"):
            return True
    except (OSError, SafetensorError):
        return False


def _write_shard(path: Path, tokens: Tokens) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.part")  # another run may be making the same
    with writing(path):
        save_file({"tokens": tokens.contiguous()}, str(temporary))
        temporary.replace(path)
