"""Parts of an evaluation: how many there are, and when they are no longer those that were measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidworld.core.config import load
from vidworld.evaluation import units as parts
from vidworld.evaluation.models import made_of
from vidworld.evaluation.schema import ScoreConfig
from vidworld.evaluation.units import few, forget, parts_folder


@given(st.integers(0, 300), st.integers(1, 40))
def test_pieces_are_about_equal_and_hold_each_number_once(count, most):
    pieces = few(count, most)
    assert [number for piece in pieces for number in piece] == list(range(count))
    assert all(len(piece) <= most for piece in pieces)
    assert len({len(piece) for piece in pieces[:-1]}) <= 1


def test_other_sources_and_other_code_have_parts_of_their_own(tmp_path, monkeypatch):
    first = parts_folder(tmp_path, ["one"])
    assert first == parts_folder(tmp_path, ["one"]) != parts_folder(tmp_path, ["two"])
    (tmp_path / "package").mkdir()
    monkeypatch.setattr(parts, "PACKAGE", tmp_path / "package")
    assert first != parts_folder(tmp_path, ["one"])
    forget(tmp_path)
    assert not first.exists()
    forget(tmp_path)


@pytest.mark.parametrize(
    ("override", "same"),
    [("out=elsewhere", True), ("clips=3", False), ("worlds=['videos:films']", True)],
)
def test_a_configuration_is_told_by_what_it_measures(tmp_path, override, same):
    """Its worlds are told by their files, not by the configuration's text."""
    (tmp_path / "score.yaml").write_text("out: here\n")
    usual, other = (load(ScoreConfig, tmp_path / "score.yaml", more) for more in ([], [override]))
    assert (made_of(usual, []) == made_of(other, [])) is same
    assert made_of(usual, [f"videos:{tmp_path}"]) != made_of(usual, [])
