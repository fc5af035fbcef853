"""What a run trains on: clips by number, their order, and their cached tokens; a function of configuration and seed."""

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from vidworld.core.clip import Actions, ClipSource, Frames, Tokens, packed
from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import resolved
from vidworld.core.errors import UserError
from vidworld.core.records import fingerprint, prepare_folder, writing
from vidworld.models.schema import DataConfig
from vidworld.models.tokenizers import Tokenizer
from vidworld.simulation import SCENARIOS
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.training.finished import data_sources
from vidworld.video import has_clips, real_action_channels

if TYPE_CHECKING:
    from vidworld.core.clip import ActingSource

SHARD_CLIPS = 512
MADE_CLIPS = 256
"""Clips that are made at a time: a call costs some milliseconds whatever it asks for."""
ENCODED_CLIPS = 16
"""Clips that are encoded at a time on a CPU, so that what lies between two layers stays in its cache."""


class Mixture:
    """Clips of several sources, numbered from 0: which source a number belongs to is drawn once, by the seed."""

    def __init__(self, config: DataConfig) -> None:
        (self.sources, shares), self.action_channels = _sources(config), action_channels(config)
        generator = torch.Generator().manual_seed(config.seed)
        self.source_of = torch.multinomial(torch.tensor(shares), config.clips, replacement=True, generator=generator)
        of_source = torch.nn.functional.one_hot(self.source_of, len(self.sources))
        self.number_in_source = (of_source.cumsum(0) - 1).gather(1, self.source_of[:, None])[:, 0]

    def __len__(self) -> int:
        return len(self.source_of)

    def frames(self, indices: Sequence[int]) -> Frames:
        """The clips of these numbers."""
        return self.clips(indices)[0]

    def clips(self, indices: Sequence[int]) -> tuple[Frames, Float[Tensor, "clip time _"]]:
        """The clips of these numbers and what is done in them: nothing (zero) in those of nobody."""
        chosen = torch.as_tensor(indices)
        pieces: list[tuple[Tensor, Tensor]] = []
        places: list[torch.Tensor] = []
        for number, source in enumerate(self.sources):
            mine = (self.source_of[chosen] == number).nonzero()[:, 0]
            if len(mine):
                inner = self.number_in_source[chosen[mine]] % len(source)
                clips = source.clips(inner.tolist())
                nothing = torch.zeros(*clips.frames.shape[:2], self.action_channels)
                pieces.append((clips.frames, nothing if clips.actions is None else clips.actions.float()))
                places.append(mine)
        order = torch.cat(places).argsort()
        frames, actions = (torch.cat(each)[order] for each in zip(*pieces, strict=True))
        return frames, actions


def weights(config: DataConfig) -> dict[str, float]:
    """The scenarios of a configuration and how often each is drawn, relative to the others."""
    if isinstance(config.scenarios, dict):
        return config.scenarios
    return {name: scenario.weight for name, scenario in SCENARIOS.items() if scenario.weight > 0}


def action_channels(config: DataConfig) -> int:
    """Numbers of an action of the clips that are trained on; 0 where nobody acts. Raises UserError: they differ."""
    found = {name: ENVIRONMENTS[name].action_channels for name in weights(config) if name in ENVIRONMENTS}
    if config.real is not None and has_clips(config.real, "train") and (acts := real_action_channels(config.real)):
        found[str(config.real)] = acts
    if len(set(found.values())) > 1:
        counts = ", ".join(f"{name} {count}" for name, count in found.items())
        keys = "data.scenarios and data.real" if str(config.real) in found else "data.scenarios"
        raise UserError(f"{keys}: actions have different numbers of channels ({counts}); train one model each")
    return next(iter(found.values()), 0)


def acting(config: DataConfig, tokenizer: Tokenizer) -> tuple[int, ...]:
    """Numbers of action of a chunk, where somebody acts."""
    per_frame = action_channels(config)
    return (per_frame * tokenizer.patch_size[0],) if per_frame else ()


def check_clips(tokenizer: Tokenizer, shape: ClipShape) -> None:
    """Raise UserError where clips are not whole chunks, or one alone, after which nothing is left to predict."""
    chunks, chunk = tokenizer.grid_of(shape.num_frames, shape.height_px, shape.width_px)[0], tokenizer.patch_size[0]
    if chunks < 2:
        raise UserError(
            f"data.shape.num_frames={shape.num_frames}: is one chunk, after which nothing is left to predict; "
            f"{2 * chunk} or more would do"
        )


def training_source(config: DataConfig, scenario: str) -> ClipSource:
    """The clips of a scenario, or of an environment in which somebody acts, that are trained on.

    Raises UserError: an environment under nuisance.
    """
    if scenario in ENVIRONMENTS:
        return acting_source(config, scenario)
    from vidworld.simulation.simulated import SimulatedClips  # each kind of clips where a configuration has such

    return SimulatedClips(scenario, "train", config.seed, config.clips, shape=config.shape, nuisance=config.nuisance)


