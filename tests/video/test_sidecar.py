"""A sidecar is read strictly, with every fault of every line at once."""

import json
from pathlib import Path

import pytest

from vidworld.cli import run
from vidworld.core.errors import UserError
from vidworld.video.events import EVENTS
from vidworld.video.sidecar import SidecarEntry, first_sidecar, read_sidecar
from vidworld.video_laws import VIDEO_LAWS


def write(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def test_known_fields_are_read_and_others_kept(tmp_path: Path) -> None:
    line = {"file": "a.mp4", "true_fps": 240, "event_frames": [3, 9], "gravity": "down", "note": "by hand"}
    entry = read_sidecar(write(tmp_path / "clips.jsonl", line, "", {"file": "b.mp4", "true_fps": None}))["a.mp4"]
    assert (entry.true_fps, entry.event_frames, entry.gravity) == (240.0, (3, 9), "down")
    assert json.loads(entry.model_dump_json())["note"] == "by hand"


def test_a_file_in_this_folder_is_the_file_and_brackets_without_end_are_a_fault(tmp_path: Path) -> None:
    assert [*read_sidecar(write(tmp_path / "clips.jsonl", {"file": "./a.mp4"}))] == ["a.mp4"]
    with pytest.raises(UserError, match=r"clips\.jsonl:1: "):
        read_sidecar(write(tmp_path / "clips.jsonl", "[" * 30_000))


def test_every_fault_is_named_with_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "clips.jsonl",
        {"file": "a.mp4", "true_fps": "fast", "event_frames": [1]},
        "{not json",
        {"true_fps": 0},
        {"file": "b.mp4"},
        {"file": "b.mp4"},
        {"file": "c.mp4", "true_fps": 1e308},
    )
    with pytest.raises(UserError) as error:
        read_sidecar(path)
    lines = str(error.value).splitlines()
    assert [line.removeprefix(f"{path}:").split(":")[0] for line in lines] == ["1", "1", "2", "3", "3", "5", "6"]
    for said in ("true_fps: ", "event_frames", "file: b.mp4 has a line already"):
        assert any(said in line for line in lines)


def test_a_sidecar_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_sidecar(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("word", "event"),
    [
        ("free fall", "projectile"),
        ("Projectile", "projectile"),
        ("parabola", "projectile"),
        ("constant acceleration", "accelerated"),
        ("uniform-motion", "uniform"),
        ("bounces", "bounce"),
        ("a pendulum", "pendulum"),
        ("harmonic_motion", "spring"),
        ("explosion", "explosion"),
    ],
)
def test_an_event_may_have_the_words_that_people_use(word: str, event: str, tmp_path: Path) -> None:
    path = write(tmp_path / "clips.jsonl", {"file": "a.mp4", "event": word})
    assert read_sidecar(path)["a.mp4"].event == event


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("event", "sprng", "event: there is no event 'sprng'; did you mean spring?"),
        ("event", "eating", "event: there is no event 'eating'; there are projectile, slide"),
        ("event", "", "event: there is no event ''"),
        ("gravity", "dwon", "gravity: there is no direction 'dwon'; did you mean down?"),
        ("gravity", "south", "there are down, up, right, left"),
        ("px_per_metre", 318, "there is no key 'px_per_metre'; did you mean px_per_m?"),
        ("event_frame", [1, 9], "there is no key 'event_frame'; did you mean event_frames?"),
        ("contactframes", [3], "did you mean contact_frames?"),
        ("Event", "bounce", "did you mean event?"),
        ("fps", 240, "did you mean true_fps?"),
        ("masses", [1, 2], "did you mean mass?"),
        ("mass", "heavy", "mass: 'heavy' gives no mass"),
        ("mass", [1, 0], "mass: [1, 0] gives no mass"),
        ("mass", True, "mass: "),
        ("event_frames", [9, 3], "event_frames: ends with frame 3, before it starts with 9"),
        ("contact_frames", [-1], "contact_frames: "),
    ],
)
def test_what_is_misspelt_or_no_value_is_refused_with_the_nearest(
    key: str, value: object, said: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "clips.jsonl", {"file": "a.mp4"}, {"file": "b.mp4", key: value})
    with pytest.raises(UserError) as error:
        read_sidecar(path)
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"{path}:2: ") and said in line


