"""A folder of videos with an actions.csv trains, and what is learned depends on what is done."""

from pathlib import Path

import acted_videos
import made_videos
import pytest
import torch
from padded_videos import of_split
from small_runs import rows, train_here

from vidworld.core.clip import packed
from vidworld.core.clip_shape import ClipShape
from vidworld.models.files import load_model
from vidworld.models.jepa import JointEmbeddingPredictor
from vidworld.models.schema import DataConfig
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.training.data import Mixture
from vidworld.video.clips import ClipOptions
from vidworld.video.ingest import ingest
from vidworld.video.real import RealClips

FPS, FRAMES, HELD = 10, 160, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos in which a disc moves by its action, which is held for a chunk; the last is held out."""
    path, done = tmp_path_factory.mktemp("acted"), {}
    for number, split in enumerate(("train",) * 4 + ("real",)):
        actions = acted_videos.actions_of(number, FRAMES - 1, HELD)
        recording = acted_videos.recording(2 * actions, seed=0)
        of_split(split, made_videos.write(path / f"{number}.mp4", recording, fps=FPS))
        done[f"{number}.mp4"] = actions
    acted_videos.write(path, done)
    return path


@pytest.mark.thorough
def test_a_folder_with_actions_trains(folder: Path, tmp_path: Path) -> None:
    """From the command lines: the network of the regression takes the actions of a chunk, 2 a frame."""
    out = ingest(folder, tmp_path / "clips", ClipOptions(size_px=32)).out
    data = (f"data.real={out}", "data.real_share=0.8", "data.scenarios={uniform: 1}")
    assert train_here("tokenizer", tmp_path / "tokenizer", *data) == 0
    assert train_here("regression", tmp_path / "regression", *data) == 0
    assert len(rows(tmp_path / "regression")) == 6
    network = load_model(JointEmbeddingPredictor, tmp_path / "regression")
    assert network.embed_action is not None and network.config.action_channels == 2 * 4
    plain = ingest(folder, tmp_path / "plain", ClipOptions(size_px=32), use_actions=False).out
    assert train_here("regression", tmp_path / "regression", *data, f"data.real={plain}") != 0  # of other clips


@pytest.mark.thorough
@pytest.mark.slow
def test_a_trained_model_depends_on_its_actions(folder: Path, tmp_path: Path) -> None:
    """On held-out clips other clips' actions make it worse; of a model that is given none they could not."""
    options, tokenizer = ClipOptions(size_px=16, num_frames=8, stride=4), FrameTokenizer(HELD, 4, 4)
    out = ingest(folder, tmp_path / "clips", options).out
    shape = ClipShape(num_frames=8, height_px=16, width_px=16)
    mixture = Mixture(DataConfig(shape=shape, clips=128, scenarios={"uniform": 1.0}, real=out, real_share=1.0))
    torch.manual_seed(0)
    network = JointEmbeddingPredictor(
        tokenizer.channels, 64, encoder_depth=1, predictor_depth=1, heads=2, action_channels=2 * HELD
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    frames, actions = mixture.clips(range(len(mixture)))
    tokens, done = tokenizer.encode(frames), packed(actions, 2)
    for _ in range(150):
        optimiser.zero_grad()
        network(tokens, done).total.backward()
        optimiser.step()
    source = RealClips(out, "real", shape)
    seen = source.clips(range(len(source)))
    assert seen.actions is not None
    with torch.no_grad():
        tokens, done = tokenizer.encode(seen.frames), packed(seen.actions, 2)
        own, others = (float(network(tokens, each).total) for each in (done, done.roll(len(done) // 3, dims=0)))
    assert others > 1.15 * own
