"""Whether other people's models are still those that were measured."""

import os

import pytest

from vidworld.core.errors import UserError
from vidworld.models.external.registry import origin

WORLD = "class Other:\n    def surprise(self, clips, context_frames, seeds): ...\n"


def touch_later(path):
    """As if written a second after."""
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))


def test_another_film_in_the_folder_is_another_model(tmp_path):
    before = origin(f"videos:{tmp_path}")
    (tmp_path / "uniform_id_0_0.mp4").write_bytes(b"a film")
    with_film = origin(f"videos:{tmp_path}")
    touch_later(tmp_path / "uniform_id_0_0.mp4")
    assert before != with_film != origin(f"videos:{tmp_path}")
    assert origin(f"mine=videos:{tmp_path}") != origin(f"videos:{tmp_path}")


def test_another_text_of_the_module_is_another_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "a_world_to_change.py").write_text(WORLD)
    before = origin("python:a_world_to_change.Other")
    assert before == origin("python:a_world_to_change.Other")
    touch_later(tmp_path / "a_world_to_change.py")
    assert before != origin("python:a_world_to_change.Other")
    with pytest.raises(UserError, match="there is no module nowhere"):
        origin("python:nowhere.Other")
