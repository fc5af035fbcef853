"""What the viewer shows: clips with rollouts, surprise and read-outs; quadruplets; a video of one's own; one file."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_play import tiny_run

from vidworld.core.errors import UserError
from vidworld.core.media import write_mp4
from vidworld.play.cast import cast_of
from vidworld.play.command import check_installed, out_folder, truth_for
from vidworld.play.readings import Parting, error_by_token, momenta
from vidworld.play.session import Session
from vidworld.play.viewed import Choice, surprise_map, viewed
from vidworld.play.viewer import usual_choices, write_static
from vidworld.simulation.simulated import SimulatedClips


@pytest.fixture(scope="module")
def cast(tmp_path_factory):
    run = tiny_run(tmp_path_factory.mktemp("run"), acts=False, scenarios=("collision", "occlusion"))
    return cast_of(run, sampling_steps=1)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A white square that goes right, wider than high, at 20 frames a second."""
    frames = torch.zeros(60, 3, 48, 96, dtype=torch.uint8)
    for time in range(60):
        frames[time, :, 16:32, 20 + time // 2 : 36 + time // 2] = 255
    return write_mp4(tmp_path_factory.mktemp("own") / "own.mp4", frames, 20.0)


def pictures(panel, view):
    image = Image.open(io.BytesIO(base64.b64decode(panel["sprite"].partition(",")[2])))
    height, width = view["size"]
    whole = np.asarray(image.convert("RGB"))
    rows, columns = len(whole) // height, whole.shape[1] // width
    return whole.reshape(rows, height, columns, width, 3).swapaxes(1, 2).reshape(-1, height, width, 3)


def test_a_clip_has_its_frames_rollouts_and_read_outs(cast):
    view = viewed(cast, Choice.of("clip/collision/id/2"))
    clips = SimulatedClips("collision", "id", shape=cast.shape).clips([2])
    assert (pictures(view["panels"][0], view)[:16] == clips.frames[0].permute(0, 2, 3, 1).numpy()).all()
    model = view["panels"][1]
    assert np.shape(model["errors"]) == np.shape(model["surprises"]) == (2, 2, 2)
    assert np.shape(model["probe"]) == (8, clips.tracks.radius.shape[1], 2)
    assert [len(values[""]) for values in view["surprise"].values()] == [2, 2, 2]
    assert json.dumps(view, allow_nan=False)


def test_a_map_of_surprise_is_the_regression_s_surprise_by_token(cast):
    """Of a model that predicts tokens both are the same error."""
    seen = cast.evaluator.encode(SimulatedClips("collision", "id", shape=cast.shape).clips([0]))
    regression = cast.players[0]
    by_token = surprise_map(cast, regression, seen, 2).mean(dim=(1, 2))
    torch.testing.assert_close(by_token, regression.model.surprise(seen, 2, [0])[0].cpu(), rtol=1e-3, atol=1e-4)


def test_a_quadruplet_has_four_clips_and_every_model_s_surprise(cast):
    view = viewed(cast, Choice.of("law/permanence/id/1"))
    assert [panel["name"] for panel in view["panels"]] == ["a", "b", "a_then_b", "b_then_a"]
    a, b, a_then_b, _ = (pictures(panel, view) for panel in view["panels"])
    assert (a_then_b[:8] == a[:8]).all() and (a_then_b[8:] == b[8:]).all()
    assert all(set(of) == {"a", "b", "a_then_b", "b_then_a"} for of in view["surprise"].values())


def test_a_video_of_one_s_own_is_cut_to_clips_and_played(cast, video):
    view = viewed(cast, Choice.of("video/video/-/0"), video)
    shown = pictures(view["panels"][0], view)
    assert view["frames"] == 16 and shown.shape == (16, 32, 32, 3) and shown.max() > 200
    assert view["places"] is None and "probe" in view["panels"][1]
    with pytest.raises(UserError, match=r"own\.mp4: has no clip 5; it is 3.0 s long"):
        viewed(cast, Choice.of("video/video/-/5"), video)
    session = Session(cast, truth_for(cast, "video", video))
    while session.now.panels[0].frames is not None:
        assert session.act().panels[1].error is not None or session.now.chunk == 6
    assert session.now.chunk == 6 and session.now.panels[1].places is None


@pytest.mark.parametrize("text", ["clip/moon/id/0", "clip/collision/nowhere/0", "video/video/-/0", "x", "clip/a/id/-1"])
def test_what_is_no_clip_is_said(cast, text):
    with pytest.raises(UserError, match=r"there is no such clip|names no clip"):
        viewed(cast, Choice.of(text))


def test_a_video_that_is_none_is_said(cast, tmp_path):
    (tmp_path / "it.mp4").write_text("no video")
    for path in (tmp_path / "it.mp4", tmp_path / "nowhere.mp4"):
        with pytest.raises(UserError, match=f"{path.name}: "):
            truth_for(cast, "video", path)


def test_a_page_for_sharing_holds_all_that_it_needs(cast, tmp_path):
    assert usual_choices(cast)[:3] == ["clip/collision/id/0", "clip/occlusion/id/0", "law/permanence/id/0"]
    path = write_static(tmp_path / "it" / "page.html", cast, ["clip/collision/id/0", "law/collision/id/0"])
    text = path.read_text(encoding="utf-8")
    data = json.loads(re.search(r"const DATA = (.*?), \$ = id", text)[1])
    assert list(data["views"]) == ["clip/collision/id/0", "law/collision/id/0"] and data["choices"] is None
    assert "https://" not in text and "src=" not in text.replace("image.src =", "")


def test_parting_needs_frames_in_a_row_and_a_disc_that_shows():
    clips = SimulatedClips("collision", "id").clips([0])
    tracks = clips.tracks.between(0, 8)
    parting = Parting()
    parting.look(tracks.position[0], tracks)
    assert parting.parted is None and parting.frames == 8
    off = tracks.position[0].clone()
    off[2] += 3.0  # one frame alone
    off[5:] = torch.nan
    parting.look(off, tracks)
    assert parting.parted == 8 + 5


def test_momentum_and_error_by_hand():
    tracks = SimulatedClips("collision", "id").clips([0]).tracks.between(0, 3)
    places = torch.tensor([[[0.0, 0.0]] * tracks.mass.shape[1], [[0.1, 0.2]] * tracks.mass.shape[1]]).double()
    found = momenta(None, places, tracks, 0.1)
    assert found[0].isnan().all()
    torch.testing.assert_close(found[1, 0], tracks.mass[0, 0] * torch.tensor([1.0, 2.0], dtype=torch.float64))
    one = torch.zeros(1, 1, 2, 2, 4)
    other = one.clone()
    other[0, 0, 1, 0] = 2.0
    assert error_by_token(one, other).tolist() == [[0.0, 0.0], [4.0, 0.0]]


def test_where_recordings_go_and_what_is_not_installed(tmp_path, monkeypatch):
    assert out_folder(tmp_path, None) == tmp_path / "play"
    assert out_folder(tmp_path, tmp_path / "x") == tmp_path / "x"
    monkeypatch.setattr("os.access", lambda *_: False)
    assert str(out_folder(tmp_path, None)) == "play"
    check_installed()
    monkeypatch.setattr("vidworld.play.command.NEEDED", ("starlette", "no_such_package"))
    with pytest.raises(UserError, match=r"no_such_package: not installed; pip install 'vidworld\[play\]'"):
        check_installed()


def test_clips_of_acting_models_are_shown_with_their_actions(tmp_path):
    acting = cast_of(tiny_run(tmp_path), models=["regression"], sampling_steps=1)
    view = viewed(acting, Choice.of("clip/puck/id/0"))
    assert np.shape(view["actions"]) == (16, 2) and len(view["panels"]) == 3
    with pytest.raises(UserError, match="there is no such clip"):
        viewed(acting, Choice.of("law/permanence/id/0"))
