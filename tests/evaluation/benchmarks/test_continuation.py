"""Benchmarks whose videos are continued: their own score of a model, end to end; who has none; one line for faults."""

import json
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import samples
import torch
from accelerate import Accelerator
from scripts import ROOT, run
from torch import Tensor

from vidworld.analysis.records import Value
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.evaluation.benchmarks import BENCHMARKS, continuation, morpheus
from vidworld.evaluation.benchmarks.benchmark import ContinuationScore, Entry
from vidworld.evaluation.benchmarks.continuation import BenchmarkContext
from vidworld.evaluation.benchmarks.morpheus import mechanical_energy
from vidworld.evaluation.benchmarks.physion import answered
from vidworld.evaluation.benchmarks.scoring import TRUTH, measure_videos
from vidworld.evaluation.evaluator import Evaluator, Subject
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.models.world_model import CopyLast, Rollout

SHAPE = ClipShape(num_frames=16, fps=10.0, height_px=32, width_px=32)
SAMPLES = {
    "physics_iq": lambda folder: samples.physics_iq(folder, 120, ("left",), testing=30),
    "physion": lambda folder: samples.physion(folder, 6, 60),
    "phyworld_hdf5": samples.phyworld_hdf5,
    "morpheus": lambda folder: samples.morpheus(folder, 24, 10),
}


def score(*arguments: object) -> object:
    """The exit code of the script."""
    return run("eval/score_benchmark.py", *arguments)


class Oracle:
    """Knows what comes, or leaves the scene empty."""

    def __init__(self, empty: bool = False) -> None:
        self.name, self.empty = "empty" if empty else "oracle", empty
        self.coming: Tensor | None = None

    def rollout(self, context: Any, horizon: int, samples: int, seeds: Any) -> Rollout:
        assert self.coming is not None
        tokens = self.coming[:, None]
        return Rollout(*(0 * tokens + tokens.amax() if self.empty else tokens,) * 2)

    def surprise(self, seen: Any, context_length: int, seeds: Any) -> Tensor:
        raise AssertionError("nobody asks for it")


@pytest.fixture
def evaluator() -> Evaluator:
    return Evaluator(FrameTokenizer(4, 32, 32), {}, Accelerator(cpu=True), 8, 0)


def scored(context: BenchmarkContext, subjects: list[Subject], folder: Path) -> list[Value]:
    """What the benchmark says of the subjects in the end."""
    score, entries = context.benchmark.score, context.benchmark.entries(folder)
    assert isinstance(score, ContinuationScore)
    (folder / "units").mkdir(exist_ok=True)
    values = measure_videos(context, subjects, entries, folder / "units", {}).values
    return values if score.whole is None else list(score.whole(values, entries, 0))


