"""What play and view are given is checked before a model is loaded."""

import pytest

from vidworld import cli
from vidworld.core.errors import UserError
from vidworld.play import cast


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["play", "release", "--environment", "pukc"], "there is no environment 'pukc'; did you mean puck"),
        (["play", "release", "--host", "0.0.0.0"], "only this machine may connect"),
        (["view", "release", "--host", "example.org"], "only this machine may connect"),
        (["play", "release", "--port", "99999999"], "--port 99999999: is no port; 1 to 65535 would do"),
        (["view", "release", "--port", "-1"], "--port -1: is no port"),
        (["view", "release", "--sampling-steps", "0"], "at least 1 is needed"),
    ],
)
def test_what_cannot_be_is_one_line_before_a_model_is_loaded(words, says, monkeypatch):
    monkeypatch.setattr(cast, "cast_of", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(UserError, match=says):
        cli.run(words)
