"""Tokens of the training clips, made once and read by memory map: what both worlds are trained on."""

import os
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from vidworld.core.fingerprint import fingerprint
from vidworld.core.records import prepare_folder, writing
from vidworld.core.shapes import Tokens
from vidworld.models.schema import DataConfig
from vidworld.models.tokenizers.autoencoder import Autoencoder
from vidworld.models.tokenizers.pretrained import PretrainedAutoencoder
from vidworld.training.mixture import Mixture, training_clips

SHARD_CLIPS = 512
MADE_CLIPS = 256
"""Clips that are made at a time: a call costs some milliseconds whatever it asks for."""
ENCODED_CLIPS = 16
"""Clips that are encoded at a time on a CPU, so that what lies between two layers stays in its cache."""


class CachedTokens:
    """Tokens of a mixture's clips by number, from shards in bf16 that are mapped and not read."""

    def __init__(self, shards: Sequence[Path]) -> None:
        self.shards = [safe_open(str(path), framework="pt").get_tensor("tokens") for path in shards]

    def __len__(self) -> int:
        return sum(len(shard) for shard in self.shards)

    def tokens(self, numbers: Sequence[int]) -> Tokens:
        """The tokens of the clips of these numbers."""
        size = len(self.shards[0])
        return torch.stack([self.shards[number // size][number % size] for number in numbers]).float()


def cache_tokens(
    tokenizer: Autoencoder | PretrainedAutoencoder, config: DataConfig, folder: Path, accelerator: Accelerator
) -> CachedTokens:
    """The tokens of every clip of the configuration; made now where they are missing, shared by the processes.

    The folder of the shards is named by the fingerprints of the tokenizer and of the clips, so that no tokens of others
    are taken for these.
    """
    folder = prepare_folder(folder / fingerprint(tokenizer.fingerprint(), training_clips(config)))
    starts = range(0, config.clips, SHARD_CLIPS)
    paths = [folder / f"{start:09d}.safetensors" for start in starts]
    # Shares of all, not of the missing ones: another run may add some between one process' look and another's.
    shares = list(zip(starts, paths, strict=True))[accelerator.process_index :: accelerator.num_processes]
    mine = [(start, path) for start, path in shares if not _is_whole(path)]
    if mine:
        clips = Mixture(config)
        tokenizer = tokenizer.to(accelerator.device)
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


def _encode(
    tokenizer: Autoencoder | PretrainedAutoencoder,
    clips: Mixture,
    numbers: range,
    accelerator: Accelerator,
    bar: tqdm,
) -> Tokens:
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
