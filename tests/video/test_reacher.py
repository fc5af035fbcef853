"""An environment of Gymnasium by its id, an arm of MuJoCo's: its episodes are collected, and a clip of them trains."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from vidworld.core.clip import packed
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.models.jepa import JointEmbeddingPredictor
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.video.clips import ClipOptions
from vidworld.video.collect import Play, collect_episodes
from vidworld.video.ingest import ingest
from vidworld.video.real import RealClips


@pytest.mark.slow
def test_reacher_is_collected_and_trains(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="needs vidworld[mujoco]")
    try:
        made = collect_episodes(Play("Reacher-v5", size_px=32, most_frames=33), 2, tmp_path / "videos", workers=1)
    except UserError as error:
        if re.search("GL|OSMesa|ends the process", str(error)):
            pytest.skip(f"MuJoCo cannot render here: {error}")
        raise
    assert (made.made, made.died) == (2, {})
    out = ingest(tmp_path / "videos", tmp_path / "clips", ClipOptions(size_px=32, num_frames=8, stride=8)).out
    source = RealClips(out, "train", ClipShape(num_frames=8, height_px=32, width_px=32))
    clips = source.clips(range(len(source)))
    assert clips.actions is not None and clips.actions.shape[1:] == (8, 2) and clips.actions.abs().max() <= 1
    assert np.ptp(clips.frames.numpy()) > 100 and (clips.frames[:, 1:] != clips.frames[:, :-1]).any()  # the arm moves
    tokens = FrameTokenizer(4, 32, 32).encode(clips.frames)
    network = JointEmbeddingPredictor(
        tokens.shape[-1], 32, encoder_depth=1, predictor_depth=1, heads=1, action_channels=8
    )
    network(tokens, packed(clips.actions, 2)).total.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert network.embed_action is not None
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.embed_action.parameters())
