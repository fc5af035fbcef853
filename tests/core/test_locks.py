"""Locks between processes: one holds each, another is told, and a file system without locks keeps nobody out."""

import errno

import pytest

from vidworld.core.errors import UserError
from vidworld.core.locks import alone, free_folder, hold


def test_one_holds_a_lock_and_who_does_not_wait_is_told(tmp_path):
    with alone(tmp_path / "lock") as first, alone(tmp_path / "lock", wait=False) as second:
        assert first and not second
    with alone(tmp_path / "lock", wait=False) as again:
        assert again


def test_a_lock_is_held_until_its_file_is_closed(tmp_path):
    held = hold(tmp_path / "lock")
    assert hold(tmp_path / "lock", wait=False) is None
    held.close()
    with hold(tmp_path / "lock", wait=False) as again:
        assert again is not None


def test_a_folder_in_the_place_of_a_lock_is_one_line(tmp_path):
    (tmp_path / "lock").mkdir()
    with pytest.raises(UserError, match="lock: cannot be written"):
        hold(tmp_path / "lock", wait=False)


def test_each_has_a_folder_of_its_own(tmp_path):
    with free_folder(tmp_path / "out") as one, free_folder(tmp_path / "out") as other:
        assert (one.name, other.name) == ("out_0", "out_1")


def test_where_there_are_no_locks_all_are_let_in(tmp_path, monkeypatch):
    def refuses(file, how):
        raise OSError(code, "no locks")

    monkeypatch.setattr("fcntl.flock", refuses)
    code = errno.ENOLCK
    with alone(tmp_path / "lock", wait=False) as mine:
        assert mine
    code = errno.EIO
    with pytest.raises(OSError, match="no locks"), alone(tmp_path / "lock"):
        pass
