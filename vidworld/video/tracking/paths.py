"""Components of successive frames linked to paths, by the cheapest assignment."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

from vidworld.video.tracking.blobs import Blob

MAX_GAP = 5  # frames for which an object may be lost before what is found next counts as another
FIRST_STEP = 0.2  # of the diagonal: how far an object may go from the first frame in which it is seen to the second
FARTHEST = 4.0  # of half an object's size and its uncertain motion: how far from where it is expected it may be
OTHER_COLOR = 60.0  # levels of colour that tell as much as one of those distances, or as a mass e times as large
MAX_CHANGE = 1.4  # of the logarithm of an object's mass from frame to frame
NO_LINK = 4.0  # a link that costs as much is none: what touches another takes its component only where it fits better
JOINED = 2.0  # the same of a path that ended and one that began later: the size of the thing, a mass e times as large
SPLIT_ROUNDS = 10
LONGEST_AWAY = 20  # frames out of the picture, or hidden, after which what appears there counts as another


@dataclass
class Followed:
    """A component followed from frame to frame."""

    blobs: dict[int, Blob]  # by frame, in order

    @property
    def frames(self) -> list[int]:
        return list(self.blobs)

    @property
    def positions(self) -> Float[ndarray, "frame 2"]:
        return np.array([blob.position for blob in self.blobs.values()])

    @property
    def last(self) -> int:
        return next(reversed(self.blobs))

    def recent(self, what: str) -> float:
        """The median area or mass of the last few frames."""
        return float(np.median([getattr(blob, what) for blob in list(self.blobs.values())[-MAX_GAP:]]))

    @property
    def size(self) -> float:
        """Square root of its area."""
        return float(np.sqrt(np.median([blob.area for blob in self.blobs.values()])))

    @property
    def usual(self) -> tuple[float, Float[ndarray, " 3"]]:
        """Its mass and its colour, the medians."""
        blobs = list(self.blobs.values())
        return float(np.median([blob.mass for blob in blobs])), np.median([b.color for b in blobs], axis=0)

    def velocity(self) -> Float[ndarray, " 2"]:
        """Pixels a frame over the last steps; nothing is known from a single frame."""
        recent = list(self.blobs.items())[-3:]
        (first, start), (last, end) = recent[0], recent[-1]
        moved: ndarray = (end.position - start.position) / max(last - first, 1)
        return moved

    def expected(self, frame: int) -> Float[ndarray, " 2"]:
        """Where it would be at its last velocity."""
        place: ndarray = self.blobs[self.last].position + self.velocity() * (frame - self.last)
        return place

    def cost(self, blob: Blob, frame: int, diagonal: float) -> float:
        """How unlike it a component is in place, mass and colour; `NO_LINK` where it cannot be the same thing."""
        waited, speed = frame - self.last, float(np.linalg.norm(self.velocity()))
        scale = 0.5 * float(np.sqrt(self.recent("area"))) + waited * (1.0 + 0.25 * speed)
        if len(self.blobs) == 1:
            scale = FIRST_STEP * diagonal / FARTHEST
        distance = float(np.linalg.norm(blob.position - self.expected(frame))) / scale
        change = abs(float(np.log(blob.mass / self.recent("mass"))))
        recolored = float(np.linalg.norm(blob.color - self.blobs[self.last].color)) / OTHER_COLOR
        if distance > FARTHEST or change > MAX_CHANGE:
            return NO_LINK
        return min(distance + change + recolored, NO_LINK)

    def unlike(self, later: "Followed") -> float:
        """How unlike it a path is that begins after its end; `NO_LINK` where it cannot be the same thing."""
        if len(self.blobs) <= MAX_GAP or not self.last < later.frames[0] <= self.last + LONGEST_AWAY:
            return NO_LINK
        (mass, color), (other_mass, other_color) = self.usual, later.usual
        waited, speed = later.frames[0] - self.last, float(np.linalg.norm(self.velocity()))
        scale = self.size + 0.25 * speed * waited
        distance = float(np.linalg.norm(later.positions[0] - self.positions[-1])) / scale
        change = abs(float(np.log(other_mass / mass)))
        return distance + change + float(np.linalg.norm(other_color - color)) / OTHER_COLOR

    def worth(self, frames: int) -> float:
        """How likely it is what a video shows: it is seen for long, goes far for its size, and stands out."""
        travelled = float(np.linalg.norm(np.ptp(self.positions, axis=0))) / self.size
        outstanding = np.median([blob.mass for blob in self.blobs.values()]) / self.size
        return float(len(self.blobs) / frames * np.log1p(travelled) * np.sqrt(outstanding))


def link(found: Sequence[list[Blob]], diagonal: float) -> list[Followed]:
    """The components of successive frames as paths, by the cheapest assignment frame by frame."""
    paths: list[Followed] = []
    for frame, seen in enumerate(found):
        live = [path for path in paths if frame - path.last <= MAX_GAP + 1]
        seen = _split(seen, live, frame)
        cost = np.array([[path.cost(blob, frame, diagonal) for blob in seen] for path in live])
        cost = cost.reshape(len(live), len(seen))
        links = {j: i for i, j in zip(*linear_sum_assignment(cost), strict=True) if cost[i, j] < NO_LINK}
        for j, i in links.items():
            live[i].blobs[frame] = seen[j]
        paths += [Followed({frame: blob}) for j, blob in enumerate(seen) if j not in links]
    return _joined(paths)


def _joined(paths: Sequence[Followed]) -> list[Followed]:
    """The paths; what left the picture and comes back where it left it, as large and of its colour, has one."""
    whole: list[Followed] = []
    for path in paths:
        # What is seen for a moment only is not looked for among those that left: in a noisy video most are such.
        unlike = [other.unlike(path) for other in whole] if len(path.blobs) > MAX_GAP else []
        if unlike and min(unlike) < JOINED:
            whole[int(np.argmin(unlike))].blobs |= path.blobs
        else:
            whole.append(path)
    return whole


def _split(seen: list[Blob], live: Sequence[Followed], frame: int) -> list[Blob]:
    """The components; one in which several followed things are expected and find room falls into as many."""
    apart = []
    for blob in seen:
        low, high = blob.pixels.min(axis=0) - 1, blob.pixels.max(axis=0) + 1
        known = [(path, path.expected(frame)) for path in live if len(path.blobs) > MAX_GAP]
        inside = [path for path, place in known if (place >= low).all() and (place <= high).all()]
        heavy = max((path.recent("mass") for path in inside), default=0.0)
        inside = [path for path in inside if path.recent("mass") >= 0.5 * heavy]  # a shadow is swallowed whole
        if len(inside) < 2 or blob.mass < 0.7 * sum(path.recent("mass") for path in inside):
            apart.append(blob)
            continue
        centres = np.array([path.expected(frame) for path in inside])
        for _ in range(SPLIT_ROUNDS):
            nearest = np.linalg.norm(blob.pixels[:, None] - centres, axis=-1).argmin(axis=1)
            if len(set(nearest.tolist())) < len(centres):
                break
            centres = np.array([blob.pixels[nearest == k].mean(axis=0) for k in range(len(centres))])
        for k in set(nearest.tolist()):
            own = blob.pixels[nearest == k]
            apart.append(Blob(own.mean(axis=0), blob.color, own, blob.levels[nearest == k]))
    return apart
