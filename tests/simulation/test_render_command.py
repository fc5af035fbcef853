"""`vidworld data render`."""

import argparse
from pathlib import Path

import pytest
from PIL import Image

from vidworld.core.errors import UserError
from vidworld.simulation import render_command


def render(*words: str) -> None:
    parser = argparse.ArgumentParser()
    render_command.RENDER.add_arguments(parser)
    render_command.RENDER.run(parser.parse_args(words))


def test_a_scenario_is_one_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    render("uniform", "--out", str(tmp_path / "new"), "--index", "7", "--scale", "2")
    paths = capsys.readouterr().out.split()
    assert [Path(path).name for path in paths] == ["uniform_id_0_7_clip.png", "uniform_id_0_7_clip.mp4"]
    assert all(Path(path).stat().st_size > 0 for path in paths)
    assert Image.open(paths[0]).size == (16 * 128 + 15 * 2, 128)


@pytest.mark.parametrize("words", [["momentum"], ["collision", "--quad"]])
def test_a_law_is_four_clips(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    render(*words, "--out", str(tmp_path), "--scale", "1", "--split", "ood")
    names = {Path(path).name for path in capsys.readouterr().out.split()}
    parts = ("a", "b", "a_then_b", "b_then_a")
    assert names == {f"{words[0]}_ood_0_0_{part}.{kind}" for part in parts for kind in ("png", "mp4")}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["permanance"], "there is no scenario or law 'permanance'; did you mean permanence"),
        (["unifrom"], "there is no scenario or law 'unifrom'; did you mean uniform"),
        (["xyzzy"], "there is no scenario or law 'xyzzy'; there are uniform"),
        (["uniform", "--quad"], "there is no law 'uniform'"),
        (["uniform", "--split", "vale"], "there is no split 'vale'"),
        (["uniform", "--index", "-1"], "--index -1: clips are numbered from 0"),
        (["uniform", "--num-frames", "0"], "--num-frames 0: must be more than 0"),
        (["uniform", "--fps", "nan"], "--fps nan: must be more than 0, and at most 1000"),
        (["uniform", "--fps", "1e300"], "--fps .*: must be more than 0, and at most 1000"),
        (["uniform", "--scale", "100000"], "--scale 100000: must be more than 0, and at most 64"),
        (["uniform", "--index", "99999999999999999999"], "--index 99999999999999999999: clips are numbered"),
        (["uniform", "--num-frames", "500"], "uniform/id/0: no clip fits"),
    ],
)
def test_what_cannot_be_rendered_is_named(words: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        render(*words, "--out", str(tmp_path))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: cannot be written"):
        render("uniform", "--out", str(tmp_path / "file"))
