"""A model that reads names, places, seeds or order, remembers, or makes the clip again: chance, or one line.

What is no number ends that model's rows and nobody else's. What cannot be stopped stands in docs/external.md.
"""

import json
import re
from pathlib import Path
from typing import Any

import made_videos
import numpy as np
import pytest
import samples
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st
from my_world import MyWorld
from padded_videos import of_split
from scripts import run

from vidworld.analysis.results import read_per_clip
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.evaluation.benchmarks import BENCHMARKS
from vidworld.evaluation.evaluator import Evaluator, ModelFailure
from vidworld.evaluation.presentation import batches_of, clip_seed, names_of, shared_names
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.evaluation.surprises import as_matrix, encode_quadruplets, surprise_of
from vidworld.models.external import ExternalModel
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.models.world_model import ConstantVelocity
from vidworld.simulation.quadruplets import layout_of, quadruplets
from vidworld.simulation.simulated import SimulatedClips
from vidworld.video.clips import ClipOptions
from vidworld.video.ingest import ingest

pytestmark = pytest.mark.thorough

SMALL = ClipShape(height_px=24, width_px=24)
QUADRUPLETS, CLIPS = 16, 4
CONFIG = f"""
shape: {{num_frames: 16, fps: 10.0, height_px: 24, width_px: 24}}
scenarios: [uniform]
laws: [permanence, collision, momentum]
quadruplets: {QUADRUPLETS}
clips: {CLIPS}
further_clips: 0
splits: [id]
clips_at_once: 2
quadruplets_at_once: 8
shown: 1
compare: []
oracle: false
"""
CHANCE = (0.3, 0.7)  # of 96 futures a coin tells 0.34 to 0.66 right in 99.8% of runs
AT_CHANCE = ("Label", "Tracks", "SlyCalls", "SlyMemory", "Constant", "FutureOnly")
REFUSED = {
    "LabelOrElse": "surprise: ",  # the name of one of two equal clips, or of one clip the second time, tells otherwise
    "Place": "surprise: the same clips gave other numbers in another order and under other names",
    "Addresses": "surprise: the same clips ",
    "Clock": "surprise: the same clips and seeds gave other numbers the second time",
    "Files": "lacks 2 of 2 clips",
    "Calls": "surprise: the same clips and seeds gave other numbers the second time",
    "Memory": "surprise: the same clips and seeds gave other numbers the second time",
    "Regenerate": "ValueError: not enough values to unpack",
    "Huge": "gave 3e+38; numbers up to 1e+18 would do",
    "Nan": "gave nan; numbers up to 1e+18 would do",
    "Infinite": "gave -inf; numbers up to 1e+18 would do",
    "LateNan": "gave nan; numbers up to 1e+18 would do",
    "LateError": "failed with RuntimeError: out of memory (at uniform/id/0/",
    "LateShape": "surprise gave a float32 tensor of shape (8, 7), where a floating-point tensor of shape (8, 8)",
    "LateKind": "predict gave a float32 tensor of shape (2, 8, 3, 24, 24), where a uint8 tensor",
}


