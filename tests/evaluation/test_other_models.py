"""eval/run_physics.py without a tokenizer: videos and a class beside the references; what is missing; going on."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from my_world import MyWorld
from scripts import run

from vidworld import cli
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.core.media import write_mp4
from vidworld.evaluation.evaluator import Evaluator
from vidworld.models.external import ExternalModel
from vidworld.models.external.videos import Videos
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.simulation.simulated import SimulatedClips

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[3]
SIZE = 48
CONFIG = f"""
shape: {{num_frames: 16, fps: 10.0, height_px: {SIZE}, width_px: {SIZE}}}
scenarios: [uniform]
laws: [permanence, collision, momentum]
clips: 3
quadruplets: 2
splits: [id]
horizons: []
contexts: []
clips_at_once: 2
quadruplets_at_once: 2
models: {{}}
"""


def score(config, *arguments):
    """The exit code of the script, run in this process."""
    return run("eval/run_physics.py", "--config", config, *arguments)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "score.yaml"
    path.write_text(f"out: {tmp_path / 'scores'}\n{CONFIG}")
    return path


def truth(number):
    return SimulatedClips("uniform", "id", shape=ClipShape(height_px=SIZE, width_px=SIZE)).clips([number])


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """The true futures, as if somebody's model had continued the clips without fault."""
    folder = tmp_path_factory.mktemp("videos") / "oracle"
    folder.mkdir()
    for number in range(3):
        write_mp4(folder / f"uniform_id_0_{number}.mp4", truth(number).frames[0, 8:], 10.0)
    return folder


def rows_of(folder):
    rows = json.loads((folder / "scores" / "results.json").read_text())["results"]
    return {(row["model"], row["metric"]): row for row in rows}


@pytest.mark.slow
def test_worlds_stand_beside_the_references_and_a_stopped_run_goes_on(config, videos, tmp_path, capsys):
    models = (f"models.exact=videos:{videos}", "models.mine=python:my_world.MyWorld")
    assert score(config, *models) == 0
    rows = rows_of(tmp_path)
    moving, still = rows["exact", "velocity_error"], rows["mine", "velocity_error"]
    assert moving["ceiling"] <= moving["value"] < 0.5 * still["value"]
    assert moving["floor"] == rows["copy_last", "velocity_error"]["value"]
    every = json.loads((tmp_path / "scores" / "results.json").read_text())["results"]
    laws = {row["law"] for row in every if (row["model"], row["metric"]) == ("mine", "surprise_accuracy")}
    assert laws == {"permanence", "collision", "momentum"}
    assert ("exact", "surprise_accuracy") not in rows
    assert ("exact", "determinism_spread") not in rows  # one file says nothing of chance
    assert ("mine", "determinism_spread") in rows
    assert rows["blind", "surprise_accuracy"]["value"] == 0.5
    assert rows["truth", "surprise_accuracy"]["value"] == 1.0
    table = (tmp_path / "scores" / "per_clip.csv").read_text()

    def units():
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "scores" / "units").iterdir()}

    before = units()
    # Rollouts of the references, the oracle, two baselines, the videos and mine; surprise of all but the videos, and
    # controls.
    assert len(before) == 2 * 6 + 3 * 7
    (tmp_path / "scores" / "results.json").unlink()
    lost = sorted(before)[0]
    lost.unlink()
    assert score(config, *models) == 0
    assert (tmp_path / "scores" / "per_clip.csv").read_text() == table
    after = units()
    assert {path for path in after if after[path] != before[path]} == {lost}

    assert score(config, *models, "seed=1") == 2  # other clips, which nobody has continued
    assert "lacks 3 of 3 clips: uniform_id_1_0.mp4, uniform_id_1_1.mp4, uniform_id_1_2.mp4" in capsys.readouterr().err


