"""Which model a SPEC means, and whether it is still the one that was measured."""

import os
import shutil

import pytest

from vidworld.core.errors import UserError
from vidworld.models import RUN, Spec

WORLD = "class Other:\n    def surprise(self, clips, context_frames, seeds): ...\n"


def touch_later(path):
    """As if written a second after."""
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))


def fingerprint(text):
    return Spec.parse(text).fingerprint()


def test_a_model_that_names_nothing_is_refused_with_its_name():
    with pytest.raises(UserError, match="model mine: names nothing"):
        Spec.of("mine", "")


def test_a_model_is_named_by_its_path_unless_it_is_given_a_name():
    assert Spec.parse("videos:some/folder") == ("folder", "videos", "some/folder")
    assert Spec.parse("sora=videos:some/folder").name == "sora"
    assert Spec.parse("python:package.module.Kind").name == "Kind"
    assert Spec.parse("videos:a=b/c") == ("c", "videos", "a=b/c")
    assert Spec.of("jepa", "runs/demo/jepa") == ("jepa", RUN, "runs/demo/jepa")
    with pytest.raises(UserError, match="no kind of model 'vidoes'; did you mean videos"):
        Spec.of("mine", "vidoes:folder")


def test_another_video_in_the_folder_is_another_model_and_another_time_or_place_is_not(tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    with pytest.raises(UserError, match="there is nothing there"):
        fingerprint(f"videos:{folder}")
    (folder / "uniform_id_0_0.mp4").write_bytes(b"a video")
    first = fingerprint(f"videos:{folder}")
    touch_later(folder / "uniform_id_0_0.mp4")
    assert first == fingerprint(f"videos:{folder}") == fingerprint(f"mine=videos:{folder}")
    shutil.copytree(folder, tmp_path / "two")
    assert first == fingerprint(f"videos:{tmp_path / 'two'}")
    (folder / "uniform_id_0_0.mp4").write_bytes(b"another")
    assert first != fingerprint(f"videos:{folder}")


def test_another_text_of_the_module_is_another_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "a_world_to_change.py").write_text(WORLD)
    before = fingerprint("python:a_world_to_change.Other")
    assert before == fingerprint("python:a_world_to_change.Other")
    touch_later(tmp_path / "a_world_to_change.py")
    assert before == fingerprint("python:a_world_to_change.Other")
    (tmp_path / "a_world_to_change.py").write_text(f"{WORLD}\n# changed\n")
    assert before != fingerprint("python:a_world_to_change.Other")
    with pytest.raises(UserError, match="there is no module nowhere"):
        fingerprint("python:nowhere.Other")
