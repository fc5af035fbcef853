"""What is known of videos beside their pictures: a `clips.jsonl`, one JSON object a video; how it is read and begun."""

import argparse
import json
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from vidworld.core.command import Command
from vidworld.core.errors import UserError
from vidworld.video import SIDECAR_NAME, plain_name
from vidworld.video.events import event_of, events_help, nearest
from vidworld.video.folder import sources_of

GRAVITY_DIRECTIONS = {"down": (0.0, 1.0), "up": (0.0, -1.0), "right": (1.0, 0.0), "left": (-1.0, 0.0)}
"""The words for gravity's direction in the picture, as unit vectors with y down."""
MISSPELT = 0.72  # a key that is spelt so much like one of ours is taken for a slip
OTHER_KEYS = {
    **dict.fromkeys(("fps", "frame_rate", "framerate", "rate"), "true_fps"),
    **dict.fromkeys(("scale", "pixels_per_metre", "pixels_per_meter"), "px_per_m"),
    **dict.fromkeys(("law", "motion"), "event"),
    **dict.fromkeys(("contacts", "impacts"), "contact_frames"),
    **dict.fromkeys(("frames", "range"), "event_frames"),
    **dict.fromkeys(("filename", "video", "path"), "file"),
    **dict.fromkeys(("weight", "weights"), "mass"),
    **dict.fromkeys(("g",), "gravity"),
}
"""Keys that others use for ours: they are refused with ours, since keys that we do not know are kept unread."""
KILOGRAMS = {"k": 1.0, "g": 1e-3, "m": 1e-6, "": 1.0}  # by the first letter of a unit
_MASS = re.compile(r"(\d*\.?\d+(?:[eE][-+]?\d+)?)\s*(kg|mg|g|(?:kilo|milli)?grams?)?(?![A-Za-z])")
FrameNumber = Annotated[int, Field(ge=0)]


class SidecarEntry(BaseModel):
    """What the sidecar says of one video; fields of other names are kept as they are."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, allow_inf_nan=False)

    file: str = Field(description="the video, from the folder on", examples=["throw.mp4"])
    true_fps: Annotated[float, Field(gt=0, le=1e9)] | None = Field(
        default=None,
        description="frames a second of the scene, where the video is shown slower or faster: frame i happened at "
        "i / true_fps s. null: when it is shown",
        examples=[240],
    )
    event: str | None = Field(
        default=None, description="what happens: a word from the list below", examples=["projectile"]
    )
    event_frames: tuple[FrameNumber, FrameNumber] | None = Field(
        default=None,
        description="first and last frame of what happens, counted from 0. null: all of the video",
        examples=[[3, 26]],
    )
    contact_frames: tuple[FrameNumber | None, ...] | None = Field(
        default=None,
        description="frames near which something is hit, meets or is let go, within 3. null or []: they are found",
        examples=[[21, 44]],
    )
    gravity: str | None = Field(
        default=None,
        description="where things fall in the picture: down, up, left or right (other words are kept, and not used)",
        examples=["down"],
    )
    px_per_m: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="pixels of the video a metre, where it happens. null: results are in pixels",
        examples=[318.0],
    )
    mass: float | str | list[float | str] | None = Field(
        default=None,
        description="kilograms (or text with kg, g, mg), of two things from left to right in the event's first frame "
        "that shows both, from top to bottom if one lies above the other; a ratio will do, and 'equal' too",
        examples=[[0.6317, 0.7492], "631.7 g, 749.2 g", "1:5", "equal"],
    )

    @field_validator("file")
    @classmethod
    def _plain(cls, file: str) -> str:
        return plain_name(file)

    @field_validator("event")
    @classmethod
    def _known_event(cls, word: str | None) -> str | None:
        return None if word is None else event_of(word)

    @field_validator("event_frames")
    @classmethod
    def _forward(cls, frames: tuple[int, int] | None) -> tuple[int, int] | None:
        if frames is not None and frames[1] < frames[0]:
            raise ValueError(f"ends with frame {frames[1]}, before it starts with {frames[0]}")
        return frames

    @field_validator("gravity")
    @classmethod
    def _known_direction(cls, words: str | None) -> str | None:
        if words is None or (plain := words.strip().casefold()) in GRAVITY_DIRECTIONS:
            return words and plain
        if len(plain.split()) > 1:  # a description
            return words
        near = nearest(plain, GRAVITY_DIRECTIONS)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(GRAVITY_DIRECTIONS)}"
        raise ValueError(f"there is no direction {words!r}; {hint}")

    @field_validator("mass", mode="before")
    @classmethod
    def _known_masses(cls, mass: Any) -> Any:
        masses_of(mass)
        return mass

    @property
    def masses(self) -> tuple[float, ...] | None:
        """In kilograms, in the sidecar's order, equal ones as ones; None where none are given."""
        return masses_of(self.mass)


