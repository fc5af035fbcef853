"""Layers in the viewer: where heads look, what is read of discs in every layer, and what it says where it cannot."""

import base64
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient
from tiny_play import tiny_run

from vidworld.core.errors import UserError
from vidworld.inside.maps import attention_of
from vidworld.play import inner as inners
from vidworld.play import viewer as viewers
from vidworld.play.cast import cast_of
from vidworld.play.inner import Inner
from vidworld.play.viewed import Choice, clips_of
from vidworld.play.viewer import view_app

CLIP = Choice.of("clip/collision/id/2")


@pytest.fixture(scope="module")
def cast(tmp_path_factory):
    run = tiny_run(tmp_path_factory.mktemp("run"), acts=False, scenarios=("collision", "uniform"))
    return cast_of(run, models=["regression", "jepa"], sampling_steps=1)


@pytest.fixture(scope="module")
def inner(cast):
    return Inner(cast)


def test_a_layer_s_attention_is_what_its_heads_give_to_every_cell_seen(cast, inner):
    found = inner.attention(CLIP, "regression", 1)
    assert found["layers"] == ["encoder.0", "predictor.0"] and found["grid"] == [2, 2] and found["heads"] == 1
    seen = cast.evaluator.encode(clips_of(cast, CLIP, None))
    assert found["chunks"][0] is None and len(found["chunks"]) == 4
    for k in (1, 3):
        each = found["chunks"][k]
        levels = np.frombuffer(base64.b64decode(each["bytes"]), np.uint8).reshape(1, 4, 4 * (k + 1))
        given = levels / 255 * np.array(each["most"])[..., None]
        true = attention_of(cast.players[0].model.network, seen.chunks(0, k + 1))["predictor.0"][0]
        np.testing.assert_allclose(given, true, atol=0.004)
        assert given.sum(axis=-1) == pytest.approx(1, abs=0.02)


def test_requests_compute_one_after_another(cast, monkeypatch):
    running, together = [], []

    def slow(*_):
        running.append(1)
        together.append(len(running))
        time.sleep(0.05)
        running.pop()
        return {}

    monkeypatch.setattr(viewers, "viewed", slow)
    monkeypatch.setattr(Inner, "attention", slow)
    with TestClient(view_app(cast, 8765), base_url="http://127.0.0.1:8765") as client, ThreadPoolExecutor(4) as pool:
        asked = [f"/clip?choice=clip/collision/id/{n}" for n in range(2)]
        asked += [f"/inside?choice={CLIP}&model=regression&layer={n}" for n in range(2)]
        assert [each.status_code for each in pool.map(client.get, asked)] == [200] * 4
    assert together == [1] * 4


def test_an_encoder_of_single_chunks_has_no_attention_to_others(inner):
    assert inner.attention(CLIP, "jepa", 0)["layers"] == ["predictor.0"]


def test_read_outs_stand_beside_the_truth(cast, inner, monkeypatch):
    monkeypatch.setattr(inners, "READ_CLIPS", 40)
    read = inner.read_outs(CLIP, "regression")
    tracks = clips_of(cast, CLIP, None).tracks
    assert read["layers"] == ["encoder.0", "predictor.0"]
    for name, true in (("velocity", tracks.velocity), ("place", tracks.position)):
        assert np.shape(read[name]["r2"]) == (2,) and np.shape(read[name]["layers"])[:3] == (2, 4, tracks.mass.shape[1])
        assert read[name]["true"][0][0] == [None, None]  # of the first chunk nothing is told
        assert read[name]["true"][2][0] == pytest.approx(true[0, 11, 0].tolist(), abs=0.01)
    assert max(read["place"]["r2"]) < 1.0


def test_a_place_that_a_layer_holds_is_read(cast, monkeypatch):
    """A planted code: of what every cell says where in it a disc is, the rest is found."""
    monkeypatch.setattr(inners, "READ_CLIPS", 60)
    planted = torch.linspace(0.1, 1.0, 16)

    def states(model, seen):
        tracks, (b, t, h, w) = seen.clips.tracks, seen.tokens.shape[:4]
        speed = tracks.velocity[:, 3::4, 0].float()
        code = torch.cat((planted * speed[..., :1], planted.flip(0) * speed[..., 1:]), dim=-1).nan_to_num()
        return code[:, :, None, None, None].expand(b, t, 2, h, w, 32)

    monkeypatch.setattr(inners, "hidden_states", states)
    one_disc = cast_of(cast.run, ["regression"], 1)
    object.__setattr__(one_disc, "worlds", ("uniform",))
    read = Inner(one_disc).read_outs(Choice.of("clip/uniform/id/0"), "regression")
    assert min(read["velocity"]["r2"]) > 0.99
    said, true = read["velocity"]["layers"][0][2][0], read["velocity"]["true"][2][0]
    assert said == pytest.approx(true, abs=0.1)


def test_what_cannot_be_looked_into_is_said(cast, inner, monkeypatch):
    for choice, model, match in ((CLIP, "x", "no model 'x'"), (Choice.of("clip/moon/id/0"), "jepa", "no such clip")):
        with pytest.raises(UserError, match=match):
            inner.attention(choice, model, 0)
    with pytest.raises(UserError, match="no layer 9 that looks back; it has 2"):
        inner.attention(CLIP, "regression", 9)
    monkeypatch.setattr(cast.players[0].model.network, "sessions", {}, raising=False)
    with pytest.raises(UserError, match="view it without --exported"):
        inner.read_outs(CLIP, "regression")


def test_the_server_answers_about_layers_alone(cast):
    client = TestClient(view_app(cast, 80), base_url="http://127.0.0.1:80")
    client.headers["host"] = "127.0.0.1:80"
    found = client.get("/inside", params={"choice": str(CLIP), "model": "jepa", "layer": "0"})
    assert found.status_code == 200 and found.json()["layers"] == ["predictor.0"]
    law = client.get("/inside", params={"choice": "law/permanence/id/0", "model": "jepa", "layer": "0"})
    assert law.status_code == 200
    for bad in (
        {"choice": str(CLIP)},
        {"choice": str(CLIP), "model": "jepa", "layer": "-1"},
        {"choice": "x", "model": "y"},
    ):
        answer = client.get("/inside", params=bad)
        assert answer.status_code == 400 and answer.json()["error"]