def write_config(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    models = "".join(f"  {name}: 'python:cheats.{name}'\n" for name in names)
    path.write_text(f"out: {folder / 'out'}\n{CONFIG}models:\n{models}  honest: python:my_world.MyWorld\n")
    return path


def rows_of(out: Path) -> dict[tuple[str, str, str], float]:
    rows = json.loads((out / "results.json").read_text())["results"]
    return {
        (row["model"], row["law"], row["metric"]): row["value"] for row in rows if row["readout"] in (None, "pixels")
    }


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """All cheats beside an honest model, measured together; where, and what was said."""
    from contextlib import redirect_stderr
    from io import StringIO

    folder, said = tmp_path_factory.mktemp("cheats"), StringIO()
    names = (*AT_CHANCE, *REFUSED, "Seeds", "Vandal", "Black", "Noise", "Search")
    with redirect_stderr(said):
        assert run("eval/run_physics.py", "--config", write_config(folder, *names)) == 2
    return folder / "out", said.getvalue()


@pytest.mark.parametrize("name", AT_CHANCE)
def test_a_cheat_is_at_chance(name: str, scored: tuple[Path, str]) -> None:
    rows = rows_of(scored[0])
    found = [value for (model, _, metric), value in rows.items() if (model, metric) == (name, "surprise_accuracy")]
    assert len(found) == 3
    assert CHANCE[0] <= sum(found) / 3 <= CHANCE[1], found


@pytest.mark.parametrize("name", REFUSED)
def test_a_cheat_is_refused_with_a_line_that_names_it_and_a_clip(name: str, scored: tuple[Path, str]) -> None:
    out, said = scored
    (line,) = [line for line in said.splitlines() if line.startswith(f"error: {name}: ")]
    assert REFUSED[name] in line
    assert re.search(r"(uniform|permanence|collision|momentum)[/_]id[/_]0[/_]\d+", line), line
    assert not [key for key in rows_of(out) if key[0] == name]
    assert name not in json.loads((out / "results.json").read_text())["models"]


def test_seeds_say_nothing_and_no_future_lies_behind_a_context(scored: tuple[Path, str]) -> None:
    """Each would say so: their assertions are in what they are asked."""
    _, said = scored
    assert "seeds tell" not in said
    assert "lie behind" not in said and "lie beside" not in said


def test_the_others_are_measured_as_if_they_were_alone(scored: tuple[Path, str], tmp_path: Path) -> None:
    """The vandal's pictures are its own; what fails, fails alone; and values do not depend on who stands beside."""
    assert (
        run("eval/run_physics.py", "--config", write_config(tmp_path), "models={honest: python:my_world.MyWorld}") == 0
    )
    both = [read_per_clip(folder / "per_clip.csv") for folder in (scored[0], tmp_path / "out")]
    among, alone = ([value for value in values if value.model in REFERENCES] for values in both)
    assert among == alone
    rows = rows_of(scored[0])
    for (model, *rest), value in rows.items():
        if model == "Vandal":
            assert value == rows["honest", *rest]


REFERENCES = ("honest", "truth", "copy_last", "constant_velocity", "frame_difference", "blind")


def test_futures_that_are_none_are_no_better_than_a_frozen_frame(scored: tuple[Path, str]) -> None:
    rows = rows_of(scored[0])
    found = {model: value for (model, _, metric), value in rows.items() if metric == "velocity_error"}
    floor = found["copy_last"]
    assert min(found["Black"], found["Noise"]) >= 0.9 * floor
    assert found["SlyMemory"] >= 0.9 * floor  # what it was shown by surprise is not asked for again


@pytest.mark.slow
def test_a_clip_that_is_made_again_is_stopped_by_a_held_out_seed_alone(
    scored: tuple[Path, str], tmp_path: Path
) -> None:
    """With the public seed a search over all clips knows every future: that cannot be stopped but by a secret."""

    def told(out: Path) -> tuple[float, float]:
        rows = rows_of(out)
        told = [v for (model, _, metric), v in rows.items() if (model, metric) == ("Search", "surprise_accuracy")]
        error = {model: v for (model, _, metric), v in rows.items() if metric == "velocity_error"}
        return sum(told) / len(told), error["Search"] / error["copy_last"]

    accuracy, error = told(scored[0])
    assert accuracy == 1.0 and error < 0.2
    secret = tmp_path / "secret"
    assert run("eval/run_physics.py", "--config", write_config(tmp_path, "Search"), f"held_out={secret}") == 0
    assert told(tmp_path / "out") == (0.5, 1.0)
    names = {value.identity for value in read_per_clip(tmp_path / "out" / "per_clip.csv")}
    assert all(re.search(r"/id/0-[0-9a-f]{8}/\d+$", name) for name in names)
    written = "".join(path.read_text() for path in (tmp_path / "out").rglob("*") if path.suffix in (".json", ".csv"))
    assert secret.read_text().strip() not in written


@pytest.mark.slow
def test_a_rerun_measures_what_is_missing_and_nothing_else(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    config = write_config(tmp_path, "Unlucky")
    monkeypatch.setenv("UNLUCKY", "1")
    assert run("eval/run_physics.py", "--config", config) == 2
    said = capsys.readouterr().err
    assert "error: Unlucky: failed with MemoryError: no room for " in said and "; its rows are left out" in said
    assert re.search(r"no room for permanence/id/0/\d+/[ab]", said)  # the true name, where the model knew another
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "units").iterdir()}
    assert not {key for key in rows_of(tmp_path / "out") if key[0] == "Unlucky"}
    monkeypatch.delenv("UNLUCKY")
    assert run("eval/run_physics.py", "--config", config) == 0
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "units").iterdir()}
    assert all(after[path] == changed for path, changed in before.items())
    assert {path.name.split(".")[1] for path in after.keys() - before.keys()} == {"Unlucky"}
    rows = rows_of(tmp_path / "out")
    assert rows["Unlucky", "permanence", "surprise_accuracy"] == rows["honest", "permanence", "surprise_accuracy"]


