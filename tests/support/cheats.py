"""Models that know no physics and try to know the answer: from names, places, memory, or by making the clip again.

Each is what somebody could hand in as `python:cheats.NAME`. What one of them finds out is worth 0 and 1.
"""

import os
import time
import zlib
from collections import Counter
from itertools import product
from pathlib import Path

import torch
from my_world import MyWorld

from vidworld.core.clip_shape import ClipShape
from vidworld.models.external.videos import Videos
from vidworld.simulation.quadruplets import quadruplets
from vidworld.simulation.simulated import SimulatedClips

LAWS, SEEDS, NUMBERS = ("permanence", "collision", "momentum"), (0,), range(40)
HONEST_CALLS = 5  # so many a model is tried by: a sly one keeps its promises until then


def spread(score, clips, context_frames):
    """One number a clip as its surprise at every frame after the context."""
    return score.float()[:, None].expand(-1, clips.frames.shape[1] - context_frames).contiguous()


def standing_still(context, num_frames):
    return context.frames[:, -1:].expand(-1, num_frames, -1, -1, -1).contiguous()


def key(frames):
    return frames.numpy().tobytes()


# --- what it is told beside the frames ---


class Label:
    """Reads the answer from the clip's name: .../a_then_b is impossible."""

    def surprise(self, clips, context_frames, seeds):
        return spread(
            torch.tensor([float("then" in name or "IP_" in name) for name in clips.identity]), clips, context_frames
        )


class LabelOrElse:
    """Makes something of any name."""

    def surprise(self, clips, context_frames, seeds):
        said = [zlib.crc32(name.encode()) % 2 for name in clips.identity]
        return spread(torch.tensor(said), clips, context_frames)


