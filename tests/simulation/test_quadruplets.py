"""Quads: impossible clips are made of possible ones' frames, and nothing but physics tells them apart."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Clips, Tracks
from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import mix
from vidworld.core.errors import UserError
from vidworld.simulation import LAWS, SCENARIOS
from vidworld.simulation.occlusion import RENDERED, at_any_time
from vidworld.simulation.pairs import crossing, turned_contact
from vidworld.simulation.quadruplets import Quadruplets, layout_of, quadruplets, splice
from vidworld.simulation.scenarios import MIN_CHANGE
from vidworld.simulation.stage import Candidates, Law, PerWorld, Ranges, Stage

COUNT = 48
SPLICE = 8
OCCLUDED = [law for law in LAWS if LAWS[law].moment_frames == -0.5]
SEEN = {law: (SPLICE - 1, SPLICE) if law in OCCLUDED else (SPLICE + round(LAWS[law].moment_frames),) for law in LAWS}
"""The frames in which A and B look the same."""


@cache
def made(law: str, split: str = "id") -> Quadruplets:
    return quadruplets(law, split, 0, range(COUNT))


def tracks(clips: Clips) -> Tracks:
    assert clips.tracks is not None
    return clips.tracks


@given(st.integers(0, 9), st.integers(0, 2**31))
def test_splicing_twice_gives_both_clips_back(frame: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    a, b = (
        Clips(torch.randint(0, 256, (2, 9, 3, 4, 5), generator=random, dtype=torch.uint8), 10.0, ("x", "y"))
        for _ in range(2)
    )
    first, second = splice(a, b, frame), splice(b, a, frame)
    assert torch.equal(splice(first, second, frame).frames, a.frames)
    assert torch.equal(splice(second, first, frame).frames, b.frames)
    assert torch.equal(first.frames[:, :frame], a.frames[:, :frame])
    assert torch.equal(first.frames[:, frame:], b.frames[:, frame:])


@pytest.mark.thorough
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("split", ["id", "ood"])
def test_impossible_clips_have_exactly_the_possible_ones_frames(law: str, split: str) -> None:
    four = made(law, split)
    possible = torch.stack([four.a.frames, four.b.frames])
    impossible = torch.stack([four.b_then_a.frames, four.a_then_b.frames])
    assert torch.equal(possible[:, :, SPLICE:], impossible[:, :, SPLICE:])
    assert torch.equal(possible[:, :, :SPLICE], impossible.flip(0)[:, :, :SPLICE])
    assert four.a_then_b.tracks is None
    assert four.identity[12] == f"{law}/{split}/0/12"
    assert four.a_then_b.identity[12] == f"{law}/{split}/0/12/a_then_b"
    assert four.b.identity[12] == f"{law}/{split}/0/12/b"


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("split", ["id", "ood"])
def test_at_the_splice_both_look_the_same(law: str, split: str) -> None:
    four = made(law, split)
    for frame in SEEN[law]:
        difference = four.a.frames[:, frame].int() - four.b.frames[:, frame].int()
        assert difference.abs().max() == 0


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("split", ["id", "ood"])
def test_pasts_differ_and_futures_differ(law: str, split: str) -> None:
    """By at least five pixels' worth of full change in the first and in the last chunk of four frames."""
    four = made(law, split)
    a, b = four.a.frames, four.b.frames
    for chunk in (slice(0, 4), slice(12, 16)):
        change = torch.maximum(a[:, chunk], b[:, chunk]) - torch.minimum(a[:, chunk], b[:, chunk])
        assert (change.amax(2).double().sum((2, 3)) / 255).amax(1).min() > 5


def accuracy(first: Float[Tensor, " pair"], second: Float[Tensor, " pair"]) -> float:
    """The share of pairs in which the second surprises more, a tie counting one half."""
    return float(((second > first).double() + 0.5 * (second == first).double()).mean())


