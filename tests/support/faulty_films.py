"""A model of frames that goes wrong, for tests."""

import torch
from acting import PointFilm


class NoNumber(PointFilm):
    """What actions cost is never a number."""

    def cost(self, context, goal, actions):
        return torch.full(actions.shape[:2], torch.nan)
