"""A sidecar is read strictly, with every fault of every line at once."""

import json
from pathlib import Path

import pytest

from vidworld.core.errors import UserError
from vidworld.video.source import read_sidecar


def write(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def test_known_fields_are_read_and_others_kept(tmp_path: Path) -> None:
    line = {"file": "a.mp4", "true_fps": 240, "event_frames": [3, 9], "gravity": "down", "note": "by hand"}
    entry = read_sidecar(write(tmp_path / "clips.jsonl", line, "", {"file": "b.mp4", "true_fps": None}))["a.mp4"]
    assert (entry.true_fps, entry.event_frames, entry.gravity) == (240.0, (3, 9), "down")
    assert json.loads(entry.model_dump_json())["note"] == "by hand"


def test_every_fault_is_named_with_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "clips.jsonl",
        {"file": "a.mp4", "true_fps": "fast", "event_frames": [1]},
        "{not json",
        {"true_fps": 0},
        {"file": "b.mp4"},
        {"file": "b.mp4"},
    )
    with pytest.raises(UserError) as error:
        read_sidecar(path)
    lines = str(error.value).splitlines()
    assert [line.removeprefix(f"{path}:").split(":")[0] for line in lines] == ["1", "1", "2", "3", "3", "5"]
    for said in ("true_fps: ", "event_frames", "file: b.mp4 has a line already"):
        assert any(said in line for line in lines)


def test_a_sidecar_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_sidecar(tmp_path / "none.jsonl")
