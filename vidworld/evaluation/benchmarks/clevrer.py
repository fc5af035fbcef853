"""CLEVRER: rendered videos of things that collide, with every collision's frame.

Source: Yi et al. 2020 (arXiv 1910.01442): 128 frames at 480 x 320.
"""

from pathlib import Path

from vidworld.core.errors import UserError
from vidworld.core.records import read_json
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry, Reading, Unscored, numbered

_LAYOUT = """\
FOLDER/                  one split (video_validation.zip and annotation_validation.zip unpacked side by side)
  video_10000-11000/video_10000.mp4
  annotation_10000-11000/annotation_10000.json    collision: [{object_ids, frame_id, location}], object_property, ..."""


def _entries(folder: Path) -> list[Entry]:
    """Every number of which a video or an annotation is there; its events are the collisions."""
    videos, notes = _by_number(folder, "video_*.mp4"), _by_number(folder, "annotation_*.json")
    found = []
    for number in sorted({*videos, *notes}):
        video = videos.get(number) or _beside(notes[number], "annotation_", "video_", ".mp4")
        note = notes.get(number) or _beside(video, "video_", "annotation_", ".json")
        events = _collisions(note) if note.exists() else ()
        identity = f"video_{number:05d}"
        found.append(Entry(identity, "collision", identity, True, video, (note,), events=events))
    return found


def _by_number(folder: Path, pattern: str) -> dict[int, Path]:
    folders = [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]
    return {number: path for place in folders for number, path in numbered(place, pattern).items()}


def _beside(path: Path, old: str, new: str, suffix: str) -> Path:
    """Where the other file of a pair lies: in the folder whose name goes with this one's."""
    here = path.parent
    parent = here.with_name(here.name.replace(old, new)) if old in here.name else here
    return parent / (path.stem.replace(old, new) + suffix)


def _collisions(note: Path) -> tuple[tuple[int, str], ...]:
    """(frame, the two objects) of every collision."""
    try:
        listed = read_json(note)["collision"]
        return tuple((int(one["frame_id"]), "-".join(map(str, one["object_ids"]))) for one in listed)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{note}: does not list its collisions ({type(error).__name__})") from error


_WHY_UNSCORED = "its score is of answers to questions in words, which no model gives; its videos can be trained on"
CLEVRER = Benchmark("clevrer", "CLEVRER", "arXiv 1910.01442", _LAYOUT, Reading(128), _entries, Unscored(_WHY_UNSCORED))