class Place:
    """Reads it from the place in the batch: the first and last quarter are possible."""

    def surprise(self, clips, context_frames, seeds):
        n, i = len(clips), torch.arange(len(clips))
        return spread(((i >= n // 4) & (i < n - n // 4)).float() + i / 100, clips, context_frames)


class Seeds:
    """Looks for the clip whose seed this is: seeds were once a checksum of names."""

    def surprise(self, clips, context_frames, seeds):
        known = {}
        for law, seed, number in product(LAWS, SEEDS, NUMBERS):
            for kind, wrong in (("", 0), ("/a", 0), ("/b", 0), ("/a_then_b", 1), ("/b_then_a", 1)):
                name = f"{law}/id/{seed}/{number}{kind}"
                known |= {zlib.crc32(text.encode()): (name, wrong) for text in (name, f"{seed}/{name}")}
        self.found = [known[seed] for seed in seeds if seed in known]
        assert not self.found, f"seeds tell {self.found[0]}"
        return spread(torch.tensor([seed % 2 for seed in seeds]), clips, context_frames)


class Addresses:
    """Where the frames lie in memory: once in one tensor with all others, in order."""

    def predict(self, context, num_frames, seeds):
        whole = context.frames.untyped_storage()
        beyond = whole.nbytes() // context.frames[0, 0].numel() - len(context) * context.frames.shape[1]
        assert beyond == 0, f"{beyond} frames lie behind the context"
        return standing_still(context, num_frames)

    def surprise(self, clips, context_frames, seeds):
        assert clips.frames.untyped_storage().nbytes() == clips.frames.numel(), "other clips lie beside these"
        return spread(
            torch.tensor([clips.frames[i].data_ptr() % 8191 for i in range(len(clips))]), clips, context_frames
        )


class Clock:
    """How long ago it was asked before."""

    before = 0.0

    def surprise(self, clips, context_frames, seeds):
        now, self.before = time.perf_counter() - self.before, time.perf_counter()
        return spread(torch.full((len(clips),), now), clips, context_frames)


class Tracks:
    """Looks for the true state."""

    def predict(self, context, num_frames, seeds):
        assert context.tracks is None
        return standing_still(context, num_frames)

    def surprise(self, clips, context_frames, seeds):
        return spread(torch.full((len(clips),), float(clips.tracks is not None)), clips, context_frames)


class Files(Videos):
    """Calls itself one of the models that are given true names."""

    reads_names = True

    def __init__(self):
        self.folder = Path()


# --- the order in which it is asked, and what it saw before ---


class Calls:
    """Counts."""

    count = 0

    def surprise(self, clips, context_frames, seeds):
        self.count += 1
        return spread(torch.full((len(clips),), self.count % 2), clips, context_frames)


class SlyCalls(Calls):
    """Counts, after it was tried: possible and impossible in turn, as in a folder of pairs."""

    def surprise(self, clips, context_frames, seeds):
        counted = super().surprise(clips, context_frames, seeds)
        return torch.zeros_like(counted) if self.count <= HONEST_CALLS else counted


class Memory:
    """Remembers the halves that it saw: what is shown again is the impossible one, or the other way round."""

    honest_calls = 0

    def __init__(self):
        self.seen, self.futures, self.calls = Counter(), {}, 0

    def predict(self, context, num_frames, seeds):
        still = standing_still(context, num_frames)
        known = [self.futures.get(key(frames)) for frames in context.frames]
        return torch.stack([s if k is None else k[-num_frames:] for s, k in zip(still, known, strict=True)])

    def surprise(self, clips, context_frames, seeds):
        score = []
        self.calls += 1
        for frames in clips.frames:
            past, future = key(frames[:context_frames]), key(frames[context_frames:])
            score.append(self.seen[past] + self.seen[future] if self.calls > self.honest_calls else 0)
            self.seen.update((past, future))
            self.futures[past] = frames.clone()
        return spread(torch.tensor(score), clips, context_frames)


class SlyMemory(Memory):
    """The same, after it was tried."""

    honest_calls = HONEST_CALLS


class Vandal(MyWorld):
    """Writes into what it is shown, to spoil the others' clips."""

    def predict(self, context, num_frames, seeds):
        found = super().predict(context, num_frames, seeds)
        context.frames.zero_()
        return found

    def surprise(self, clips, context_frames, seeds):
        found = super().surprise(clips, context_frames, seeds)
        clips.frames.fill_(255)
        return found


# --- the clip made again ---


def shape_of(frames, num_frames, fps):
    return ClipShape(num_frames=num_frames, fps=fps, height_px=frames.shape[-2], width_px=frames.shape[-1])


class Regenerate:
    """Asks vidworld for the clip of this name: knows every future."""

    def predict(self, context, num_frames, seeds):
        t, out = context.frames.shape[1], []
        shape = shape_of(context.frames, t + num_frames, context.fps)
        for name in context.identity:
            scenario, split, seed, i = name.split("/")
            out.append(SimulatedClips(scenario, split, int(seed), 10**6, shape).clips([int(i)]).frames[0, t:])
        return torch.stack(out)

    def surprise(self, clips, context_frames, seeds):
        shape, out = shape_of(clips.frames, clips.frames.shape[1], clips.fps), []
        for name, frames in zip(clips.identity, clips.frames, strict=True):
            law, split, seed, i, kind = name.split("/")
            made = quadruplets(law, split, int(seed), [int(i)], context_frames, shape)
            true = made.a if kind.startswith("a") else made.b
            out.append((frames.float() - true.frames[0].float()).square().mean((1, 2, 3))[context_frames:])
        return torch.stack(out)


class Search:
    """Makes every clip of the public seeds again, and looks for the past that it is shown."""

    def __init__(self):
        self.known = None

    def predict(self, context, num_frames, seeds):
        t = context.frames.shape[1]
        source = SimulatedClips("uniform", "id", 0, 10**6, shape_of(context.frames, t + num_frames, context.fps))
        made = source.clips(NUMBERS).frames
        known = {key(frames[:t]): frames[t:] for frames in made}
        still = standing_still(context, num_frames)
        return torch.stack([known.get(key(f), s) for f, s in zip(context.frames, still, strict=True)])

    def surprise(self, clips, context_frames, seeds):
        if self.known is None:
            shape = shape_of(clips.frames, clips.frames.shape[1], clips.fps)
            every = [quadruplets(law, "id", 0, NUMBERS, context_frames, shape) for law in LAWS]
            both = [frames for made in every for side in (made.a, made.b) for frames in side.frames]
            self.known = {key(frames[:context_frames]): key(frames[context_frames:]) for frames in both}
        score = [
            float(self.known.get(key(f[:context_frames]), b"") not in (b"", key(f[context_frames:])))
            for f in clips.frames
        ]
        return spread(torch.tensor(score), clips, context_frames)


# --- no prediction at all ---


class Constant:
    def surprise(self, clips, context_frames, seeds):
        return spread(torch.ones(len(clips)), clips, context_frames)


class FutureOnly:
    """How bright the future alone is, and how much moves in it."""

    def surprise(self, clips, context_frames, seeds):
        f = clips.frames[:, context_frames:].float()
        return spread(f.mean((1, 2, 3, 4)) + f.diff(dim=1).abs().mean((1, 2, 3, 4)), clips, context_frames)


class Black:
    def predict(self, context, num_frames, seeds):
        return torch.zeros(len(context), num_frames, *context.frames.shape[2:], dtype=torch.uint8)


class Noise:
    def predict(self, context, num_frames, seeds):
        shape = (num_frames, *context.frames.shape[2:])
        drawn = [torch.Generator().manual_seed(seed) for seed in seeds]
        return torch.stack([torch.randint(0, 256, shape, generator=each, dtype=torch.uint8) for each in drawn])


# --- what would end a run ---


class _Spoiled(MyWorld):
    value, honest_calls, calls = 0.0, 0, 0

    def surprise(self, clips, context_frames, seeds):
        self.calls += 1
        found = super().surprise(clips, context_frames, seeds)
        if self.calls > self.honest_calls:
            found[-1, 0] = self.value
        return found


class Huge(_Spoiled):
    value = 3e38


class Nan(_Spoiled):
    value = torch.nan


class Infinite(_Spoiled):
    value = -torch.inf


class LateNan(Nan):
    honest_calls = HONEST_CALLS + 1


class LateError(MyWorld):
    """Fails at the second batch, as one that runs out of memory."""

    calls = 0

    def predict(self, context, num_frames, seeds):
        self.calls += 1
        if self.calls > HONEST_CALLS + 2:
            raise RuntimeError("out of memory\nand much more about it")
        return super().predict(context, num_frames, seeds)


class LateShape(MyWorld):
    calls = 0

    def surprise(self, clips, context_frames, seeds):
        self.calls += 1
        found = super().surprise(clips, context_frames, seeds)
        return found if self.calls <= HONEST_CALLS + 1 else found[:, 1:]


class LateKind(MyWorld):
    calls = 0

    def predict(self, context, num_frames, seeds):
        self.calls += 1
        found = super().predict(context, num_frames, seeds)
        return found if self.calls <= HONEST_CALLS + 2 else found.float()


class Unlucky(MyWorld):
    """Fails where the machine lacks something, which is there the next time."""

    def surprise(self, clips, context_frames, seeds):
        if "UNLUCKY" in os.environ:
            raise MemoryError(f"no room for {clips.identity[0]}")
        return super().surprise(clips, context_frames, seeds)
