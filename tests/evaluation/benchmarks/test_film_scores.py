"""Benchmarks whose films are continued: their own score of a world, end to end; who has none; one line for faults."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import samples
from accelerate import Accelerator
from scripts import run
from torch import Tensor

from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.evaluation.benchmark_scores import SCORES, morpheus
from vidworld.evaluation.benchmark_scores.films import Stand
from vidworld.evaluation.benchmark_scores.morpheus import mechanical_energy
from vidworld.evaluation.benchmark_scores.physion import answered
from vidworld.evaluation.benchmarks import BENCHMARKS
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.units import parts_folder
from vidworld.models.baselines import CopyLast
from vidworld.models.tokenizers.frames import FrameTokenizer
from vidworld.models.world_model import Rollout
from vidworld.video.tracking import Tracked

SHAPE = ClipShape(num_frames=16, fps=10.0, height_px=32, width_px=32)
SAMPLES = {
    "physics_iq": lambda folder: samples.physics_iq(folder, 120, ("left",)),
    "physion": lambda folder: samples.physion(folder, 6, 60),
    "phyworld_hdf5": samples.phyworld_hdf5,
    "morpheus": lambda folder: samples.morpheus(folder, 24, 10),
}


def score(*arguments: object) -> object:
    """The exit code of the script."""
    return run("eval/score_benchmark.py", *arguments)


class Oracle:
    """Knows what comes, or leaves the scene empty."""

    def __init__(self, stand: Stand, empty: bool = False) -> None:
        self.name, self.stand, self.empty = "empty" if empty else "oracle", stand, empty
        self.coming: Tensor | None = None

    def rollout(self, context: Any, horizon: int, samples: int, seeds: Any) -> Rollout:
        assert self.coming is not None
        tokens = self.coming[:, None]
        return Rollout(*(0 * tokens + tokens.amax() if self.empty else tokens,) * 2)

    def surprise(self, seen: Any, context_length: int, seeds: Any) -> Tensor:
        raise AssertionError("nobody asks for it")


@pytest.fixture
def stand() -> Stand:
    evaluator = Evaluator(FrameTokenizer(4, 32, 32), {}, Accelerator(cpu=True), 8, 0)
    return Stand(evaluator, BENCHMARKS["clevrer"], SHAPE)


def measured(
    name: str, folder: Path, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> dict[tuple[str, str], float]:
    """Means by world and metric, of copy-last, the truth, an oracle and an empty world."""
    SAMPLES[name](folder)
    stand = Stand(stand.evaluator, BENCHMARKS[name], SHAPE)
    worlds = [Oracle(stand), Oracle(stand, empty=True)]
    around = Stand.around

    def seen(self: Stand, *arguments: Any) -> Any:
        clip = around(self, *arguments)
        for world in worlds:
            world.coming = self.evaluator.encode(clip).tokens[:, self.evaluator.context_length :]
        return clip

    monkeypatch.setattr(Stand, "around", seen)
    entries = BENCHMARKS[name].entries(folder)
    kept = parts_folder(folder / "out", "these")
    values = SCORES[name].measure(stand, worlds, entries, kept)
    monkeypatch.setattr(Stand, "clip", None)  # what was measured is not measured again
    assert SCORES[name].measure(stand, worlds, entries, kept) == values
    keys = {(v.model, v.metric) for v in values}
    return {key: float(np.mean([v.value for v in values if (v.model, v.metric) == key])) for key in keys}


def test_physics_iqs_score_is_full_for_the_truth(tmp_path: Path, stand: Stand, monkeypatch: Any) -> None:
    means = measured("physics_iq", tmp_path, stand, monkeypatch)
    for score in ("physics_iq_score", "physics_iq_verified_score"):
        assert means["oracle", score] == pytest.approx(100.0)
        assert means["copy_last", score] < 50
    assert means["truth", "physics_iq_spatial_iou"] == pytest.approx(1.0)  # both takes of the sample are one


def test_physions_answers_are_read_out_of_futures(tmp_path: Path, stand: Stand, monkeypatch: Any) -> None:
    means = measured("physion", tmp_path, stand, monkeypatch)
    assert means["oracle", "contact_accuracy_score"] == 1.0 == means["truth", "contact_accuracy_score"]
    assert means["empty", "contact_accuracy_score"] <= 0.5  # it predicts the same of all films
    assert set(metric for _, metric in means) == {"contact_accuracy_score"}


def test_physions_read_out_is_tested_on_films_it_was_not_fitted_to() -> None:
    rng = np.random.default_rng(0)
    answers = rng.random(100) < 0.5
    noise = rng.standard_normal((100, 300))
    fold = np.arange(100) % 10
    assert 0.3 < (answered(noise, answers, fold) == answers).mean() < 0.7
    noise[:, :30] += answers[:, None]
    assert (answered(noise, answers, fold) == answers).mean() > 0.9


def test_phyworlds_errors_are_of_the_frames_after_the_context(
    tmp_path: Path, stand: Stand, monkeypatch: Any
) -> None:
    means = measured("phyworld_hdf5", tmp_path, stand, monkeypatch)
    assert means["oracle", "phyworld_error"] == means["truth", "phyworld_error"] < 1.0
    assert means["copy_last", "phyworld_error"] > 2 * means["truth", "phyworld_error"]


def test_morpheus_charges_a_future_without_its_object(tmp_path: Path, stand: Stand, monkeypatch: Any) -> None:
    means = measured("morpheus", tmp_path, stand, monkeypatch)
    metric = "physical_invariance_score"
    assert means["oracle", metric] == pytest.approx(means["truth", metric], abs=0.02)
    assert means["truth", metric] > 0.7
    assert means["empty", metric] == 0.0


def test_a_fall_keeps_its_energy_with_the_gravity_of_its_own_film() -> None:
    t = np.arange(20) / 10
    fall = np.stack([3 * t, 0.5 * 9.0 * t**2], axis=1)
    energy = mechanical_energy(fall, fall, 10.0)[1:-1]
    assert energy.std() < 0.02 * energy.mean()
    upward = fall * (1, -1)
    other = mechanical_energy(upward, fall, 10.0)[1:-1]
    assert other.std() > 0.2 * other.mean()


def test_a_frame_in_which_the_true_film_was_lost_is_left_out() -> None:
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
        (slice(0, 8), False),  # no world could know of it
    ],
)
def test_a_film_that_itself_keeps_nothing_charges_no_world(
    lost: slice, counts: bool, tmp_path: Path, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.morpheus(tmp_path, 24, 10)
    t = np.arange(24) / 10
    place = np.stack([30 * t, 45 * t**2], axis=1)[:, None]
    place[lost] = np.nan
    monkeypatch.setattr(morpheus, "track", lambda *_: Tracked(place, np.ones(1)))
    here = Stand(stand.evaluator, BENCHMARKS["morpheus"], SHAPE)
    entry = BENCHMARKS["morpheus"].entries(tmp_path)[0]
    for world in (None, CopyLast(stand.evaluator.tokenizer)):
        values = [value.value for value in morpheus.of_film(here, entry, world)]
        assert (len(values), all(value > 0.5 for value in values)) == (int(counts), True)


@pytest.mark.parametrize("name", [*SCORES])
def test_films_that_are_too_short_are_one_line(name: str, tmp_path: Path, stand: Stand) -> None:
    samples.SAMPLES[name](tmp_path)
    entries = BENCHMARKS[name].entries(tmp_path)
    short = Stand(
        Evaluator(stand.evaluator.tokenizer, {}, stand.evaluator.accelerator, 12, 0), BENCHMARKS[name], SHAPE
    )
    with pytest.raises(UserError, match="the worlds need 12 given and 4 after them"):
        SCORES[name].measure(short, [], entries, parts_folder(tmp_path / "out", "x"))


def test_the_script_asks_anybodys_model(tmp_path: Path, capsys: Any) -> None:
    samples.phyworld_hdf5(tmp_path / "with a space")
    size = ("shape.height_px=32", "shape.width_px=32", "context_frames=8")
    world = ("--world", "mine=python:my_world.MyWorld")
    assert score("phyworld_hdf5", tmp_path / "with a space", *world, *size, "--out", tmp_path / "out") == 0
    assert "mine, uniform_motion, id, phyworld_error" in capsys.readouterr().out
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["results"]
    assert {row["model"] for row in rows} == {"truth", "copy_last", "mine"}
    samples.intphys(tmp_path / "intphys", count=80)  # of which every fifth is shown: a window of 16
    assert score("intphys", tmp_path / "intphys", *world, *size, "--out", tmp_path / "violations") == 0
    assert "mine, permanence, test, relative_accuracy_score" in capsys.readouterr().out


def test_what_has_no_score_says_why(tmp_path: Path, capsys: Any) -> None:
    assert score("clevrer", tmp_path, "--world", "python:my_world.MyWorld", "--out", tmp_path / "out") == 2
    assert "answers to questions in words" in capsys.readouterr().err
    assert score("morpheus", tmp_path, "--out", tmp_path / "out") == 2
    assert "name worlds" in capsys.readouterr().err
    file = ("--surprise", tmp_path / "s.json")
    assert score("morpheus", tmp_path, *file, "--out", tmp_path / "out") == 2
    assert "asks worlds for futures" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "says"),
    [(("--world", "one", "--world", "two"), "a second --world"), (("seed=3",), "leave out seed=3")],
)
def test_what_a_file_of_surprises_has_no_use_for_is_refused(
    more: Any, says: str, tmp_path: Path, capsys: Any
) -> None:
    file = ("--surprise", tmp_path / "s.json")
    assert score("intphys", tmp_path, *file, *more, "--out", tmp_path / "out") == 2
    assert says in capsys.readouterr().err


def test_a_benchmarks_own_context_is_in_the_chunks_that_are_asked_for(tmp_path: Path, capsys: Any) -> None:
    samples.physion(tmp_path / "physion", 6, 120)
    asked = ("shape.height_px=32", "shape.width_px=32", "chunk_frames=8", "--out", tmp_path / "out")
    assert score("physion", tmp_path / "physion", "--world", "python:my_world.MyWorld", *asked) == 0, (
        capsys.readouterr().err
    )
