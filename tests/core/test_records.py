import errno
import json
import math
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.tracking import LOGGER_TYPE_TO_CLASS
from hypothesis import given
from hypothesis import strategies as st

from vidworld.core import records as record
from vidworld.core.config import load, resolved, schema
from vidworld.core.errors import UserError
from vidworld.core.records import (
    append,
    append_jsonl,
    prepare_folder,
    provenance,
    read_json,
    read_jsonl,
    write_json,
    write_text,
)
from vidworld.training.run_log import RunLog


@schema
class Tiny:
    steps: int = 3


def fault(function, *arguments) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- files


def test_json_has_no_nan_and_takes_arrays(tmp_path):
    value = {"a": math.nan, "b": [math.inf, np.float32(0.5)], "c": torch.tensor([1.0, math.nan]), 3: Path("x/y")}
    write_json(tmp_path / "a.json", value | {"d": np.arange(2), "e": (True, None, "ü")})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    expected = {"a": None, "b": [None, 0.5], "c": [1.0, None], "3": "x/y", "d": [0, 1], "e": [True, None, "ü"]}
    assert json.loads(text, parse_constant=pytest.fail) == expected
    assert read_json(tmp_path / "a.json") == expected


words = st.text(max_size=10)
scalars_of_json = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words
rows_of_json = st.dictionaries(words, scalars_of_json | st.lists(scalars_of_json, max_size=3), max_size=4)


@given(st.lists(rows_of_json, max_size=5))
def test_rows_come_back_as_they_were(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "rows.jsonl"
    path.write_text("")
    for row in rows:
        append_jsonl(path, row)
    assert read_jsonl(path) == rows


def test_a_row_that_a_kill_cut_off_is_no_row_but_a_broken_one_is_said(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": 2')
    assert read_jsonl(path) == [{"a": 1}]
    path.write_text('{"a": 1}\n{"a": 2\n')
    assert "line 2 is not a JSON object" in fault(read_jsonl, path)
    assert "No such file" in fault(read_jsonl, tmp_path / "none.jsonl")
    assert "is not JSON" in fault(read_json, path)
    path.write_text("[" * 100_000 + "\n")
    assert "is not JSON" in fault(read_json, path)
    assert "line 1 is not a JSON object" in fault(read_jsonl, path)


def test_a_write_that_fails_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    write_json(path, {"a": 1})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    said = fault(write_json, path, {"a": 2})
    assert str(path) in said
    assert "No space left on device" in said
    assert read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line():
    assert "No space left on device" in fault(append_jsonl, Path("/dev/full"), {"a": 1})


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="only root can mount a small disk")
def test_what_a_full_disk_refuses_is_written_when_there_is_room(tmp_path, capsys):
    if os.system(f"mount -t tmpfs -o size=200k none {tmp_path} 2>/dev/null"):
        pytest.skip("mounting is not allowed here")
    try:
        log = RunLog(tmp_path, Tiny(), seed=4)
        log.write(1, {"loss": 1.0})
        filler = tmp_path / "filler"
        assert "No space" in fault(append, filler, bytes(2**20))
        assert filler.stat().st_size == 0
        with pytest.raises(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(100))
        for step in range(2, 200):
            log.write(step, {"loss": 1.0 * step})
        filler.unlink()
        log.write(200, {"loss": 200.0})
        (said,) = capsys.readouterr().out.splitlines()
        assert "No space left on device" in said
        assert [row["step"] for row in read_jsonl(log.metrics)] == list(range(1, 201))
        assert scalars(tmp_path)["loss"] == [(step, float(step)) for step in range(1, 201)]
    finally:
        os.system(f"umount {tmp_path}")


def write_and_be_killed(path: Path) -> None:
    os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
    write_text(path, "new")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_killed_write_leaves_the_last_good_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "good")
    process = multiprocessing.get_context("fork").Process(target=write_and_be_killed, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert path.read_text() == "good"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    assert prepare_folder(tmp_path / "a" / "b").is_dir()
    assert not list((tmp_path / "a" / "b").iterdir())
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "inside"):
        said = fault(prepare_folder, path)
        assert said.startswith(f"{path}: cannot be written (")


def test_a_process_of_the_same_number_elsewhere_may_try_the_folder_too(tmp_path, monkeypatch):
    touch = Path.touch

    def touched_and_taken_away(path):
        touch(path)
        path.unlink()

    monkeypatch.setattr(Path, "touch", touched_and_taken_away)
    assert prepare_folder(tmp_path / "shared").is_dir()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
def test_a_folder_that_takes_no_file_is_one_line():
    assert "/proc/self: cannot be written" in fault(prepare_folder, Path("/proc/self"))


# --- provenance