@pytest.mark.thorough
@pytest.mark.parametrize("law", LAWS)
def test_a_frames_only_model_is_right_in_one_half(law: str) -> None:
    four = made(law)
    random = torch.Generator().manual_seed(0)
    weights = torch.randint(-9, 10, (3 * 16 * 16,), generator=random, dtype=torch.int64)

    def surprise(clips: Clips) -> Float[Tensor, " clip"]:
        pixels = clips.frames[..., 2::4, 2::4].long().flatten(2)
        return (pixels @ weights).square().sum(1).double()  # whole numbers: exact

    first = torch.cat([surprise(four.a), surprise(four.b)])
    second = torch.cat([surprise(four.a_then_b), surprise(four.b_then_a)])
    assert accuracy(first, second) == 0.5


def target_matched(four: Quadruplets, surprise: Callable[[Tensor, Tensor], Tensor]) -> float:
    """How often the future surprises less after its own past than after the other's."""
    (past_a, future_a), (past_b, future_b) = (
        (clips.frames[:, :SPLICE].float(), clips.frames[:, SPLICE:].float()) for clips in (four.a, four.b)
    )
    own = torch.cat([surprise(past_a, future_a), surprise(past_b, future_b)])
    other = torch.cat([surprise(past_b, future_a), surprise(past_a, future_b)])
    return accuracy(own.double(), other.double())


CONTROLS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "frame difference": lambda past, future: (future[:, 0] - past[:, -1]).abs().flatten(1).mean(1),
    "copy of the last frame": lambda past, future: (future - past[:, -1:]).square().flatten(1).mean(1),
    "copy of the last chunk for ever": lambda past, future: (
        (future.unflatten(1, (2, 4)) - past[:, None, -4:]).square().flatten(1).mean(1)
    ),
}


@pytest.mark.thorough
@pytest.mark.parametrize("split", ["id", "ood"])
@pytest.mark.parametrize("law", LAWS)
def test_controls_that_know_no_physics_do_not_pass(law: str, split: str) -> None:
    """Cues that are matched have a test of their own (test_cues): they solve the legacy laws."""
    scores = {name: target_matched(made(law, split), surprise) for name, surprise in CONTROLS.items()}
    assert scores["frame difference"] == 0.5
    if LAWS[law].legacy:
        assert max(scores.values()) <= 0.55, scores
    else:
        assert scores["copy of the last frame"] == 0.5


@pytest.mark.parametrize("law", LAWS)
def test_a_quad_is_the_same_in_any_batch(law: str) -> None:
    some = quadruplets(law, "id", 0, [17, 3])
    for part in ("a", "b", "a_then_b", "b_then_a"):
        assert torch.equal(getattr(some, part).frames, getattr(made(law), part).frames[[17, 3]])
        assert getattr(some, part).identity == getattr(made(law), part).at(torch.tensor([17, 3])).identity


@pytest.mark.parametrize("law", [law for law in OCCLUDED if LAWS[law].legacy])
@pytest.mark.parametrize("split", ["id", "ood"])
def test_the_disc_is_hidden_at_the_splice_and_seen_before_and_after(law: str, split: str) -> None:
    four = made(law, split)
    for clips in (four.a,) if law == "legacy_permanence" else (four.a, four.b):
        visible = tracks(clips).visible[:, :, 0]
        assert (visible[:, SPLICE - 1 : SPLICE + 1] == 0).all()
        assert (visible[:, : SPLICE - 1].amax(1) > 0.4).all()
        assert (visible[:, SPLICE + 1 :].amax(1) > 0.4).all()
        assert (visible[:, SPLICE:12].amax(1) > 0).double().mean() > 0.9


def test_every_layout_of_what_is_hidden_is_rendered_by_a_scenario() -> None:
    """A network that never saw a possible clip of some kind would be surprised by it for that alone."""
    rendered = {sampler for scenario in SCENARIOS.values() for sampler in scenario.samplers}
    assert all(at_any_time(layout) in rendered for law in OCCLUDED for layout in LAWS[law].layouts)


