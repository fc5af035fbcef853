"""Models that break one promise each."""

import os
import sys

import torch
from my_world import MyWorld


class Nothing:
    pass


class Floats(MyWorld):
    def predict(self, context, num_frames, seeds):
        return super().predict(context, num_frames, seeds).float()


class TooFew(MyWorld):
    def predict(self, context, num_frames, seeds):
        return super().predict(context, num_frames, seeds)[:, 1:]


class Dice(MyWorld):
    def predict(self, context, num_frames, seeds):
        return torch.randint(0, 255, (len(context), num_frames, *context.frames.shape[2:]), dtype=torch.uint8)


class Remembers(MyWorld):
    """Keeps what surprise was shown, and predicts it."""

    def __init__(self):
        self.shown = {}

    def predict(self, context, num_frames, seeds):
        known = [self.shown.get(name) for name in context.identity]
        usual = super().predict(context, num_frames, seeds)
        return torch.stack([u if k is None else k[-num_frames:] for k, u in zip(known, usual, strict=True)])

    def surprise(self, clips, context_frames, seeds):
        self.shown |= dict(zip(clips.identity, clips.frames, strict=True))
        return super().surprise(clips, context_frames, seeds)


class Averages(MyWorld):
    def predict(self, context, num_frames, seeds):
        mean = context.frames[:, -1:].float().mean(dim=0, keepdim=True)
        return mean.expand(len(context), num_frames, -1, -1, -1).to(torch.uint8)

    def surprise(self, clips, context_frames, seeds):
        surprise = super().surprise(clips, context_frames, seeds)
        return surprise - surprise.mean()


class NotANumber(MyWorld):
    def surprise(self, clips, context_frames, seeds):
        return super().surprise(clips, context_frames, seeds) * torch.nan


class OtherArguments:
    def predict(self, context):
        return context.frames


class PerClip(MyWorld):
    def surprise(self, clips, context_frames, seeds):
        return super().surprise(clips, context_frames, seeds).mean(dim=1)


class Numbers(MyWorld):
    def surprise(self, clips, context_frames, seeds):
        return super().surprise(clips, context_frames, seeds).tolist()


class Indifferent(MyWorld):
    def surprise(self, clips, context_frames, seeds):
        return torch.ones(len(clips), clips.frames.shape[1] - context_frames)


class Unshared(MyWorld):
    def surprise(self, clips, context_frames, seeds):
        noise = torch.rand(len(clips), 1, generator=torch.Generator().manual_seed(seeds[0]))
        return super().surprise(clips, context_frames, seeds) + noise


class ByName(MyWorld):
    def surprise(self, clips, context_frames, seeds):
        return super().surprise(clips, context_frames, seeds) + torch.tensor([[len(name)] for name in clips.identity])


class Breaks(MyWorld):
    def predict(self, context, num_frames, seeds):
        raise RuntimeError("out of luck")


class NeedsArguments(MyWorld):
    def __init__(self, path):
        self.path = path


class Leaves(MyWorld):
    def surprise(self, clips, context_frames, seeds):
        sys.exit()


class LeavesAtOnce(MyWorld):
    def __init__(self):
        sys.exit(0)


class NoSamples(MyWorld):
    samples = 0


class Addressed(MyWorld):
    def fingerprint(self):
        return str(object())


class Unnamed(MyWorld):
    def fingerprint(self):
        raise OSError("no weights")


class Property(MyWorld):
    @property
    def predict(self):
        raise KeyError("weights")


class Intrudes(MyWorld):
    """Honest numbers, but it leaves torch and the process another than it found them."""

    device = "meta"

    def surprise(self, clips, context_frames, seeds):
        found = super().surprise(clips, context_frames, seeds)
        torch.set_default_dtype(torch.float64)
        torch.set_default_device(self.device)
        torch.set_float32_matmul_precision("medium")
        os.chdir("/")
        with torch.enable_grad():
            return found.clone().requires_grad_()