@pytest.mark.parametrize(
    ("mass", "kilograms"),
    [
        (None, None),
        ("equal (assumed)", (1.0, 1.0)),
        ([0.1, 0.5], (0.1, 0.5)),
        (["0.1 kg", "500 g"], (0.1, 0.5)),
        ("100 / 500 g", (0.1, 0.5)),
        ("puck 1: 100 g, puck 2: 500 grams", (0.1, 0.5)),
        ("1:5", (1.0, 5.0)),
        ("0.5 kg (model)", (0.5,)),
        (2, (2.0,)),
    ],
)
def test_masses_are_read_as_people_write_them(mass: object, kilograms: tuple[float, ...], tmp_path: Path) -> None:
    entry = read_sidecar(write(tmp_path / "clips.jsonl", {"file": "a.mp4", "mass": mass}))["a.mp4"]
    assert entry.masses == (kilograms and pytest.approx(kilograms))


def test_a_description_of_gravity_and_a_direction_in_capitals_are_read(tmp_path: Path) -> None:
    lines = {"file": "a", "gravity": "Down"}, {"file": "b", "gravity": "along the track (9 deg)"}
    known = read_sidecar(write(tmp_path / "clips.jsonl", *lines))
    assert [known[file].gravity for file in "ab"] == ["down", "along the track (9 deg)"]


def test_a_sidecar_from_windows_is_read(tmp_path: Path) -> None:
    """A byte order mark, line ends of two characters, and a separator of lines within a text."""
    line = json.dumps({"file": "a.mp4", "note": "one\u2028two"}, ensure_ascii=False)
    path = tmp_path / "clips.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + f'{line}\r\n{{"file": "b.mp4"}}\r\n'.encode())
    assert list(read_sidecar(path)) == ["a.mp4", "b.mp4"]


def test_a_first_sidecar_names_every_video_and_adds_to_one_that_is_there(tmp_path: Path) -> None:
    for file in ("a.mp4", "b.mp4"):
        (tmp_path / file).write_bytes(b"video")
    assert "2 videos" in first_sidecar(tmp_path)
    path = tmp_path / "clips.jsonl"
    assert set(json.loads(path.read_text().splitlines()[0])) == set(SidecarEntry.model_fields)
    path.write_text('{"file": "b.mp4", "event": "bounce", "note": "by hand"}')  # without an end of line
    assert "1 video to fill in, 1 were there" in first_sidecar(tmp_path)
    known = read_sidecar(path)
    assert sorted(known) == ["a.mp4", "b.mp4"] and known["b.mp4"].event == "bounce"
    assert "by hand" in path.read_text()
    path.write_text("{broken")
    with pytest.raises(UserError, match=r"clips\.jsonl:1"):
        first_sidecar(tmp_path)
    assert path.read_text() == "{broken"


@pytest.mark.parametrize("command", [["data", "sidecar"], ["data", "ingest"]])
def test_help_says_every_key_and_event(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run([*command, "--help"])
    said = capsys.readouterr().out
    assert all(f'"{key}":' in said for key in SidecarEntry.model_fields)
    assert all(f"  {event} " in said for event in EVENTS)


def test_the_documentation_has_every_key_and_event() -> None:
    page = (Path(__file__).parents[2] / "docs" / "external.md").read_text(encoding="utf-8")
    assert all(f"| `{key}` |" in page for key in SidecarEntry.model_fields)
    assert all(f"| `{name}` | {event.shows} | {event.measured}" in page for name, event in EVENTS.items())
    assert all(event.also in page for event in EVENTS.values())
    laws = {name for name, event in EVENTS.items() if event.measured}
    assert laws == set(VIDEO_LAWS.builtin)
