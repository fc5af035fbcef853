"""Patches are cut and put together without loss."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidworld.core.errors import UserError
from vidworld.models.tokenizers import grid_shape, patchify, unpatchify

sides = st.integers(1, 4)


@given(st.tuples(sides, sides, sides), st.tuples(sides, sides, sides), st.integers(0, 2**31))
def test_unpatchify_inverts_patchify_to_the_bit(patch_size, grid, seed):
    t, h, w = (p * g for p, g in zip(patch_size, grid, strict=True))
    frames = torch.randn(2, t, 3, h, w, generator=torch.Generator().manual_seed(seed))
    patches = patchify(frames, patch_size)
    assert patches.shape[1:4] == grid
    assert torch.equal(unpatchify(patches, patch_size), frames)


def test_a_patch_holds_exactly_its_own_pixels():
    frames = torch.zeros(1, 4, 3, 8, 8)
    frames[0, 3, 1, 5, 2] = 1.0
    patches = patchify(frames, (2, 4, 4))
    assert patches.nonzero()[:, :4].tolist() == [[0, 1, 1, 0]]
    assert patches[0, 1, 1, 0].view(2, 4, 4, 3)[1, 1, 2, 1] == 1.0


@pytest.mark.parametrize(
    ("shape", "names"), [((15, 64, 64), "15 frames"), ((16, 60, 64), "60 rows"), ((16, 64, 4), "4 columns")]
)
def test_a_clip_that_does_not_divide_is_refused_by_name(shape, names):
    with pytest.raises(UserError, match=names):
        grid_shape(*shape, (4, 8, 8))
