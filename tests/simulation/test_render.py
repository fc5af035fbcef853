"""Pictures: positions can be read back from them, coverage is the area's, and occlusion is exact."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float, UInt8
from torch import Tensor

from vidworld.core.clip_shape import ClipShape
from vidworld.simulation.simulated import BACKGROUND, SCREEN_GRAY, render_discs, share_inside, tinted, visible_share
from vidworld.simulation.stage import PALETTE

SETTING = ClipShape()


def draw(
    position: list[list[float]],
    radius: list[float],
    colors: list[int] | None = None,
    screens: list[list[float]] | None = None,
    blocks: list[list[float]] | None = None,
    setting: ClipShape = SETTING,
) -> UInt8[Tensor, "3 height width"]:
    """One picture of these discs."""
    boxes = [torch.tensor(box or [], dtype=torch.float64).reshape(1, -1, 4) for box in (screens, blocks)]
    frames = render_discs(
        torch.tensor([[position]], dtype=torch.float64),
        torch.tensor([radius], dtype=torch.float64),
        PALETTE[colors or range(len(radius))].double()[None],
        torch.ones(1, len(radius), dtype=torch.bool),
        *boxes,
        setting,
    )
    return frames[0, 0]


def light(frame: UInt8[Tensor, "3 height width"]) -> Float[Tensor, "height width"]:
    return (frame.double() - BACKGROUND * 255).sum(0)


def centroid_px(frame: UInt8[Tensor, "3 height width"]) -> tuple[float, float]:
    weight = light(frame) / light(frame).sum()
    rows, columns = (torch.arange(size, dtype=torch.float64) for size in weight.shape)
    return float(weight.sum(0) @ columns), float(weight.sum(1) @ rows)


@settings(max_examples=50)
@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0.4, 1.8),
    st.integers(0, 5),
    st.sampled_from([(64, 64), (48, 96), (65, 77), (128, 128)]),
)
def test_the_centroid_is_the_position_to_a_hundredth_of_a_pixel(
    x_share: float, y_share: float, radius: float, color: int, size: tuple[int, int]
) -> None:
    setting = ClipShape(height_px=size[0], width_px=size[1])
    x = radius + 0.3 + x_share * (10 - 2 * radius - 0.6)
    y = radius + 0.3 + y_share * (setting.height - 2 * radius - 0.6)
    column, row = centroid_px(draw([[x, y]], [radius], [color], setting=setting))
    assert column == pytest.approx(x / setting.pixel - 0.5, abs=0.01)
    assert row == pytest.approx(y / setting.pixel - 0.5, abs=0.01)


@settings(max_examples=30)
@given(st.floats(3, 7), st.floats(3, 7), st.floats(0.5, 1.8))
def test_the_light_is_the_discs_area(x: float, y: float, radius: float) -> None:
    area_px = float(light(draw([[x, y]], [radius], [0])).sum() / ((PALETTE[0] - BACKGROUND) * 255).sum())
    assert area_px == pytest.approx(math.pi * (radius * 6.4) ** 2, rel=0.01)


def test_a_discs_inside_has_its_colour_and_all_else_the_background() -> None:
    for number, color in enumerate(PALETTE):
        frame = draw([[5.0, 5.0]], [1.0], [number])
        assert torch.equal(frame[:, 32, 32], (color * 255).round().to(torch.uint8))
        assert (frame[:, :20] == round(BACKGROUND * 255)).all()


def test_touching_discs_add_up() -> None:
    """No pixel overflows where two discs share it, and each disc's light is as if it were alone."""
    for second in range(1, 6):
        apart = [[4.03, 5.0], [4.03 + 1.9 * 0.6, 5.0 + 1.9 * 0.8]]
        both = light(draw(apart, [1.0, 0.9], [0, second]))
        alone = light(draw(apart[:1], [1.0], [0])) + light(draw(apart[1:], [0.9], [second]))
        assert torch.equal(both, alone)