def test_clips_in_the_open_are_drawn_as_their_quadruplets_but_need_not_balance() -> None:
    streams, moment_s = mix(torch.arange(2000)), torch.full((2000,), 0.7, dtype=torch.float64)
    for layout in (crossing, turned_contact):
        stages = (Stage(streams, ClipShape(), LAWS["momentum"].ranges, "id") for _ in range(2))
        (_, some), (_, more) = (
            layout(stage, moment_s, balanced) for stage, balanced in zip(stages, (True, False), strict=True)
        )
        assert some.sum() < more.sum() and (more | ~some).all()


def test_the_clips_of_occlusion_are_numbered_as_they_were() -> None:
    """Their number and order decide what each clip shows: tokens that were cached before are of these."""
    names = "permanence permanence color_constancy size_constancy continuity continuity block_solidity open_solidity"
    assert [layout.__name__ for layout in RENDERED] == names.split()
    assert SCENARIOS["occlusion"].samplers == tuple(map(at_any_time, RENDERED))


def test_permanence_differs_in_the_disc_alone() -> None:
    four = made("legacy_permanence")
    a, b = tracks(four.a), tracks(four.b)
    assert a.present[:, :, 0].all() and not b.present[:, :, 0].any()
    assert torch.equal(a.present[:, :, 1], b.present[:, :, 1])
    assert torch.equal(a.position[:, :, 1].nan_to_num(), b.position[:, :, 1].nan_to_num())
    assert 0.3 < float(a.present[:, 0, 1].double().mean()) < 0.7


def test_constancy_differs_in_colour_or_size_alone() -> None:
    four = made("legacy_constancy")
    a, b = tracks(four.a), tracks(four.b)
    assert torch.equal(a.position[:, :, 0], b.position[:, :, 0])
    recolored = (a.color[:, 0] != b.color[:, 0]).any(1)
    resized = a.radius[:, 0] != b.radius[:, 0]
    assert (recolored ^ resized).all()
    assert float(resized.double().mean()) == 0.5
    ratio = (a.radius[:, 0] / b.radius[:, 0]).log().abs().exp()
    assert ratio[resized].min() >= 1.4


def test_continuity_shows_the_disc_in_the_gap_in_one_future_and_the_other_past() -> None:
    four = made("legacy_continuity")
    a, b = tracks(four.a), tracks(four.b)
    assert torch.allclose(a.velocity[:, :, 0], b.velocity[:, :, 0])
    ahead = ((b.position - a.position) * a.velocity)[:, :, 0, 0]
    assert (ahead > 0).all()  # b is ahead by the distance between the screens
    distance = (b.position - a.position)[:, 0, 0, 0].abs()
    seen_a, seen_b = a.visible[:, :, 0] > 0, b.visible[:, :, 0] > 0
    assert (seen_a[:, SPLICE:].any(1) & seen_b[:, :SPLICE].any(1)).all()
    assert (distance > 2 * a.radius[:, 0]).all()


def test_momentum_crosses_at_one_place() -> None:
    four = made("legacy_momentum")
    a, b = tracks(four.a), tracks(four.b)
    assert torch.allclose(a.position[:, SPLICE], b.position[:, SPLICE], atol=1e-12)
    change = (a.velocity - b.velocity)[:, 0, 0].norm(dim=-1)
    assert change.min() >= MIN_CHANGE
    assert (a.visible == 1).all() and (b.visible == 1).all()
    speed_a, speed_b = (t.velocity[:, 0, 0].norm(dim=-1) for t in (a, b))
    assert abs(float((speed_a - speed_b).mean())) < 3 * float((speed_a - speed_b).std()) / COUNT**0.5


def test_collisions_meet_in_the_same_place_at_the_splice() -> None:
    four = made("legacy_collision")
    a, b = tracks(four.a), tracks(four.b)
    assert torch.allclose(a.position[:, SPLICE], b.position[:, SPLICE], atol=1e-12)
    for one in (a, b):
        assert torch.allclose(one.contact_s, torch.full_like(one.contact_s, SPLICE / 10), atol=1e-9)
        apart = one.position[:, SPLICE, 0] - one.position[:, SPLICE, 1]
        assert torch.allclose(apart.norm(dim=-1), one.radius.sum(1), atol=1e-9)
        before = one.velocity[:, 0]
        assert torch.equal(one.velocity[:, SPLICE - 1], before)
        assert ((one.velocity[:, SPLICE] - before).norm(dim=-1) > 0.1).all()