def measured(
    name: str, folder: Path, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> dict[tuple[str, str], float]:
    """Means by model and metric, of copy-last, the truth, an oracle and a model that leaves the scene empty."""
    SAMPLES[name](folder)
    models = [Oracle(), Oracle(empty=True)]
    around = BenchmarkContext.around

    def seen(self: BenchmarkContext, *arguments: Any, **named: Any) -> Any:
        clip = around(self, *arguments, **named)
        for model in models:
            model.coming = self.evaluator.encode(clip).tokens[:, self.evaluator.context_length :]
        return clip

    monkeypatch.setattr(BenchmarkContext, "around", seen)
    copy_last = Subject("copy_last", CopyLast(evaluator.tokenizer), "")
    subjects = [TRUTH, copy_last, *(Subject(model.name, model, "") for model in models)]
    benchmark = BENCHMARKS[name]
    values = scored(BenchmarkContext(evaluator, benchmark, SHAPE), subjects, folder)
    monkeypatch.setattr(continuation, "clip_of", None)  # what was measured is not measured again
    assert scored(BenchmarkContext(evaluator, benchmark, SHAPE), subjects, folder) == values
    keys = {(v.model, v.metric) for v in values}
    return {key: float(np.mean([v.value for v in values if (v.model, v.metric) == key])) for key in keys}


def test_physics_iqs_score_is_full_for_the_truth(tmp_path: Path, evaluator: Evaluator, monkeypatch: Any) -> None:
    means = measured("physics_iq", tmp_path, evaluator, monkeypatch)
    for score in ("physics_iq_score", "physics_iq_verified_score"):
        assert means["oracle", score] == pytest.approx(100.0)
        assert means["copy_last", score] < 50
    assert means["truth", "physics_iq_spatial_iou"] == pytest.approx(1.0, abs=0.01)  # both takes of the sample are one


@pytest.mark.thorough
@pytest.mark.slow
def test_physions_answers_are_probed_from_futures(tmp_path: Path, evaluator: Evaluator, monkeypatch: Any) -> None:
    means = measured("physion", tmp_path, evaluator, monkeypatch)
    assert means["oracle", "contact_accuracy_score"] == 1.0 == means["truth", "contact_accuracy_score"]
    assert means["empty", "contact_accuracy_score"] <= 0.5  # it predicts the same of all videos
    assert set(metric for _, metric in means) == {"contact_accuracy_score"}


def test_physions_futures_reach_to_the_end_of_the_longest_video(
    tmp_path: Path, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Things touch as late as the videos last; of each as much is predicted, in whole chunks."""
    samples.physion(tmp_path, 2, 60)
    samples.recording(tmp_path / "Drop" / "mp4s-redyellow" / "pilot_Drop_0001_img.mp4", 0, 195)  # 6.5 s
    asked = []

    def future(self: Evaluator, model: Any, seen: Any) -> Rollout:
        asked.append(seen.clips.frames.shape[1] - self.context_frames)
        return Rollout(*(torch.zeros(1, 1, 2, 8, 8, 48),) * 2)

    monkeypatch.setattr(Evaluator, "roll_out", future)
    context = BenchmarkContext(evaluator, BENCHMARKS["physion"], SHAPE)
    for entry in BENCHMARKS["physion"].entries(tmp_path):
        score = BENCHMARKS["physion"].score
        assert isinstance(score, ContinuationScore)
        assert len(list(score.of_video(context, entry, CopyLast(evaluator.tokenizer)))) == 512
    assert asked == [52] * 4  # five seconds at ten a second, in chunks of four


def test_physions_probe_is_tested_on_videos_it_was_not_fitted_to() -> None:
    rng = np.random.default_rng(0)
    answers = rng.random(100) < 0.5
    noise = rng.standard_normal((100, 300))
    fold = np.arange(100) % 10
    assert 0.3 < (answered(noise, answers, fold) == answers).mean() < 0.7
    noise[:, :30] += answers[:, None]
    assert (answered(noise, answers, fold) == answers).mean() > 0.9


def test_phyworlds_errors_are_of_the_frames_after_the_context(
    tmp_path: Path, evaluator: Evaluator, monkeypatch: Any
) -> None:
    means = measured("phyworld_hdf5", tmp_path, evaluator, monkeypatch)
    assert means["oracle", "phyworld_error"] == means["truth", "phyworld_error"] < 1.0
    assert means["copy_last", "phyworld_error"] > 2 * means["truth", "phyworld_error"]


def test_morpheus_penalises_a_future_without_its_object(tmp_path: Path, evaluator: Evaluator, monkeypatch: Any) -> None:
    means = measured("morpheus", tmp_path, evaluator, monkeypatch)
    metric = "physical_invariance_score"
    assert means["oracle", metric] == pytest.approx(means["truth", metric], abs=0.02)
    assert means["truth", metric] > 0.7
    assert means["empty", metric] == 0.0


def test_a_video_of_morpheus_that_has_no_score_is_named(tmp_path: Path, capsys: Any) -> None:
    samples.morpheus(tmp_path / "in", 24, 10)
    still = np.full((24, samples.SIZE, samples.SIZE, 3), 200, np.uint8)
    (file,) = (tmp_path / "in").glob("real-world-cropped/pendulum/*/cropped_video.mp4")
    file.write_bytes(samples.as_mp4(still, 10))
    size = ("shape.height_px=32", "shape.width_px=32", "context_frames=8")
    model = ("--model", "python:my_world.MyWorld")
    assert score("morpheus", tmp_path / "in", *model, *size, "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "morpheus: pendulum/take_1 has no score, of any model: in the true video what moves is not found" in said
    notes = json.loads((tmp_path / "out" / "comparison.json").read_text())["notes"]
    assert any(note.startswith("morpheus: pendulum/take_1") for note in notes)
    assert not any("falling_ball" in note for note in notes)


def test_a_video_is_read_a_few_pictures_at_a_time(tmp_path: Path) -> None:
    """160 pictures of 640 x 480 are 147 MB."""
    pictures = np.repeat(np.random.default_rng(0).integers(0, 255, (1, 480, 640, 3), np.uint8), 160, axis=0)
    (tmp_path / "video.mp4").write_bytes(samples.as_mp4(pictures, 30))
    entry = Entry("a", "a", "a", True, tmp_path / "video.mp4")
    tracemalloc.start()
    clip = continuation.clip_of(BENCHMARKS["physics_iq"], entry, 64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert clip.frames.shape == (1, 160, 3, 64, 64)
    assert peak < 110e6  # the reader may hold a block of 64 MB


def test_a_fall_keeps_its_energy_with_the_gravity_of_its_own_video() -> None:
    t = np.arange(20) / 10
    fall = np.stack([3 * t, 0.5 * 9.0 * t**2], axis=1)
    energy = mechanical_energy(fall, fall, 10.0)[1:-1]
    assert energy.std() < 0.02 * energy.mean()
    upward = fall * (1, -1)
    other = mechanical_energy(upward, fall, 10.0)[1:-1]
    assert other.std() > 0.2 * other.mean()


def test_a_frame_in_which_the_true_video_was_lost_is_left_out() -> None:
    """Its neighbours give it a velocity, but it has no place."""
    t = np.arange(20) / 10
    fall = np.stack([3 * t, 0.5 * 9.0 * t**2], axis=1)
    gap = fall.copy()
    gap[12] = np.nan
    energy = mechanical_energy(fall, gap, 10.0)[1:-1]
    assert np.isfinite(energy).all() and energy.std() < 0.02 * energy.mean()
    assert np.isnan(mechanical_energy(fall, np.full_like(fall, np.nan), 10.0)).all()


@pytest.mark.parametrize(
    ("lost", "counts"),
    [
        (slice(10, 11), True),
        (slice(15, 16), False),  # no second after the context is whole
        (slice(0, 8), False),  # no model could know of it
        (slice(13, None), True),  # a projectile flies out of the picture
        (slice(10, None), False),  # a velocity in one frame is no motion
    ],
)
def test_a_video_that_itself_keeps_nothing_penalises_no_model(
    lost: slice, counts: bool, tmp_path: Path, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.morpheus(tmp_path, 24, 10)
    t = np.arange(24) / 10
    place = np.stack([30 * t, 45 * t**2], axis=1)[:, None]
    place[lost] = np.nan
    monkeypatch.setattr(morpheus, "track", lambda *_: place)
    here = BenchmarkContext(evaluator, BENCHMARKS["morpheus"], SHAPE)
    entry = BENCHMARKS["morpheus"].entries(tmp_path)[0]
    for model in (None, CopyLast(evaluator.tokenizer)):
        values = [value.value for value in morpheus._energy_of(here, entry, model)]
        assert (len(values), all(value > 0.5 for value in values)) == (int(counts), True)


@pytest.mark.parametrize("name", [*SAMPLES])
def test_videos_that_are_too_short_are_one_line(name: str, tmp_path: Path, evaluator: Evaluator) -> None:
    samples.SAMPLES[name](tmp_path)
    short = BenchmarkContext(replace(evaluator, context_frames=12), BENCHMARKS[name], SHAPE)
    with pytest.raises(UserError, match="the models need 12 given and 4 after them"):
        scored(short, [TRUTH], tmp_path)


@pytest.mark.parametrize("changed", ["nothing", "place", "video", "other take", "model", "version"])
def test_what_a_score_depends_on_is_measured_again(
    changed: str, tmp_path: Path, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed video or model, and nothing else: not the folder's place nor its files' times."""
    SAMPLES["physics_iq"](tmp_path / "a")
    units, folder = tmp_path / "units", tmp_path / "a"
    units.mkdir()
    benchmark = BENCHMARKS["physics_iq"]
    seen: list[tuple[str, str]] = []

    def of_video(context: BenchmarkContext, entry: Entry, model: Any) -> Any:
        seen.append((entry.identity, "truth" if model is None else model.name))
        yield context.value(model, entry, "motion", "physics_iq_mse", "squared level", 0.5)

    def measure(version: int = 1, model: str = "a model") -> list[tuple[str, str]]:
        seen.clear()
        mine = replace(benchmark, score=ContinuationScore(of_video, ("physics_iq_mse",)), version=version)
        subjects = [TRUTH, Subject("oracle", Oracle(), model)]
        context = BenchmarkContext(evaluator, mine, SHAPE)
        values = measure_videos(context, subjects, mine.entries(folder), units, {}).values
        assert len(values) == 4 and {value.value for value in values} == {0.5}
        return sorted(seen)

    both = [(f"trimmed-ball/left/take-{take}", name) for take in (1, 2) for name in ("oracle", "truth")]
    assert measure() == both
    if changed == "place":
        folder = folder.rename(tmp_path / "b")
        for file in folder.rglob("*.mp4"):
            os.utime(file, (0, 0))
    if changed in ("video", "other take"):
        (video,) = folder.glob(f"split-videos/testing/30FPS/*take-{1 if changed == 'video' else 2}*.mp4")
        video.write_bytes(samples.video_bytes(3, 30))
    again = {"version": {"version": 2}, "model": {"model": "another"}}.get(changed, {})
    expected = {"nothing": [], "place": [], "model": [pair for pair in both if pair[1] == "oracle"]}
    assert measure(**again) == expected.get(changed, both)


def test_the_script_asks_anybodys_model(tmp_path: Path, capsys: Any) -> None:
    samples.phyworld_hdf5(tmp_path / "with a space")
    size = ("shape.height_px=32", "shape.width_px=32", "context_frames=8")
    model = ("--model", "mine=python:my_world.MyWorld")
    assert score("phyworld_hdf5", tmp_path / "with a space", *model, *size, "--out", tmp_path / "out") == 0
    assert "mine, uniform_motion, id, phyworld_error" in capsys.readouterr().out
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["results"]
    assert {row["model"] for row in rows} == {"truth", "copy_last", "mine"}
    samples.intphys(tmp_path / "intphys", count=80)  # of which every fifth is shown: a window of 16
    assert score("intphys", tmp_path / "intphys", *model, *size, "--out", tmp_path / "violations") == 0
    assert "mine, permanence, test, relative_accuracy_score" in capsys.readouterr().out


def test_what_has_no_score_says_why(tmp_path: Path, capsys: Any) -> None:
    assert score("clevrer", tmp_path, "--model", "python:my_world.MyWorld", "--out", tmp_path / "out") == 2
    assert "answers to questions in words" in capsys.readouterr().err
    assert score("morpheus", tmp_path, "--out", tmp_path / "out") == 2
    assert "name models" in capsys.readouterr().err
    file = ("--surprise", tmp_path / "s.json")
    assert score("morpheus", tmp_path, *file, "--out", tmp_path / "out") == 2
    assert "is scored by how models continue its videos" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "says"), [(("--model", "one", "--model", "two"), "a second --model"), (("seed=3",), "leave out seed=3")]
)
def test_what_a_file_of_surprises_has_no_use_for_is_refused(more: Any, says: str, tmp_path: Path, capsys: Any) -> None:
    file = ("--surprise", tmp_path / "s.json")
    assert score("intphys", tmp_path, *file, *more, "--out", tmp_path / "out") == 2
    assert says in capsys.readouterr().err


