"""Small worlds of discs by hand, and what is conserved in them."""

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.simulation.discs import Trajectories, Worlds

BOX = [[1.0, 0.0, 0.0], [-1.0, 0.0, -10.0], [0.0, 1.0, 0.0], [0.0, -1.0, -10.0]]
FLOOR = [[0.0, -1.0, -10.0]]


def make_worlds(
    position: list[list[float]],
    velocity: list[list[float]],
    radius: list[float],
    gravity: float = 0.0,
    restitution: float = 1.0,
    walls: list[list[float]] | None = None,
) -> Worlds:
    """One clip of these discs, mass their radius squared."""
    radii = torch.tensor([radius], dtype=torch.float64)
    return Worlds(
        position=torch.tensor([position], dtype=torch.float64),
        velocity=torch.tensor([velocity], dtype=torch.float64),
        radius=radii,
        mass=radii**2,
        present=torch.ones_like(radii, dtype=torch.bool),
        color=torch.zeros(1, len(radius), 3, dtype=torch.float64),
        gravity=torch.tensor([gravity], dtype=torch.float64),
        restitution=torch.tensor([restitution], dtype=torch.float64),
        walls=torch.tensor([walls or []], dtype=torch.float64).reshape(1, -1, 3),
        screens=torch.zeros(1, 0, 4, dtype=torch.float64),
        blocks=torch.zeros(1, 0, 4, dtype=torch.float64),
    )


def momentum(worlds: Worlds, motion: Trajectories) -> Float[Tensor, "clip time 2"]:
    return (worlds.mass[:, None, :, None] * motion.velocity).sum(2)


def energy(worlds: Worlds, motion: Trajectories) -> Float[Tensor, "clip time"]:
    """Kinetic and potential; y points down."""
    kinetic = 0.5 * worlds.mass[:, None] * motion.velocity.square().sum(-1)
    return (kinetic - worlds.mass[:, None] * worlds.gravity[:, None, None] * motion.position[..., 1]).sum(-1)
