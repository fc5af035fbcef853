"""Protocols: what is in the hash of a file, and what is refused."""

from dataclasses import fields, replace
from types import SimpleNamespace

import pytest
from pydantic import ValidationError
from scripts import ROOT

from vidworld.core.config import load
from vidworld.core.errors import UserError
from vidworld.planning import PLANNERS
from vidworld.planning.protocol import PlanningProtocol, check_frames, completed
from vidworld.simulation.environments.push_t import PUSH_T

FILES = sorted((ROOT / "configs" / "protocols").glob("*.yaml"))
ENVIRONMENT = SimpleNamespace(name="two_room", context_frames=8, budget_frames=50, horizon_frames=16)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_protocol_of_ours_can_be_read(path):
    protocol = load(PlanningProtocol, path)
    check_frames(completed(protocol, ENVIRONMENT), 4)


def test_protocols_differ_in_their_hashes():
    assert len({load(PlanningProtocol, path).hash for path in FILES}) == len(FILES) >= 5


def test_a_comment_and_the_order_of_keys_change_no_hash(tmp_path):
    text = "environment: two_room\nepisodes: 20\n"
    for name, given in (("a", text), ("b", f"# said\n{text}"), ("c", "episodes: 20\nenvironment: two_room\nseed: 0\n")):
        (tmp_path / f"{name}.yaml").write_text(given)
    assert len({load(PlanningProtocol, tmp_path / f"{name}.yaml").hash for name in "abc"}) == 1


OTHER = {
    **{"environment": "puck", "split": "val", "planner": "mppi", "chosen": "mean", "success": "end", "cost": "model"},
    **{
        "cost_over": "last",
        "warm_start": False,
        "exclude_solved": False,
        "context_frames": 12,
        "budget_blocks": 3,
        "discount": 0.9,
        "unseen": "remembered",
    },
}


@pytest.mark.parametrize("key", [field.name for field in fields(PlanningProtocol)])
def test_a_changed_key_changes_the_hash(key):
    usual = PlanningProtocol(environment="two_room", candidates=64, elites=8)
    value = getattr(usual, key)
    changed = OTHER[key] if key in OTHER else value * 2 if value else 1
    assert replace(usual, **{key: changed}).hash != usual.hash


def test_what_a_protocol_leaves_open_is_the_environments_own():
    protocol = completed(PlanningProtocol(environment="puck"), ENVIRONMENT)
    assert (protocol.environment, protocol.context_frames, protocol.budget_blocks) == ("two_room", 8, 12)
    assert completed(PlanningProtocol(environment="puck", budget_blocks=3), ENVIRONMENT).budget_blocks == 3
    assert (protocol.imagined_blocks, completed(protocol, PUSH_T).imagined_blocks) == (4, 4)
    assert completed(PlanningProtocol(environment="push_t"), PUSH_T).imagined_blocks == 8
    with pytest.raises(UserError, match="two_room: execute_blocks 5 are more than its horizon of 4; name a longer"):
        completed(PlanningProtocol(environment="two_room", execute_blocks=5), ENVIRONMENT)
    with pytest.raises(UserError, match="two_room: its budget of 50 frames holds no block of 64"):
        completed(PlanningProtocol(environment="two_room", block_frames=64), ENVIRONMENT)


def test_other_numbers_of_candidates_have_the_same_share_of_elites():
    usual = PlanningProtocol(environment="two_room", candidates=64, elites=8)
    assert [usual.with_candidates(n).elites for n in (1, 4, 16, 256)] == [1, 1, 2, 32]
    assert usual.with_candidates(64) == usual


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("elites: 65", "elites 65 are more than candidates 64"),
        ("execute_blocks: 6\nhorizon_blocks: 5", "execute_blocks 6 are more than horizon_blocks 5"),
        ("planner: cen", "did you mean cem"),
        ("horizon: 3", "did you mean horizon_blocks"),
        ("success: sometimes", 'success is "sometimes"'),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, given, said):
    (tmp_path / "mine.yaml").write_text(f"environment: two_room\n{given}\n")
    with pytest.raises(UserError, match=said):
        load(PlanningProtocol, tmp_path / "mine.yaml")


def test_blocks_are_whole_chunks():
    with pytest.raises(UserError, match="block_frames 6 is no multiple of the tokenizer's chunk of 4"):
        check_frames(PlanningProtocol(environment="two_room", block_frames=6), 4)


def test_a_planner_of_another_package_is_one(monkeypatch):
    monkeypatch.setitem(PLANNERS._places, "idle", "test_protocol:idle")
    assert PlanningProtocol(environment="two_room", planner="idle").hash
    with pytest.raises(ValidationError, match="no planner 'idel'; did you mean idle"):
        PlanningProtocol(environment="two_room", planner="idel")