@pytest.mark.thorough
def test_a_benchmarks_own_context_is_in_the_chunks_that_are_asked_for(tmp_path: Path, capsys: Any) -> None:
    samples.physion(tmp_path / "physion", 6, 120)
    asked = ("shape.height_px=32", "shape.width_px=32", "chunk_frames=8", "--out", tmp_path / "out")
    assert score("physion", tmp_path / "physion", "--model", "python:my_world.MyWorld", *asked) == 0, (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("kind", "more", "says"),
    [
        ("phsyion", ("--model", "python:my_world.MyWorld"), "did you mean physion?"),
        ("physion", ("--model", "pyhton:my_world.MyWorld"), "did you mean python?"),
    ],
)
def test_a_wrong_name_is_said_before_torch_is_imported(kind: str, more: Any, says: str, tmp_path: Path) -> None:
    script = (
        "import runpy, sys\n"
        "try:\n    runpy.run_path('eval/score_benchmark.py', run_name='__main__')\n"
        "finally:\n    assert 'torch' not in sys.modules\n"
    )
    command = [sys.executable, "-c", script, kind, tmp_path, *more, "--out", tmp_path / "out"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2 and says in ended.stderr and len(ended.stderr.splitlines()) == 1


def test_a_model_named_as_something_else_is_refused(tmp_path: Path, capsys: Any) -> None:
    twice = ("--model", "copy_last=python:my_world.MyWorld")
    assert score("physion", tmp_path, *twice, "--out", tmp_path / "out") == 2
    assert "copy_last: is the name of something else here" in capsys.readouterr().err
