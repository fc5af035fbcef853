"""Checkpoints that break, fill the disk or belong to another run."""

import errno
import json
import os
import shutil

import pytest
import torch

from vidworld.core import records
from vidworld.core.errors import UserError
from vidworld.models.schema import KeepConfig
from vidworld.training import checkpoint
from vidworld.training.checkpoint import State, checkpoints, load_checkpoint, newest_checkpoint, save_checkpoint

KEEP = KeepConfig(last=2, best=0, every=0)


def state(value, loss=None):
    return State({"network": {"weight": torch.full((4, 4), float(value))}}, {"loss": loss})


@pytest.fixture
def run_folder(tmp_path):
    """A run with checkpoints of the steps 1 and 2."""
    for step in (1, 2):
        save_checkpoint(tmp_path, step, state(step), KEEP)
    return tmp_path


def newest_value(run_folder):
    step, path = newest_checkpoint(run_folder)
    assert float(load_checkpoint(path).tensors["network"]["weight"][0, 0]) == step
    return step


def test_what_is_saved_comes_back(run_folder):
    assert newest_value(run_folder) == 2
    assert load_checkpoint(checkpoints(run_folder)[0][1]).numbers["step"] == 1


@pytest.mark.parametrize("file", ["network.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("fault", ["deleted", "cut", "changed"])
def test_a_broken_newest_checkpoint_is_set_aside_with_one_line(file, fault, run_folder, capsys):
    path = checkpoints(run_folder)[-1][1] / file
    content = path.read_bytes()
    if fault == "deleted":
        path.unlink()
    elif fault == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    assert newest_value(run_folder) == 1
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1
    assert "step_00000002" in said[0]
    assert "going back" in said[0]
    assert (run_folder / "checkpoints" / "broken_step_00000002").exists()


def test_a_checkpoint_is_not_believed_by_its_name_nor_by_an_empty_manifest(run_folder, capsys):
    newest = checkpoints(run_folder)[-1][1]
    renamed = newest.rename(newest.with_name("step_99999999"))
    assert newest_value(run_folder) == 1
    assert f"{renamed}: state.json is of step 2; set aside" in capsys.readouterr().out
    (checkpoints(run_folder)[-1][1] / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="none of its checkpoints is whole"):
        newest_checkpoint(run_folder)
    assert "does not name its files" in capsys.readouterr().out


def test_where_no_checkpoint_is_whole_that_is_said_and_they_are_kept(run_folder, capsys):
    for _, path in checkpoints(run_folder):
        (path / "network.safetensors").unlink()
    with pytest.raises(UserError, match="none of its checkpoints is whole"):
        newest_checkpoint(run_folder)
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert len(list((run_folder / "checkpoints").glob("broken_*"))) == 2
    assert newest_checkpoint(run_folder) is None


def test_a_kill_in_the_middle_of_a_save_leaves_nothing_that_is_taken_for_a_checkpoint(run_folder):
    shutil.copytree(checkpoints(run_folder)[-1][1], run_folder / "checkpoints" / ".step_00000003.part")
    assert newest_value(run_folder) == 2
    assert not list((run_folder / "checkpoints").glob(".step_*"))


@pytest.mark.parametrize("refuses", ["save_file", "write_json", "_flush"])
def test_a_full_disk_while_saving_leaves_the_older_ones(refuses, run_folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(records if refuses == "_flush" else checkpoint, refuses, full)
    with pytest.raises(UserError, match="No space left on device"):
        save_checkpoint(run_folder, 3, state(3), KEEP)
    monkeypatch.undo()
    assert [step for step, _ in checkpoints(run_folder)] == [1, 2]
    assert newest_value(run_folder) == 2


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="only root can mount a small disk")
def test_a_disk_that_is_really_full_leaves_the_older_ones_and_the_run_goes_on(tmp_path, capsys):
    if os.system(f"mount -t tmpfs -o size=300k none {tmp_path} 2>/dev/null"):
        pytest.skip("mounting is not allowed here")
    try:
        save_checkpoint(tmp_path, 1, state(1), KEEP)
        writer = checkpoint.CheckpointWriter(tmp_path, KEEP)
        writer.save(2, State({"network": {"weight": torch.zeros(300, 300)}}, {"loss": None}))
        writer.wait()
        assert "training goes on" in capsys.readouterr().out
        assert newest_value(tmp_path) == 1
        writer.save(3, state(3))
        writer.wait(must=True)
        assert newest_value(tmp_path) == 3
    finally:
        os.system(f"umount {tmp_path}")


def test_the_last_the_best_and_every_nth_stay(tmp_path):
    keep = KeepConfig(last=2, best=1, every=4)
    for step, loss in enumerate([5.0, 4.0, 0.5, 3.0, 2.0, 2.5, 1.0, 1.5, 1.2, 1.1], start=1):
        save_checkpoint(tmp_path, step, state(step, loss), keep)
    assert [step for step, _ in checkpoints(tmp_path)] == [3, 4, 8, 9, 10]


def test_a_checkpoint_holds_no_pickle(run_folder):
    for _, path in checkpoints(run_folder):
        assert {file.suffix for file in path.iterdir()} == {".safetensors", ".json"}
        assert json.loads((path / "manifest.json").read_text()).keys() == {"network.safetensors", "state.json"}
