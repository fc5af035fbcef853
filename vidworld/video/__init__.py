"""Real video; here what `vidworld data ingest` recorded of a data set, read without waiting for its clips or torch."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from vidworld.core.errors import UserError
from vidworld.core.records import fingerprint

REAL_SPLITS = ("train", "val", "real")  # `real` is held out for the evaluation. A file is in one split only.
RECORD_NAME = "ingest.json"
SIDECAR_NAME = "clips.jsonl"  # what is known of the videos of a folder, beside them
ACTIONS_NAME = "actions.csv"  # what was done in them, there too
REWARD = "reward"  # its column of what that brought
COLLECTED_NAME = "collected.json"  # of which environment a folder's videos are episodes, there too


def plain_name(file: str) -> str:
    """A video's name in a table as its folder has it: ./a.mp4 is a.mp4."""
    return PurePosixPath(file).as_posix() if file else file


def read_record(path: Path) -> dict[str, Any] | None:
    """What `ingest` wrote of a data set; None where there is no finished one."""
    try:
        return dict(json.loads((path / RECORD_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def finished_record(path: Path) -> dict[str, Any]:
    """What `ingest` wrote of a data set; UserError where there is no finished one."""
    record = read_record(path)
    if record is None:
        raise UserError(f"{path}: is no data set of real clips: make one with `vidworld data ingest`")
    return record


def has_clips(path: Path, split: str) -> bool:
    """Whether any video of a data set is in the split; UserError where there is no finished data set."""
    return any(file["split"] == split for file in finished_record(path)["files"])


def content_fingerprint(path: Path, split: str) -> str:
    """The fingerprint of all that a split of a data set holds: frames and what is known of each clip.

    UserError where there is no finished data set, or one of a version that recorded no content.
    """
    return fingerprint(_content(path)[split], *_ranges(path))


def training_fingerprint(path: Path | None) -> str | None:
    """The fingerprint of what a training reads of a data set: frames and actions of its split `train`, in their order.

    None without a data set; UserError as `content_fingerprint`. Held-out videos and the sidecar change nothing here.
    """
    if path is None:
        return None
    content = _content(path)["train"]
    acts = [content["actions"], *_ranges(path)] if "actions" in content else []
    return fingerprint(content["frames"], *acts) if acts else str(content["frames"])


def real_action_channels(path: Path) -> int:
    """Numbers of an action in a data set, 0 where nobody acts; UserError where there is no finished data set."""
    return len(finished_record(path).get("actions", {}).get("channels", ()))


def real_environment(path: Path) -> str | None:
    """The environment that a data set's episodes were collected in; None where it does not say."""
    found = finished_record(path).get("environment")
    return None if found is None else str(found)


def _ranges(path: Path) -> list[Any]:
    """What is recorded of the actions of a data set; nothing where it has none."""
    return [record["actions"]] if "actions" in (record := finished_record(path)) else []


def _content(path: Path) -> dict[str, dict[str, str]]:
    content: dict[str, dict[str, str]] | None = finished_record(path).get("content")
    if content is None:
        old = f"{path}: was made by an older version, which recorded no fingerprint of its clips"
        raise UserError(f"{old}: ingest its videos again (vidworld data ingest)")
    return content
