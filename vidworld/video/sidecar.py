"""What is known of videos beside their pictures: a `clips.jsonl`, one JSON object a video."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vidworld.core.errors import UserError

SIDECAR_NAME = "clips.jsonl"

GRAVITY_DIRECTIONS = {"down": (0.0, 1.0), "up": (0.0, -1.0), "right": (1.0, 0.0), "left": (-1.0, 0.0)}
"""The words for gravity's direction in the picture, as unit vectors with y down."""


class SidecarEntry(BaseModel):
    """What the sidecar says of one video; fields of other names are kept as they are."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, allow_inf_nan=False)

    file: str
    true_fps: Annotated[float, Field(gt=0)] | None = None
    """Frames a second of the scene: frame i happened at i / true_fps. None: when it is shown."""
    event: str | None = None
    event_frames: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] | None = None
    """First and last frame of what happens."""
    gravity: str | None = None  # where things fall: a word of GRAVITY_DIRECTIONS, or words that are kept only
    px_per_m: Annotated[float, Field(gt=0)] | None = None  # pixels of the video a metre


def read_sidecar(path: Path) -> dict[str, SidecarEntry]:
    """A sidecar's entries by the file they speak of; UserError where it cannot be read, or with each line's faults."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise UserError(f"{path}: the sidecar cannot be read ({reason})") from error
    entries: dict[str, SidecarEntry] = {}
    faults: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = SidecarEntry.model_validate_json(line)
        except ValidationError as error:
            for fault in error.errors():
                where = ".".join(map(str, fault["loc"]))
                faults.append(f"{path}:{number}: {where}{': ' if where else ''}{fault['msg']}")
            continue
        if entry.file in entries:
            faults.append(f"{path}:{number}: file: {entry.file} has a line already")
        entries[entry.file] = entry
    if faults:
        raise UserError("\n".join(faults))
    return entries
