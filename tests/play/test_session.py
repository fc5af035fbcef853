"""A session: truth and models under one hand, back and again, exactly and in bounded memory."""

import pytest
import torch
from tiny_play import tiny_run

from vidworld.core.errors import UserError
from vidworld.play.cast import cast_of
from vidworld.play.command import truth_for
from vidworld.play.recording import export_played, played_again, read_recording, scripted, write_picture
from vidworld.play.session import Session
from vidworld.play.truths import ActedTruth


@pytest.fixture(scope="module")
def cast(tmp_path_factory):
    return cast_of(tiny_run(tmp_path_factory.mktemp("acting")), sampling_steps=1)


@pytest.fixture(scope="module")
def watching(tmp_path_factory):
    """Models without actions."""
    run = tiny_run(tmp_path_factory.mktemp("watching"), acts=False, scenarios=("collision", "occlusion"))
    return cast_of(run, sampling_steps=1)


def session(cast, name="puck", number=0):
    return Session(cast, truth_for(cast, name), number)


def pictures(moment):
    return torch.cat([panel.frames for panel in moment.panels])


def test_the_cast_of_a_run(cast, watching):
    assert [player.name for player in cast.players] == ["regression", "jepa", "diffusion"]
    assert (cast.action_channels, cast.worlds, cast.chunk_frames) == (2, ("puck", "hidden_goal"), 4)
    assert (watching.action_channels, watching.worlds) == (0, ("collision", "occlusion"))


def test_a_run_that_cannot_be_played_says_why(tmp_path, cast):
    with pytest.raises(UserError, match="no such folder"):
        cast_of(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no trained model"):
        cast_of(tmp_path)
    with pytest.raises(UserError, match="holds no model 'x'; there are diffusion, jepa, regression"):
        cast_of(cast.run, ["x"])


def test_the_truth_is_the_simulator_under_the_action(cast):
    played = session(cast)
    before = played.now.seen.state
    moment = played.act((1.0, -0.5))
    state = before
    for _ in range(4):
        state = played.truth.environment.step(state, torch.tensor([[1.0, -0.5]], dtype=torch.float64))
    assert torch.equal(moment.seen.state.position, state.position)
    assert [panel.name for panel in moment.panels] == ["truth", "regression", "jepa", "diffusion", "copy_last"]
    assert torch.equal(moment.panels[-1].frames[:, 0], played.truth.start(0).frames[:, -1])


def test_models_predict_under_the_same_action(cast):
    left, right = (pictures(session(cast).act((x, 0.0))) for x in (-1.0, 1.0))
    assert all(not torch.equal(left[i], right[i]) for i in range(4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_back_and_on_again_is_as_if_nothing_had_been(cast, monkeypatch, dtype):
    if dtype != torch.float32:
        monkeypatch.setattr(cast.evaluator.accelerator, "autocast", lambda: torch.autocast("cpu", dtype))
    straight, wandering = session(cast), session(cast)
    hands = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.3), (0.2, -1.0), (1.0, 1.0), (0.0, 0.0)]
    for hand in hands:
        last = straight.act(hand)
    for hand in hands[:4]:
        wandering.act(hand)
    wandering.anchor()
    for hand in hands[:2]:
        wandering.act(hand)
    for _ in range(5):
        wandering.back()
    for hand in hands[1:]:
        again = wandering.act(hand)
    assert again.chunk == last.chunk and torch.equal(pictures(again), pictures(last))
    assert wandering.steps == straight.steps and [p.parted_s for p in again.panels] == [p.parted_s for p in last.panels]


def test_back_stops_at_what_is_kept(cast, monkeypatch):
    monkeypatch.setattr("vidworld.play.session.BACK", 4)
    played = session(cast)
    assert played.back().chunk == 0
    for _ in range(8):
        played.act((0.0, 0.0))
    chunks = [played.back().chunk for _ in range(8)]
    assert chunks[-1] == chunks[-2] == 5


def test_a_recording_plays_again_to_the_pixel(cast, tmp_path):
    played = session(cast, "hidden_goal", 3)
    for hand in [(1.0, -1.0)] * 4:
        played.act(hand)
    played.anchor()
    played.towards((2.0, 3.0))
    played.hide()
    last = played.act((0.1, 0.2))
    files = export_played(session(cast, "hidden_goal", 3), played.steps, tmp_path)
    assert [file.name for file in files] == [f"hidden_goal-3-0{kind}" for kind in (".json", ".mp4", ".gif")]
    assert all(file.stat().st_size > 200 for file in files)
    world, number, steps = read_recording(files[0], cast)
    (*_, again) = played_again(session(cast, world, number), steps)
    assert torch.equal(pictures(again), pictures(last))


@pytest.mark.parametrize("text", ["{}", "[]", '{"format": 9}', '{"format": 1, "steps": [["fly"]]}'])
def test_what_is_no_recording_is_refused(cast, tmp_path, text):
    (tmp_path / "it.json").write_text(text)
    with pytest.raises(UserError, match="is no recording of play"):
        read_recording(tmp_path / "it.json", cast)


def test_hiding_puts_the_screens_back_and_shows_it_to_the_models(cast):
    played = session(cast, "hidden_goal")
    for _ in range(6):
        played.towards((2.5, 4.0))
    lifted = played.now.seen.state.screens
    assert (lifted == 0).all(dim=2).any()
    moment = played.hide()
    assert (moment.seen.state.screens != 0).any(dim=2).all() or played.now.seen.state.opened.max() >= 0
    assert moment.stretch == 1 and all(parting.frames == 0 for parting in moment.partings.values())
    with pytest.raises(UserError, match="puck: has no screen"):
        session(cast).hide()


def test_copy_last_parts_when_the_agent_leaves_and_momentum_is_mass_times_speed(cast):
    played = session(cast)
    for _ in range(3):
        moment = played.towards((5.0, 5.0))
    panels = {panel.name: panel for panel in moment.panels}
    assert panels["copy_last"].parted_s is not None and panels["truth"].parted_s is None
    truth, tracks = panels["truth"], moment.seen.tracks
    true = tracks.mass[0][:, None] * (tracks.position[0, -1] - tracks.position[0, -2]) / 0.1
    torch.testing.assert_close(truth.momenta[-1], true, atol=0.6, rtol=0.05)


def test_models_without_actions_predict_on_and_the_truth_may_end(watching):
    played = session(watching, "occlusion")
    chunks = 0
    while played.now.panels[0].frames is not None:
        played.act()
        chunks += 1
    assert chunks == 3 and all(panel.frames is not None for panel in played.now.panels[1:])
    with pytest.raises(UserError, match="nobody knows what is true here"):
        played.anchor()
    with pytest.raises(UserError, match="trained without actions"):
        Session(watching, ActedTruth("puck", watching.shape, 4))


def test_every_scenario_of_models_without_actions_has_scenes(watching):
    from vidworld.simulation import SCENARIOS

    for name in (each for each in SCENARIOS if SCENARIOS[each].weight > 0):
        assert truth_for(watching, name).start(1).frames.shape == (1, 8, 3, 32, 32)


def test_a_scripted_hand_makes_a_moving_picture(cast, tmp_path):
    played = session(cast)
    path = write_picture(tmp_path / "it.gif", cast, scripted(played, 3), 4)
    assert path.read_bytes()[:3] == b"GIF"
    assert any(any(action) for _, action in played.steps)
    with pytest.raises(UserError, match=r"\.mp4 or \.gif"):
        write_picture(tmp_path / "it.avi", cast, [], 0)