# --- a benchmark: possible and impossible videos in turn ---


def test_names_and_the_order_of_files_tell_nothing_of_a_benchmark(tmp_path: Path, capsys: Any) -> None:
    folder, pairs = tmp_path / "grasp", 12
    for number in range(pairs):
        for side, shift in (("P", 0), ("IP", 1)):
            samples.recording(folder / f"{side}_Collision" / f"{number}.mp4", 2 * number + shift, 80 + number)
    config = (
        "shape.num_frames=8", "shape.height_px=24", "shape.width_px=24", "context_frames=4", "chunk_frames=4",
    )  # fmt: skip
    named = [f"--model={name}=python:cheats.{name}" for name in ("Label", "SlyCalls", "LateNan", "Memory")]
    models = [*named, "--model=honest=python:my_world.MyWorld"]
    assert run("eval/score_benchmark.py", "grasp", folder, *models, "--out", tmp_path / "out", *config) == 2
    said = capsys.readouterr().err
    assert re.search(r"error: LateNan: surprise of grasp/I?P_Collision/\d+/\d+ gave nan", said)
    assert "error: Memory: surprise: the same clips and seeds gave other numbers the second time" in said
    rows = rows_of(tmp_path / "out")
    assert {model for model, *_ in rows} == {"Label", "SlyCalls", "honest"}
    assert rows["Label", "Collision", "auroc_score"] == 0.5
    assert 0.2 <= rows["SlyCalls", "Collision", "auroc_score"] <= 0.8
    assert rows["SlyCalls", "Collision", "relative_accuracy_score"] <= 0.7
    # In the order of the files it would have been right about every pair.
    possible = [entry.possible for entry in BENCHMARKS["grasp"].entries(folder)]
    assert possible == [True, False] * pairs


# --- how clips are put before a model ---


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.integers(1, 6), st.randoms())
def test_batches_hold_each_clip_once_and_no_two_of_a_group(numbers: list[int], groups: int, random: Any) -> None:
    names = [f"{number:02d}" for number in numbers]
    of = [random.randrange(groups) for _ in names]
    batches = batches_of(names, of)
    assert sorted(place for batch in batches for place in batch) == list(range(len(names)))
    for batch in batches:
        assert len({of[place] for place in batch}) == len(batch)
        assert [names[place] for place in batch] == sorted(names[place] for place in batch)
    assert sorted(batches_of(names)[0]) == list(range(len(names)))


class Shown:
    """A model of another package's family: it sees tokens, and all that lies beside them."""

    def __init__(self) -> None:
        self.name, self.seen = "shown", list[Any]()

    def surprise(self, seen: Any, context_length: int, seeds: Any) -> torch.Tensor:
        self.seen.append((seen.clips, seeds))
        return seen.tokens[:, context_length:].square().mean(dim=(2, 3, 4))

    def rollout(self, context: Any, horizon: int, samples: int, seeds: Any) -> Any:
        self.seen.append((context.clips, seeds))
        return ConstantVelocity(FrameTokenizer(4, 24, 24)).rollout(context, horizon, samples, seeds)


@pytest.fixture
def evaluator() -> Evaluator:
    return Evaluator(FrameTokenizer(4, 24, 24), {}, Accelerator(cpu=True), 8, 0)


