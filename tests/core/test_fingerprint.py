"""A fingerprint is one for equal values and another for others; what JSON does not have is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidworld.core.records import ListFingerprint, fingerprint

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(st.dictionaries(st.text(), VALUES))
def test_the_order_of_keys_is_no_matter(value):
    assert fingerprint(value) == fingerprint(dict(reversed(value.items())))


@given(VALUES)
def test_twelve_digits_that_depend_on_how_values_are_grouped(value):
    assert len(fingerprint(value)) == 12
    assert int(fingerprint(value), 16) >= 0
    assert len({fingerprint(value), fingerprint([value]), fingerprint(value, value), fingerprint()}) == 4


def test_it_is_the_same_in_every_process():
    assert fingerprint({"b": 1, "a": [0.1, None, "é"]}, "x") == "2557f3c1a39b"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_refused(number):
    with pytest.raises(ValueError, match="JSON"):
        fingerprint({"lr": number})


def test_what_json_does_not_have_is_refused():
    with pytest.raises(TypeError, match="Path"):
        fingerprint(Path("runs"))


@given(st.lists(VALUES))
def test_a_list_that_comes_bit_by_bit_has_the_fingerprint_of_the_whole(values):
    parts = ListFingerprint()
    parts.add(values[:2])
    parts.add(values[2:])
    assert str(parts) == fingerprint(values)