def test_a_screen_hides_what_is_behind_it() -> None:
    screen = [3.1, 2.9, 6.7, 7.3]
    empty = draw([[-5.0, -5.0]], [1.0], screens=[screen])
    assert torch.equal(draw([[5.0, 5.0]], [1.3], screens=[screen]), empty)
    assert (empty[:, 32, 32] == round(SCREEN_GRAY * 255)).all()
    half = draw([[6.7, 5.0]], [1.0], [1], screens=[screen])
    assert torch.equal(half[:, :, :40], empty[:, :, :40])
    assert torch.equal(half[:, 32, 45], (PALETTE[1] * 255).round().to(torch.uint8))


def test_a_screen_hides_a_block_and_a_block_is_drawn_solid() -> None:
    block, screen = [4.0, 0.0, 6.0, 10.0], [3.0, 3.0, 7.0, 7.0]
    frame = draw([[-5.0, -5.0]], [1.0], screens=[screen], blocks=[block])
    assert (frame[:, 32, 32] == round(SCREEN_GRAY * 255)).all()
    assert (frame[:, 5, 32] == 200).all() and (frame[:, 60, 32] == 200).all()


def test_discs_may_leave_the_picture() -> None:
    whole = draw([[5.0, 5.0]], [1.5])
    for shift in (-7, 7):  # pixels' worth of whole words and of parts of one
        for dimension, position in ((2, [5.0 + shift * 10 / 16, 5.0]), (1, [5.0, 5.0 + shift * 10 / 16])):
            shifted = whole.roll(4 * shift, dims=dimension)
            edge = shifted.narrow(dimension, 0 if shift > 0 else 64 - 28, 28)
            edge[:] = round(BACKGROUND * 255)
            assert (draw([position], [1.5]).int() - shifted.int()).abs().max() <= 1
    assert torch.equal(draw([[-3.0, 50.0]], [1.5]), draw([[5.0, -40.0]], [0.2]))


def test_tinted_is_the_product_of_every_byte() -> None:
    alpha = torch.arange(256, dtype=torch.uint8)
    for level in (0, 1, 25, 127, 128, 220, 235):
        result = tinted(alpha.view(torch.int32), torch.tensor(level + 1, dtype=torch.int32)).view(torch.uint8)
        assert (result.double() - alpha.double() * level / 255).abs().max() <= 1.0
        assert result[0] == 0 and result[255] == level


def test_the_share_inside_a_half_plane_is_the_circular_segments() -> None:
    edge = torch.linspace(-1, 1, 101, dtype=torch.float64)
    far = torch.full_like(edge, 5.0)
    segment = 0.5 + (edge * (1 - edge**2).sqrt() + edge.asin()) / math.pi
    assert torch.allclose(share_inside(-far, -far, edge, far), segment, atol=1e-3)
    assert torch.allclose(share_inside(-far, -far, far, edge), segment, atol=1e-3)
    assert torch.allclose(share_inside(edge, -far, far, far), 1 - segment, atol=1e-3)


def test_visible_is_exact_at_both_ends_and_agrees_with_the_picture() -> None:
    screen = [3.0, 3.0, 6.0, 7.0]
    x = torch.linspace(-1.5, 11.5, 131, dtype=torch.float64)
    position = torch.stack([x, torch.full_like(x, 5.0)], dim=1)[None, :, None]
    radius = torch.ones(1, 1, dtype=torch.float64)
    boxes = torch.tensor([[screen]], dtype=torch.float64)
    visible = visible_share(position, radius, boxes, SETTING)[0, :, 0]
    assert (visible[(x >= 4) & (x <= 5)] == 0).all()
    assert (visible[((x >= 1) & (x <= 2)) | ((x >= 7) & (x <= 9))] == 1).all()
    assert (visible[x <= -1] == 0).all()
    empty = draw([[50.0, 5.0]], [1.0], screens=[screen])
    full = light(draw([[8.0, 5.0]], [1.0])).sum()
    for i in range(0, len(x), 7):
        shown = draw([position[0, i, 0].tolist()], [1.0], screens=[screen]).double() - empty.double()
        # a disc's light over the screen's grey is not counted: only where the screen does not cover
        assert float(shown.sum() / full) == pytest.approx(float(visible[i]), abs=0.02)
