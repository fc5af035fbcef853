"""What a page may ask, read strictly, and what it is answered: a line of JSON and the pixels behind it."""

import json
import math
import struct
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from vidworld.core.clip import Tracks
from vidworld.play.session import Moment, Panel, Session
from vidworld.simulation.environments.environment import AGENT_SPEED, IMMOVABLE

MOST_BYTES = 512
"""Of a message from a page."""
_Share = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
_Place = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]


class Request(BaseModel):
    """One message from a page. `id` comes back in its answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    do: Literal["step", "back", "new", "anchor", "hide", "world", "save", "replay", "look"]
    id: Annotated[int, Field(ge=0, le=2**31)] = 0
    action: Annotated[list[_Share], Field(max_length=8)] = []
    towards: Annotated[list[_Place], Field(min_length=2, max_length=2)] | None = None
    world: Annotated[str, Field(max_length=64)] = ""
    number: Annotated[int, Field(ge=0, lt=100_000)] | None = None


class Malformed(ValueError):
    """What cannot be read as a request; its text says why."""


def request_of(text: str) -> Request:
    """The request of a message. Raises Malformed."""
    if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise Malformed(f"a message is longer than {MOST_BYTES} bytes")
    try:
        return Request.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Malformed(f"{place}: {first['msg']}" if place else first["msg"]) from None


def answer(session: Session, moment: Moment, request: Request, **more: Any) -> bytes:
    """Length of the JSON (4 bytes, little-endian), the JSON, and of each panel that has frames its RGB bytes."""
    frames = [panel.frames for panel in moment.panels if panel.frames is not None]
    state = moment.seen.state
    head = {
        "id": request.id,
        "did": request.do,
        "world": session.truth.name,
        "number": session.number,
        "chunk": moment.chunk,
        "can": {
            "act": bool(session.cast.action_channels), "drag": session.truth.acts, "hide": session.truth.can_hide,
            "back": len(session.moments) > 1, "anchor": moment.panels[0].frames is not None,
        },
        "solved": session.truth.solved(state),
        "recorded": len(session.steps),
        "size": list(frames[0].shape[1:2]) + list(frames[0].shape[3:]),
        "massive": [] if moment.seen.tracks is None else (moment.seen.tracks.mass[0] >= IMMOVABLE).tolist(),
        "full": 1.0 if moment.seen.tracks is None else round(float(moment.seen.tracks.mass[0, 0]) * AGENT_SPEED, 3),
        "discs": [] if moment.seen.tracks is None else colors_of(moment.seen.tracks),
        "agent": None if state is None else rounded(state.position[0, 0]),
        "panels": [_panel(panel) for panel in moment.panels],
    } | more  # fmt: skip
    line = json.dumps(head, separators=(",", ":")).encode()
    pixels = b"".join(each[0].permute(0, 2, 3, 1).contiguous().cpu().numpy().tobytes() for each in frames)
    return struct.pack("<I", len(line)) + line + pixels


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "name": panel.name,
        "shown": panel.frames is not None,
        "momenta": rounded(panel.momenta),
        "error": rounded(panel.error),
        "parted_s": panel.parted_s,
        "compute_ms": round(panel.compute_s * 1000, 1),
    }


def colors_of(tracks: Tracks) -> list[str]:
    """The colours of one clip's discs, as pages name them."""
    return ["#" + "".join(f"{round(255 * float(part)):02x}" for part in color) for color in tracks.color[0]]


def rounded(numbers: Float[Tensor, "*any"] | None, digits: int = 3) -> Any:
    """Nested lists for JSON, null for what is no number."""
    if numbers is None:
        return None
    return _listed(torch.as_tensor(numbers).double().tolist(), digits)


def _listed(value: Any, digits: int) -> Any:
    if isinstance(value, Sequence):
        return [_listed(each, digits) for each in value]
    return round(value, digits) if math.isfinite(value) else None
