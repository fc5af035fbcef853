"""A model of frames that goes wrong, for tests."""

import torch
from acting import PointWorld


class NoNumber(PointWorld):
    """What actions cost is never a number."""

    def cost(self, context, goal, actions):
        return torch.full(actions.shape[:2], torch.nan)