def acting_source(config: DataConfig, environment: str) -> "ActingSource":
    """The clips of an environment that are trained on: by a policy, or of episodes that were collected.

    Raises UserError: an environment under nuisance, or episodes of another one.
    """
    if config.nuisance:
        raise UserError(f"data.nuisance: there is none over the environment {environment}; 0 would do")
    if config.episodes is not None:
        from vidworld.simulation.environments.replayed import ReplayedClips

        return ReplayedClips(config.episodes, environment, config.shape)
    from vidworld.simulation.environments.clips import EnvironmentClips

    policy = config.policies.get(environment, "random")
    return EnvironmentClips(environment, "train", config.seed, config.clips, config.shape, policy)


def _sources(config: DataConfig) -> tuple[list[ClipSource], list[float]]:
    simulated = weights(config)
    sources: list[ClipSource] = [training_source(config, name) for name in simulated]
    shares = list(simulated.values())
    if config.real is not None and not has_clips(config.real, "train"):
        print(f"{config.real}: has no clips in split 'train'; simulated clips only", flush=True)
    elif config.real is not None:
        from vidworld.video.real import Mirrored, RealClips

        real = RealClips(config.real, "train", config.shape)
        sources.append(Mirrored(real) if config.real_mirrored else real)
        shares = [share / sum(shares) * (1 - config.real_share) for share in shares] + [config.real_share]
    if not sources:
        raise UserError(f"data: {config.real} has nothing to learn from; data.scenarios={{bounce: 1}} would do")
    return sources, shares


def training_clips(config: DataConfig) -> str:
    """The fingerprint of the clips that are trained on. Raises UserError: there is no usable data set of real clips."""
    # A list: which clip a number belongs to depends on the order of the scenarios.
    drawn = list(weights(config).items())
    sources = {name: found for name, found in data_sources(config).items() if found or name != "episodes"}
    return fingerprint(resolved(config) | {"scenarios": drawn, "real": None} | sources)


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
    """Tokens of a mixture's clips by number, from shards in bf16 that are mapped and not read; and what is done."""

    def __init__(self, shards: Sequence[Path], acts: bool = False) -> None:
        self.acts = acts
        files = [safe_open(str(path), framework="pt") for path in shards]
        self.shards = {name: [each.get_tensor(name) for each in files] for name in ("tokens", *["actions"] * acts)}

    def __len__(self) -> int:
        return sum(len(shard) for shard in self.shards["tokens"])

    def tokens(self, numbers: Sequence[int]) -> Tokens:
        return self._of("tokens", numbers)

    def actions(self, numbers: Sequence[int]) -> Actions:
        """Of each chunk; there are none where nobody acts."""
        return self._of("actions", numbers)

    def _of(self, name: str, numbers: Sequence[int]) -> Tensor:
        shards, size = self.shards[name], len(self.shards[name][0])
        return torch.stack([shards[number // size][number % size] for number in numbers]).float()


def cache_tokens(tokenizer: Any, config: DataConfig, folder: Path, accelerator: Accelerator) -> CachedTokens:
    """The tokens of every clip of the configuration; made now where they are missing, shared by the processes.

    Their folder is named by the fingerprints of the tokenizer and of the clips, and by what is less than float32, so
    that no others are taken for these.
    """
    made_in = [] if accelerator.mixed_precision == "no" else [accelerator.mixed_precision]
    folder = prepare_folder(folder / fingerprint(tokenizer.fingerprint(), training_clips(config), *made_in))
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
    return CachedTokens(paths, action_channels(config) > 0)


def _encode(
    tokenizer: Tokenizer, clips: Mixture, numbers: range, accelerator: Accelerator, bar: tqdm
) -> dict[str, Tensor]:
    """Tokens in bf16, and actions where there are any."""
    pieces: list[Tensor] = []
    done: list[Tensor] = []
    at_once = ENCODED_CLIPS if accelerator.device.type == "cpu" else MADE_CLIPS
    for first in range(0, len(numbers), MADE_CLIPS):
        made, actions = clips.clips(numbers[first : first + MADE_CLIPS])
        done.append(packed(actions, made.shape[1] // tokenizer.patch_size[0]))
        for frames in made.split(at_once):
            with accelerator.autocast():
                tokens = tokenizer.encode(frames.to(accelerator.device))
            pieces.append(tokens.to("cpu", torch.bfloat16))
            bar.update(len(frames))
    found = {"tokens": torch.cat(pieces)}
    return found | ({"actions": torch.cat(done)} if clips.action_channels else {})


def _is_whole(path: Path) -> bool:
    """Whether the shard is there, as long as it says that it is."""
    try:
        with safe_open(str(path), framework="pt"):
            return True
    except (OSError, SafetensorError):
        return False


def _write_shard(path: Path, tensors: dict[str, Tensor]) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.part")  # another run may be making the same
    with writing(path):
        save_file({name: each.contiguous() for name, each in tensors.items()}, str(temporary))
        temporary.replace(path)