def test_every_model_sees_opaque_clips_each_of_a_quadruplet_in_a_batch_of_its_own(evaluator: Evaluator) -> None:
    made, model = quadruplets("collision", "id", 0, range(6), shape=SMALL), Shown()
    encoded = encode_quadruplets(evaluator, made)
    matrix = surprise_of(evaluator, model, encoded)
    assert (matrix == as_matrix(encoded.stack.tokens[:, 2:].square().mean(dim=(2, 3, 4)))).all()
    assert [len(clips) for clips, _ in model.seen] == [6] * 4
    quads = {name: i for i in range(6) for name in names_of(encoded.stack.clips.frames[i::6])}
    kinds = {name: i // 6 for i, name in enumerate(names_of(encoded.stack.clips.frames))}
    for clips, seeds in model.seen:
        assert clips.tracks is None
        assert clips.identity == tuple(names_of(clips.frames))
        assert {quads[name] for name in clips.identity} == set(range(6))
        assert len({kinds[name] for name in clips.identity}) > 1  # no batch is all possible
        assert [encoded.seeds[quads[name]] for name in clips.identity] == seeds
    with pytest.raises(ModelFailure, match="shown: constant_velocity extrapolates true tracks"):
        evaluator.roll_out(model, evaluator.encode(SimulatedClips("uniform", "id", shape=SMALL).clips([0])))
    assert model.seen[-1][0].frames.shape[1] == 8 and model.seen[-1][0].tracks is None


def test_a_quadruplets_seed_does_not_say_which_future_belongs_to_which_past() -> None:
    made = quadruplets("collision", "id", 0, range(3), shape=SMALL)
    swapped = type(made)(made.law, made.a_then_b, made.b_then_a, made.a, made.b, made.splice_frame, made.identity)
    assert shared_names(made) == shared_names(swapped)
    assert len(set(shared_names(made))) == 3


def test_an_honest_model_keeps_its_rows_and_is_tried_once(evaluator: Evaluator) -> None:
    model = ExternalModel("honest", MyWorld(), evaluator.tokenizer)
    encoded = encode_quadruplets(evaluator, quadruplets("momentum", "id", 0, range(2), shape=SMALL))
    assert (surprise_of(evaluator, model, encoded) == surprise_of(evaluator, model, encoded)).all()
    assert model.tried == {"surprise"}


# --- held-out clips ---


def test_a_secret_makes_other_clips_of_the_same_layouts_under_a_digest() -> None:
    public, one, other = (quadruplets("constancy", "id", seed, range(8)) for seed in (0, "0+one", "0+other"))
    assert len({names_of(made.a.frames)[0] for made in (public, one, other)}) == 3
    assert len({made.identity[0] for made in (public, one, other)}) == 3
    assert "one" not in one.identity[0]
    again = quadruplets("constancy", "id", "0+one", [3])
    assert torch.equal(again.a.frames[0], one.a.frames[3])
    assert layout_of(one.identity[0]) is not None


def test_the_secret_is_drawn_once_and_kept(tmp_path: Path) -> None:
    secret = tmp_path / "deep" / "secret"
    config = PhysicsConfig(out=tmp_path, models={}, seed=3, held_out=secret)
    first = clip_seed(config)
    assert isinstance(first, str) and first.startswith("3+") and len(first) == 34
    assert clip_seed(config) == first
    secret.write_text("my own\n")
    assert clip_seed(config) == "3+my own"
    secret.write_text("\n")
    with pytest.raises(UserError, match="is empty"):
        clip_seed(config)


def test_contexts_of_held_out_clips_do_not_give_the_secret_away(tmp_path: Path) -> None:
    from vidworld import cli

    config = write_config(tmp_path)
    with pytest.raises(SystemExit) as ended:
        arguments = ["data", "contexts", "--config", str(config), "--out", str(tmp_path / "c")]
        cli.main([*arguments, f"held_out={tmp_path / 'secret'}"])
    assert ended.value.code == 0
    files = sorted(path.name for path in (tmp_path / "c").iterdir())
    assert len(files) == CLIPS and all(re.fullmatch(r"uniform_id_0-[0-9a-f]{8}_\d\.mp4", name) for name in files)
    assert run("eval/run_physics.py", "--config", config, f"models={{gen: 'videos:{tmp_path / 'c'}'}}") == 2


# --- real video ---


def test_a_model_that_fails_on_real_video_leaves_the_others_there(tmp_path: Path, capsys: Any) -> None:
    times_s = np.arange(90) / 30
    recording = made_videos.write(
        tmp_path / "videos" / "disc.mp4", made_videos.recording(times_s, lambda t: 64 + 50 * np.sin(2 * t))
    )
    of_split("real", recording)
    real = ingest(tmp_path / "videos", tmp_path / "clips", ClipOptions(size_px=24)).out
    config = write_config(tmp_path, "Nan", "Regenerate", "Label")
    assert run("eval/run_physics.py", "--config", config, f"real={real}", "tasks=[real_video]") == 2
    said = capsys.readouterr().err
    assert re.search(r"error: Nan: surprise of (jump|freeze|missing)/real/disc.mp4/\d+/\w+ gave nan", said)
    assert re.search(r"error: Regenerate: failed with ValueError: .* \(at real/disc.mp4/\d+", said)
    found = {(value.model, value.metric) for value in read_per_clip(tmp_path / "out" / "per_clip.csv")}
    assert {(name, "physics_iq_mse") for name in ("honest", "truth", "copy_last")} <= found
    assert {model for model, _ in found}.isdisjoint({"Nan", "Regenerate"})
    assert {value for (model, _, metric), value in rows_of(tmp_path / "out").items() if model == "Label"} == {0.5}