def test_a_model_measured_alone_has_the_numbers_that_it_has_beside_others(config, tmp_path):
    alone = ("models.mine=python:my_world.MyWorld", "laws=[permanence]", "oracle=false", "controls=false")
    others = {"oracle", "constant_velocity", "frame_difference", "blind"}
    assert score(config, *alone) == 0
    found = json.loads((tmp_path / "scores" / "results.json").read_text())["results"]
    assert not others & {row["model"] for row in found}
    assert score(config, *alone[:2], f"out={tmp_path / 'beside'}") == 0
    beside = json.loads((tmp_path / "beside" / "results.json").read_text())["results"]
    assert others <= {row["model"] for row in beside}
    kept = [[row | {"ceiling": 0} for row in rows if row["model"] in ("mine", "copy_last")] for rows in (found, beside)]
    assert kept[0] == kept[1] != []  # but for the ceiling, which is the oracle's where it is measured


def test_a_model_that_changed_is_measured_again(config, videos, tmp_path):
    folder = tmp_path / "oracle"
    shutil.copytree(videos, folder)
    assert score(config, f"models.exact=videos:{folder}", "laws=[]") == 0
    before = rows_of(tmp_path)["exact", "velocity_error"]["value"]
    frozen = truth(1).frames[0].clone()
    frozen[8:] = frozen[7]
    write_mp4(folder / "uniform_id_0_1.mp4", frozen[8:], 10.0)
    assert score(config, f"models.exact=videos:{folder}", "laws=[]") == 0
    assert rows_of(tmp_path)["exact", "velocity_error"]["value"] > before + 0.1


