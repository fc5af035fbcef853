"""A model whose state holds where discs are and how they move as a linear code, and whose future follows from that."""

import torch
from accelerate import Accelerator
from torch import nn

from vidworld.core.clip_shape import ClipShape
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.presentation import names_of
from vidworld.models.layers import Block, KVCache
from vidworld.models.probe import Probe
from vidworld.models.tokenizers import Tokenizer
from vidworld.models.world_model import Rollout
from vidworld.simulation.simulated import SimulatedClips
from vidworld.simulation.stage import PALETTE
from vidworld.simulation.tracker import palette_index

SHAPE = ClipShape(height_px=32, width_px=32)
CHUNK, SIDE, DT_S = 4, 16, 0.1
CELL = 10 / SIDE
COLORS = len(PALETTE)
CHANNELS = COLORS + 4  # whether a disc of the colour is here, its place from the cell's middle, its velocity


class PlantedTokenizer(Tokenizer):
    """Tokens that are the truth: of clips that it was told, by their first frame."""

    patch_size, channels = (CHUNK, 2, 2), CHANNELS

    def __init__(self):
        self.told = {}

    def tell(self, frames, tracks):
        for i, name in enumerate(names_of(frames[:, :1])):
            self.told[name] = tracks.at(slice(i, i + 1))

    def encode(self, frames):
        chunks = frames.shape[1] // CHUNK
        tokens = torch.zeros(len(frames), chunks, SIDE, SIDE, CHANNELS)
        for i, name in enumerate(names_of(frames[:, :1])):
            tracks = self.told[name]
            for chunk in range(chunks):
                frame = chunk * CHUNK + CHUNK - 1
                for disc in tracks.present[0, frame].nonzero()[:, 0].tolist():
                    place, velocity = (x[0, frame, disc].float() for x in (tracks.position, tracks.velocity))
                    column, row = (place / CELL).floor().long().clamp(0, SIDE - 1).tolist()
                    here = tokens[i, chunk, row, column]
                    here[palette_index(tracks.color[0, disc : disc + 1])] = 1
                    here[COLORS : COLORS + 2] = place - (torch.tensor([column, row]) + 0.5) * CELL
                    here[COLORS + 2 :] = velocity
        return tokens


class Same(Block):
    """A block that adds nothing."""

    def forward(self, x, rotary=None, modulation=None, memory=None):
        return x, KVCache(x[:, :1].flatten(1, 2)[:, None], x[:, :1].flatten(1, 2)[:, None])


class PlantedNetwork(nn.Module):
    embed_action = None

    def __init__(self, width=24):
        super().__init__()
        self.blocks = nn.ModuleList(Same(width, 2, "native") for _ in range(2))
        self.code = torch.randn(CHANNELS, width, generator=torch.Generator().manual_seed(0))

    def context_embeddings(self, tokens):
        return tokens

    def predict(self, tokens, actions=None):
        x = tokens.flatten(2, 3) @ self.code
        for block in self.blocks:
            x, _ = block(x, None, None, None)
        return (x @ torch.linalg.pinv(self.code)).view(tokens.shape), None


class PlantedModel(Probe):
    """Discs go on as its state says; its embeddings are the places of each colour in every frame, NaN for none.

    It is its own probe.
    """

    name = "planted"

    def __init__(self):
        super().__init__(embedding_channels=1, width=64, depth=0)
        self.network = PlantedNetwork()

    def rollout(self, context, horizon, samples, seeds, actions=None):
        state = self.network.predict(context.tokens)[0][:, -1].flatten(1, 2)  # (clip, cell, channel)
        cell = state[..., :COLORS].argmax(dim=1)  # (clip, color)
        here = state[torch.arange(len(state))[:, None], cell]
        middle = (torch.stack((cell % SIDE, cell // SIDE), dim=-1) + 0.5) * CELL
        place, velocity = middle + here[..., COLORS : COLORS + 2], here[..., COLORS + 2 :]
        time = DT_S * torch.arange(1, CHUNK * horizon + 1)[:, None, None]
        future = place[:, None] + time * velocity[:, None]  # (clip, time, color, 2)
        there = state[..., :COLORS].amax(dim=1) > 0.5
        future = torch.where(there[:, None, :, None], future, torch.nan)
        told = future.unflatten(1, (horizon, CHUNK)).flatten(2)[:, None, :, None, None]
        return Rollout(told, told)

    def locate(self, embeddings, color):
        places = embeddings.flatten(2).unflatten(2, (CHUNK, COLORS, 2)).flatten(1, 2)
        index = palette_index(color)[:, None, :, None].expand(-1, places.shape[1], -1, 2)
        return places.gather(2, index)


def planted():
    """The model, and what it is looked into with."""
    model, tokenizer = PlantedModel(), PlantedTokenizer()
    return model, Evaluator(tokenizer, {"": model}, Accelerator(cpu=True, mixed_precision="no"), 8, 0)


def told(evaluator, parts):
    """The same samples, of which the tokenizer knows the truth."""
    for samples in parts.values():
        first = 0
        for tracks in samples.tracks:
            count = len(tracks.radius)
            evaluator.tokenizer.tell(samples.clips.frames[first : first + count], tracks)
            first += count
    return parts


def several(evaluator, first, count):
    """Clips of several discs."""
    clips = SimulatedClips("billiards", "id", shape=SHAPE).clips(range(first, first + count))
    evaluator.tokenizer.tell(clips.frames, clips.tracks)
    return evaluator.encode(clips)
