"""A benchmark of another package: one file and its entry points, scored as ours are."""

import json
import textwrap
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import samples
from scripts import run

from vidworld import cli
from vidworld.core.errors import UserError
from vidworld.evaluation.benchmarks import BENCHMARKS
from vidworld.metrics import METRICS

PACKAGE = '''
from pathlib import Path

from vidworld.evaluation.benchmarks.benchmark import Benchmark, ContinuationScore, Entry, Reading
from vidworld.metrics import Metric


def entries(folder):
    return [Entry(path.stem, "motion", path.stem, None, path) for path in sorted(folder.glob("*.mp4"))]


def of_video(context, entry, model):
    """How far the last pictures are apart."""
    start = context.evaluator.context_frames
    clip = context.around(context.clip(entry), start)
    future = clip.frames[:, start:] if model is None else context.future(model, clip)
    error = (future[:, -1].float() - clip.frames[:, -1].float()).abs().mean() / 255
    yield context.value(model, entry, "motion", "last_picture_error", "share", float(error))


ERROR = Metric("last_picture_error", "motion", "share", False, of_video, bounds=(0.0, 1.0))
TINY = Benchmark(
    name="tiny",
    label="Tiny",
    source="a test",
    layout="FOLDER/*.mp4",
    reading=Reading(size_px=32, fps=30.0, context_frames=(12,)),
    entries=entries,
    score=ContinuationScore(of_video, ("last_picture_error",)),
)
'''
ENTRY_POINTS = """
[vidworld.benchmarks]
tiny = tiny_benchmark:TINY
[vidworld.metrics]
last_picture_error = tiny_benchmark:ERROR
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another package beside ours, as pip leaves one."""
    about = tmp_path / "site" / "tiny_benchmark-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-benchmark\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "site" / "tiny_benchmark.py").write_text(textwrap.dedent(PACKAGE))
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr("vidworld.core.registry.metadata", metadata)
    registries = (BENCHMARKS, METRICS)
    for registry in registries:  # they look for entry points once a process
        vars(registry).pop("_places", None)
    yield
    for registry in registries:
        vars(registry).pop("_places", None)
        vars(registry)["_loaded"].clear()


@pytest.mark.usefixtures("installed")
def test_a_benchmark_of_another_package_is_checked_and_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        samples.recording(tmp_path / "videos" / f"{number}.mp4", number, 60)
    cli.run(["data", "check", "tiny", str(tmp_path / "videos")])
    assert "complete, 3 videos (3 motion)" in capsys.readouterr().out
    model = ("--model", "mine=python:my_world.MyWorld", "chunk_frames=4")
    arguments = ("eval/score_benchmark.py", "tiny", tmp_path / "videos", *model, "--out", tmp_path / "out")
    assert run(*arguments) == 0, capsys.readouterr().err
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["results"]
    errors = {row["model"]: row["value"] for row in rows if row["metric"] == "last_picture_error"}
    assert errors.keys() == {"truth", "copy_last", "mine"}
    assert errors["truth"] == 0 < errors["copy_last"] < errors["mine"]  # ours adds noise to the last picture


def test_without_the_package_there_is_no_such_benchmark() -> None:
    with pytest.raises(UserError, match="there is no benchmark 'tiny'"):
        cli.run(["data", "check", "tiny", "."])