def test_provenance_says_what_ran():
    made = provenance(7, ["train x.py", "a=1"])
    assert (made["seed"], made["command"]) == (7, "'train x.py' a=1")
    assert made["versions"]["torch"] == torch.__version__
    assert made["device"] == "cpu" or torch.accelerator.is_available()
    assert made["cores"] >= 1
    assert made["cpu"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", made["started"])
    json.dumps(made)


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_commit_and_dirty_are_those_of_the_checkout_that_tracks_the_code(tmp_path, monkeypatch):
    code = tmp_path / "vidworld" / "record.py"
    code.parent.mkdir()
    code.write_text("1")
    monkeypatch.setattr(record, "__file__", str(code))
    made = provenance(0)
    assert (made["commit"], made["dirty"]) == (None, None)

    git(tmp_path, "init", "--quiet")
    (tmp_path / "other").touch()
    git(tmp_path, "add", "other")
    git(tmp_path, "commit", "--quiet", "--message", "somebody else's")
    assert provenance(0)["commit"] is None

    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "ours")
    made = provenance(0)
    assert (made["commit"], made["dirty"]) == (git(tmp_path, "rev-parse", "HEAD"), False)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "run.json").write_text("what a run before this one wrote", encoding="utf-8")
    assert provenance(0)["dirty"] is False
    code.write_text("2")
    assert provenance(0)["dirty"] is True


# --- a run


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {tag: [(e.step, e.value) for e in board.Scalars(tag)] for tag in board.Tags()["scalars"]}


def test_a_run_records_config_and_provenance_before_its_first_step(tmp_path):
    log = RunLog(tmp_path / "run", Tiny(steps=9), seed=4)
    assert load(Tiny, tmp_path / "run" / "config.yaml") == Tiny(steps=9)
    assert read_json(tmp_path / "run" / "provenance.json")["seed"] == 4
    assert read_jsonl(log.metrics) == []
    log.write(0, {"loss": torch.tensor(0.5), "note": "warm-up"})
    log.write(1, {"loss": math.nan, "rate": 3})
    rows = read_jsonl(log.metrics)
    assert 0 <= rows[0].pop("seconds") <= rows[1].pop("seconds")
    assert rows == [{"step": 0, "loss": 0.5, "note": "warm-up"}, {"step": 1, "loss": None, "rate": 3}]
    assert scalars(tmp_path / "run") == {"loss": [(0, 0.5)], "rate": [(1, 3.0)]}


def test_a_resumed_run_goes_on_from_its_step(tmp_path):
    log = RunLog(tmp_path, Tiny(), seed=4)
    for step in range(5):
        log.write(step, {"loss": step})
    with log.metrics.open("a") as file:
        file.write('{"step": 5, "lo')
    log = RunLog(tmp_path, Tiny(steps=8), seed=4, resumed_step=2)
    assert log.seconds >= read_jsonl(log.metrics)[-1]["seconds"]
    log.write(3, {"loss": 30})
    assert [(row["step"], row["loss"]) for row in read_jsonl(log.metrics)] == [(0, 0), (1, 1), (2, 2), (3, 30)]
    made = read_json(tmp_path / "provenance.json")
    assert [again["after_step"] for again in made["resumed"]] == [2]
    assert load(Tiny, tmp_path / "config.yaml").steps == 8
    assert scalars(tmp_path) == {"loss": [(0, 0.0), (1, 1.0), (2, 2.0), (3, 30.0)]}


def test_a_fresh_run_replaces_an_earlier_one(tmp_path):
    for value in (1.0, 2.0):
        log = RunLog(tmp_path, Tiny(), seed=4)
        log.write(0, {"loss": value})
    assert [row["loss"] for row in read_jsonl(log.metrics)] == [2.0]
    assert scalars(tmp_path) == {"loss": [(0, 2.0)]}


def test_a_tracker_that_raises_is_said_once_and_cannot_end_a_run(tmp_path, monkeypatch, capsys):
    passed = []

    class Tracker:
        def __init__(self, project, name):
            passed.append((project, name))

        def start(self):
            pass

        def store_init_configuration(self, values):
            passed.append(values)

        def log(self, values, step):
            passed.append((step, values))
            if step > 1:
                raise ConnectionError("no network")

        def finish(self):
            passed.append("finished")

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "wandb", Tracker)
    log = RunLog(tmp_path, Tiny(steps=9), seed=4, trackers=["wandb"])
    for step in (1, 2, 3):
        log.write(step, {"loss": 1.0, "note": "no number"})
    log.close()
    assert passed[:2] == [("vidworld", str(tmp_path)), resolved(Tiny(steps=9))]
    assert passed[2:] == [*((step, {"loss": 1.0}) for step in (1, 2, 3)), "finished"]
    assert capsys.readouterr().out.count("warning: wandb: no network; training goes on") == 1
    assert len(read_jsonl(tmp_path / "metrics.jsonl")) == 3
    assert not (tmp_path / "tensorboard").exists()


def test_only_the_main_process_writes(tmp_path):
    log = RunLog(tmp_path / "run", Tiny(), seed=4, main=False)
    log.write(0, {"loss": 1.0})
    assert not (tmp_path / "run").exists()


def test_half_of_a_surrogate_pair_comes_back_from_json(tmp_path):
    write_json(tmp_path / "a.json", {"a": "x\ud800 ü"})
    assert read_json(tmp_path / "a.json") == {"a": "x\ud800 ü"}
    append_jsonl(tmp_path / "a.jsonl", {"a": "x\ud800 ü"})
    assert read_jsonl(tmp_path / "a.jsonl") == [{"a": "x\ud800 ü"}]
