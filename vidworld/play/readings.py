"""What is read off a panel while somebody plays: where discs are, their momentum, and when it parts from the truth."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Frames, Tokens, Tracks
from vidworld.simulation.environments.environment import IMMOVABLE
from vidworld.simulation.tracker import locate_discs

PARTED = 1.0
"""Units (a tenth of the picture's width): a disc that is farther from its true place is not where it should be."""
PARTED_FRAMES = 3
"""In so many frames in a row: one alone may be the tracker's fault."""
SHOWS = 0.75
"""Share of a disc's area that must show for it to be looked for."""
DiscPlaces = Float[Tensor, "time object 2"]


def places_in(panels: Frames, tracks: Tracks) -> Float[Tensor, "panel time object 2"]:
    """Where one clip's discs are in pictures of it, in world units; NaN where none is found."""
    color, radius = (each.expand(len(panels), *each.shape[1:]) for each in (tracks.color, tracks.radius))
    return locate_discs(panels, color, radius).double()


def momenta(before: Float[Tensor, "object 2"] | None, places: DiscPlaces, tracks: Tracks, dt_s: float) -> DiscPlaces:
    """Momentum of each disc at each frame, from its step since the frame before (mass units x units/s).

    NaN where it was not found in both, and of what gives way to nothing.
    """
    first = torch.full_like(places[:1], torch.nan) if before is None else before[None]
    velocity = torch.cat((first, places)).diff(dim=0) / dt_s
    mass = tracks.mass[0].masked_fill(tracks.mass[0] >= IMMOVABLE, torch.nan)
    return velocity * mass[None, :, None]


def error_by_token(predicted: Tokens, true: Tokens) -> Float[Tensor, "h w"]:
    """Squared distance of one predicted chunk from the true one at each cell, where a token's own variance is 1."""
    return (predicted.float() - true.float()).square().mean(dim=-1)[0, 0].cpu()


@dataclass
class Parting:
    """Since when a panel does not show what is true: a disc that shows is elsewhere, or not to be found."""

    frames: int = 0
    """Looked at so far."""
    parted: int | None = None
    """The first frame of those in a row that settled it."""
    _row: int = field(default=0, repr=False)

    def look(self, places: DiscPlaces, tracks: Tracks) -> None:
        """Take a chunk's places beside the true ones."""
        apart = (places - tracks.position[0]).norm(dim=-1).nan_to_num(torch.inf)
        looked_for = tracks.present[0] & (tracks.visible[0] >= SHOWS)
        for wrong in ((apart > PARTED) & looked_for).any(dim=1).tolist():
            self._row = self._row + 1 if wrong else 0
            self.frames += 1
            if self._row >= PARTED_FRAMES and self.parted is None:
                self.parted = self.frames - PARTED_FRAMES