def test_solidity_stops_the_disc_where_there_is_a_block() -> None:
    four = made("legacy_solidity")
    for one in (tracks(four.a), tracks(four.b)):
        turns_back = one.velocity[:, 0, 0, 0] == -one.velocity[:, -1, 0, 0]
        goes_on = one.velocity[:, 0, 0, 0] == one.velocity[:, -1, 0, 0]
        assert (turns_back ^ goes_on).all()
        assert float(turns_back.double().mean()) == 0.5
        has_block = (four.a.frames[:, SPLICE] == 200).flatten(1).any(1)
        assert torch.equal(has_block, turns_back)


@pytest.mark.thorough
@pytest.mark.parametrize("law", LAWS)
def test_another_length_and_splice(law: str) -> None:
    four = quadruplets(
        law, "val", 1, range(4), splice_frame=12, shape=ClipShape(num_frames=24, fps=16.0, height_px=64, width_px=96)
    )
    assert four.a_then_b.frames.shape == (4, 24, 3, 64, 96)
    assert torch.equal(four.a_then_b.frames[:, 12:], four.b.frames[:, 12:])
    same = 12 + round(LAWS[law].moment_frames)
    assert (four.a.frames[:, same].int() - four.b.frames[:, same].int()).abs().max() <= 1


def test_what_cannot_be_had_is_named() -> None:
    with pytest.raises(UserError, match="there is no law 'inertia'"):
        quadruplets("inertia", "id", 0, [0])
    with pytest.raises(UserError, match="splice_frame 16 must lie within the 16 frames"):
        quadruplets("momentum", "id", 0, [0], splice_frame=16)


def test_the_layout_of_a_quad_is_known_from_its_identity() -> None:
    made = [layout_of(f"legacy_solidity/id/0/{i}") for i in range(20)]
    assert made.count("block_solidity") == made.count("open_solidity") == 10
    assert {layout_of(f"legacy_collision/ood/3/{i}") for i in range(8)} == {"head_on", "oblique"}
    assert layout_of("legacy_momentum/id/0/5") == "momentum" and layout_of("momentum/id/0/5") == "crossing"
    assert {layout_of(f"solidity/val/1/{i}") for i in range(4)} == {"meeting", "passing"}
    assert layout_of("puck_a.mp4/3/jump") is None and layout_of("jump/real/0/1") is None


@pytest.mark.parametrize(("seconds", "refused"), [(0.0, False), (0.2, True)])
def test_a_law_in_which_a_seam_shows_is_refused(seconds: float, refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def turns(stage: Stage, moment_s: PerWorld) -> Candidates:
        radius, color, middle = stage.radius(1), stage.colors(1), torch.full_like(moment_s, 5.0)
        ways = [torch.tensor([sign, 0.0]).expand(len(middle), 1, 2) for sign in (1.0, -1.0)]
        point, when = torch.stack((middle, middle), dim=-1)[:, None], (moment_s + seconds)[:, None, None]
        return tuple(stage.scenes(point - way * when, way, radius, color) for way in ways), middle > 0

    ranges = Ranges((1.0, 1.0), (0.7, 1.0), ((2.5, 3.0),), ((1.2, 1.4),), corner=0.0)
    monkeypatch.setattr("vidworld.simulation.quadruplets.LAWS", {"turns": Law((turns,), ranges, "Nothing turns.")})
    if refused:
        with pytest.raises(UserError, match="law turns: A and B look the same neither in the frame before the splice"):
            quadruplets("turns", "id", 0, range(2))
    else:
        assert len(quadruplets("turns", "id", 0, range(2))) == 2