def test_missing_clips_are_named_before_anything_is_measured(config, videos, tmp_path, capsys):
    folder = tmp_path / "some"
    shutil.copytree(videos, folder)
    (folder / "uniform_id_0_2.mp4").unlink()
    assert score(config, f"models.exact=videos:{folder}") == 2
    error = capsys.readouterr().err
    assert f"{folder}: lacks 1 of 3 clips: uniform_id_0_2.mp4" in error
    assert len(error.splitlines()) == 1
    assert not list((tmp_path / "scores" / "units").iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "names no model"),
        (("models.a=vidoes:x",), "did you mean videos"),
        (("models.truth=python:my_world.MyWorld",), "cannot be named 'truth'"),
        (
            ("models.mine=python:my_world.MyWorld", "context_frames=6"),
            "no multiple of the tokenizer's chunk of 4 frames",
        ),
        (("models.mine=python:my_world.MyWorld", "horizons=[8,22]"), "horizons 22 is no multiple of the tokenizer's"),
        (("models.mine=python:my_world.MyWorld", "context_frames=16"), "leaves none of 16"),
        (("models.a=python:my_world.MyWorld", "compare=[[a, a]]"), "'a' is tested against itself"),
        (
            ("models.a=python:my_world.MyWorld", "models.b=python:my_world.MyWorld", "compare=[[a, b], [b, a]]"),
            "names a pair of models twice",
        ),
    ],
)
def test_what_cannot_be_scored_is_one_line(config, arguments, says, capsys):
    assert score(config, *arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1


def test_contexts_are_what_is_to_be_continued(config, tmp_path, capsys):
    def contexts():
        with pytest.raises(SystemExit) as ended:
            cli.main(["data", "contexts", "--config", str(config), "--out", str(tmp_path / "contexts")])
        return ended.value.code

    assert contexts() == 0
    assert "Continue each by 8 frames" in capsys.readouterr().out
    files = sorted(path.name for path in (tmp_path / "contexts").iterdir())
    assert files == [f"uniform_id_0_{number}.mp4" for number in range(3)]
    shown = Videos(tmp_path / "contexts")._read(tmp_path / "contexts" / files[1], 0, 8, 10.0)
    assert (shown.float() - truth(1).frames[0, :8].float()).abs().mean() < 3
    before = (tmp_path / "contexts" / files[0]).stat().st_mtime_ns
    assert contexts() == 0
    assert (tmp_path / "contexts" / files[0]).stat().st_mtime_ns == before


def test_contexts_of_every_condition_have_names_and_lengths_of_their_own(config, tmp_path, capsys):
    every = ["horizons=[24]", "contexts=[4]", "clips=1", "further_clips=1", "nuisance=1"]
    with pytest.raises(SystemExit):
        cli.main(["data", "contexts", "--config", str(config), "--out", str(tmp_path / "contexts"), *every])
    assert "Continue each by 8 frames (id, context_4), 24 frames (horizon_24)" in capsys.readouterr().out
    files = {path.name for path in (tmp_path / "contexts").iterdir()}
    assert files == {f"uniform_{split}_nuisance_1_0_0.mp4" for split in ("id", "horizon_24", "context_4")}


def predicted(folder, clip, begins=None):
    context = type(clip)(clip.frames[:, :8], clip.fps, clip.identity)
    return Videos(folder, begins=begins).predict(context, 8, [0])


def test_files_may_hold_the_future_alone_another_rate_or_another_size(tmp_path):
    clip = truth(0)
    future = clip.frames[0, 8:]
    name = tmp_path / "uniform_id_0_0.mp4"
    doubled = clip.frames[0].repeat_interleave(3, dim=0)
    larger = clip.frames[0].repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
    for frames, fps in ((clip.frames[0], 10.0), (future, 10.0), (doubled, 30.0), (larger, 10.0)):
        write_mp4(name, frames, fps)
        found = predicted(tmp_path, clip, None if frames is future else "context")
        assert found.shape == (1, *future.shape)
        assert (found[0].float() - future.float()).abs().mean() < 3, (frames.shape, fps)


def test_videos_that_cannot_be_used_are_named(tmp_path):
    clip, name = truth(0), tmp_path / "uniform_id_0_0.mp4"
    with pytest.raises(UserError, match=r"holds no \.mp4 file"):
        Videos(tmp_path)
    write_mp4(name, clip.frames[0, :12], 10.0)  # neither the clip nor its future
    with pytest.raises(UserError, match="12 frames at 10 a second are more than the future, 8 frames at 10"):
        predicted(tmp_path, clip)
    with pytest.raises(UserError, match=r"12 frames .* that begin with the context end before the future"):
        predicted(tmp_path, clip, "context")
    name.write_bytes(b"no video")
    with pytest.raises(UserError, match=r"uniform_id_0_0.mp4: cannot be read as a video"):
        predicted(tmp_path, clip)
    with pytest.raises(UserError, match=r"lacks 7 of 7 clips: .* and 2 more"):
        Videos(tmp_path).check_clips([f"bounce/id/0/{i}" for i in range(7)])


@pytest.fixture
def evaluator():
    """Clips of 24 px, 16 frames, the first 8 of them shown; frames as they are."""
    return Evaluator(FrameTokenizer(4, 24, 24), {}, Accelerator(cpu=True), 8, 0)


def test_what_a_world_predicts_does_not_change_with_the_frames_after_the_context(evaluator):
    model = ExternalModel("mine", MyWorld(), evaluator.tokenizer)
    clips = SimulatedClips("uniform", "id", shape=ClipShape(height_px=24, width_px=24)).clips([0, 1])
    other = type(clips)(
        torch.cat((clips.frames[:, :8], 255 - clips.frames[:, 8:]), dim=1), clips.fps, clips.identity, clips.tracks
    )
    one, two = (evaluator.roll_out(model, evaluator.encode(each), 2).tokens for each in (clips, other))
    assert torch.equal(one, two)
    assert not torch.equal(one[:, 0], one[:, 1])  # two samples


def test_the_table_of_clips_names_the_world(config, videos, tmp_path):
    assert score(config, f"models.gen=videos:{videos}", "laws=[]") == 0
    with (tmp_path / "scores" / "per_clip.csv").open() as file:
        models = {row["model"] for row in csv.DictReader(file)}
    assert models == {"truth", "oracle", "copy_last", "constant_velocity", "gen"}