def masses_of(mass: Any) -> tuple[float, ...] | None:
    """The masses that a number, a text or a list gives; ValueError where it gives none that can be used."""
    if mass is None:
        return None
    if isinstance(mass, str) and mass.strip().casefold().startswith(("equal", "same")):
        return (1.0, 1.0)
    found: list[tuple[float, str]] = []
    for one in mass if isinstance(mass, list) else [mass]:
        if isinstance(one, str):
            found += [(float(number), unit[:1]) for number, unit in _MASS.findall(one)]
        else:
            found += [(float(one), "k")] if isinstance(one, int | float) and not isinstance(one, bool) else [(0.0, "")]
    if sum(unit != "" for _, unit in found) > 1:  # the others count the things
        found = [(number, unit) for number, unit in found if unit]
    last = next((unit for _, unit in found if unit), "")
    kilograms = tuple(number * KILOGRAMS[unit or last] for number, unit in found)
    if not kilograms or not min(kilograms) > 0:
        raise ValueError(f"{mass!r} gives no mass: give kilograms above zero, as [0.63, 0.75], or 'equal'")
    return kilograms


def read_sidecar(path: Path) -> dict[str, SidecarEntry]:
    """A sidecar's entries by the file they speak of; UserError where it cannot be read, or with each line's faults."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        hint = "" if path.exists() else ": `vidworld data sidecar FOLDER` writes one to fill in"
        raise UserError(f"{path}: the sidecar cannot be read ({reason}){hint}") from error
    entries: dict[str, SidecarEntry] = {}
    faults: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        entry = None
        try:
            entry = SidecarEntry.model_validate_json(line)
        except ValidationError as error:
            for fault in error.errors():
                where = str(fault["loc"][0]) if fault["loc"] else ""
                said = f"{path}:{number}: {where}{': ' if where else ''}{fault['msg'].removeprefix('Value error, ')}"
                faults += [] if said in faults else [said]
        faults += [f"{path}:{number}: {slip}" for slip in _slips(line)]
        if entry is None:
            continue
        if entry.file in entries:
            faults.append(f"{path}:{number}: file: {entry.file} has a line already")
        entries[entry.file] = entry
    if faults:
        raise UserError("\n".join(faults))
    return entries


def _slips(line: str) -> list[str]:
    """The keys of a line that are ours but for their spelling."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return []
    ours = list(SidecarEntry.model_fields)
    slips = []
    for key in row if isinstance(row, dict) else []:
        plain = key.strip().casefold().replace("-", "_").replace(" ", "_")
        near = OTHER_KEYS.get(plain) or nearest(plain, ours, MISSPELT)
        if key not in ours and near:
            slips.append(f"there is no key {key!r}; did you mean {near}?")
    return slips


def sidecar_help() -> str:
    """Every key with its unit and an example, and every event."""
    lines = [
        f"{SIDECAR_NAME} has one JSON object a video, on a line of its own. Its keys, of which only file is needed:"
    ]
    for name, known in SidecarEntry.model_fields.items():
        examples = " or ".join(json.dumps(example) for example in known.examples or [])
        lines.append(f'  {name:15} {known.description}. Example: "{name}": {examples}')
    return "\n".join([*lines, "other keys are kept and not read. The events:", events_help()])


def first_sidecar(folder: Path) -> str:
    """Write a line to fill in for each video that the folder's sidecar does not name; what was done, in a line.

    UserError where there is no video, a sidecar that is there cannot be read, or none can be written.
    """
    path = folder / SIDECAR_NAME
    files = list(sources_of(folder))
    known = read_sidecar(path) if path.exists() else {}
    empty = {name: None for name in SidecarEntry.model_fields}
    missing = [file for file in files if file not in known]
    lines = [json.dumps(empty | {"file": file}, ensure_ascii=False) + "\n" for file in missing]
    try:
        before = path.read_text(encoding="utf-8-sig") if known else ""
        gap = "\n" if before and not before.endswith("\n") else ""
        with path.open("a", encoding="utf-8") as stream:
            stream.write(gap + "".join(lines))
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    kept = f", {len(known)} were there" if known else ""
    new = f"{len(missing)} video{'s' * (len(missing) != 1)} to fill in"
    return f"{path}: {new}{kept}; `vidworld data sidecar --help` says what each key means"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="videos; a clips.jsonl in it is added to")
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, sidecar_help()


def _run(arguments: argparse.Namespace) -> None:
    print(first_sidecar(arguments.folder))


SIDECAR = Command(_add_arguments, _run)
