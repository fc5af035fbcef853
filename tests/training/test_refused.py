"""What cannot be trained, or was not, is said in one line: when a configuration is read, or before it is kept."""

from pathlib import Path

import pytest
import torch
from scripts import ROOT

from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import load
from vidworld.core.errors import UserError
from vidworld.models.diffusion import DiffusionTransformer
from vidworld.models.families import DiffusionConfig, JepaConfig, RegressionConfig
from vidworld.models.schema import TokenizerConfig, TrainConfig
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.training.data import check_clips
from vidworld.training.resilience import check_trained

DEMO = ROOT / "configs" / "demo"
KINDS = {"tokenizer": TokenizerConfig, "diffusion": DiffusionConfig, "regression": RegressionConfig, "jepa": JepaConfig}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("seed=-1", "seed"),
        (f"seed={2**32}", "seed"),
        ("data.seed=99999999999999999999", r"data\.seed"),
        ("data.scenarios={}", "names nothing to learn from"),
        ("data.scenarios={bounce: 1e-320}", "weights of scenarios add up to nothing"),
        ("data.scenarios={bounce: 1e308, kick: 1e308}", "weights of scenarios"),
        ("model.heads=3", "does not divide into 3 heads"),
        ("model.attention_backend=foo", "there is no such attention"),
        ("timeout_s=1e300", "timeout_s"),
        ("out=''", "out"),
        ('out="a\\0b"', "out"),
    ],
)
def test_a_configuration_that_cannot_be_trained_is_one_line(name: str, given: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load(KINDS[name], DEMO / f"{name}.yaml", [given])


def test_what_was_not_trained_is_not_kept() -> None:
    network = DiffusionTransformer(4, width=32, depth=1, heads=1)
    config = TrainConfig(out=Path("runs/none"), steps=5)
    check_trained(network, config, skipped=4)
    with pytest.raises(UserError, match="no model is written, as no step was taken"):
        check_trained(network, config, skipped=5)
    torch.nn.init.constant_(network.head.weight, torch.nan)
    with pytest.raises(UserError, match="finite"):
        check_trained(network, config, skipped=0)


def test_one_chunk_leaves_nothing_to_predict() -> None:
    tokenizer = FrameTokenizer(4, 32, 32)
    check_clips(tokenizer, ClipShape(num_frames=8, height_px=32, width_px=32))
    with pytest.raises(UserError, match=r"data\.shape\.num_frames=4: is one chunk.*8 or more would do"):
        check_clips(tokenizer, ClipShape(num_frames=4, height_px=32, width_px=32))
