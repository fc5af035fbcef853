"""The models that come with the repository are of today's networks, and play."""

from scripts import ROOT

from vidworld.models.pretrained import from_pretrained
from vidworld.play.cast import cast_of


def test_the_release_plays(tmp_path):
    cast = cast_of(from_pretrained(ROOT / "release", tmp_path))
    assert {player.name for player in cast.players} == {"regression", "diffusion", "jepa"}
    assert {"two_room", "puck", "hidden_goal", "heavy_or_light"} == set(cast.worlds)
    assert sum(file.stat().st_size for file in (ROOT / "release").rglob("*")) < 10e6
