"""Pretrained autoencoders, quantisation and the frames themselves, behind the interface of our own tokenizer."""

import json
import math
from pathlib import Path

import pytest
import tiny_models
import torch
from accelerate import Accelerator
from measured import rollout_values, surprise_values
from scripts import run

from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.surprises import encode_quadruplets, surprise_of
from vidworld.models.diffusion import DiffusionTransformer, GenerativeModel
from vidworld.models.files import save_model
from vidworld.models.tokenizers import FrameTokenizer, Tokenizer, load_tokenizer
from vidworld.models.tokenizers.autoencoder import Autoencoder, nearest_code, quantised
from vidworld.models.tokenizers.video_vae import (
    AUTOENCODERS,
    PretrainedAutoencoder,
    decode_latents,
    encode_latents,
    load_pretrained,
)
from vidworld.models.world_model import CopyLast
from vidworld.simulation.quadruplets import quadruplets
from vidworld.simulation.simulated import SimulatedClips

ROOT = Path(__file__).parents[3]
THREE_LAWS = ("permanence", "collision", "momentum")
CAUSAL_FROM = {"AutoencoderKLCogVideoX": 1}
"""Chunks whose tokens depend on the next: its first slice is two latents long, and its norms average over a slice."""


def clips_of(count=2, scenario="collision"):
    return SimulatedClips(scenario, "id", shape=ClipShape(height_px=24, width_px=24)).clips(range(count))


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """Every tokenizer, with statistics of a few clips; the pretrained ones saved, adopted, saved and loaded."""
    root = tmp_path_factory.mktemp("tokenizers")
    frames = clips_of(4).frames
    made = {"frames": FrameTokenizer(4, 24, 24)}
    torch.manual_seed(0)
    made["quantised"] = Autoencoder(
        patch_size=(4, 8, 8), channels=16, width=32, depth=1, heads=1, grid=(3, 3), levels=8
    )
    made["quantised"].fit_components(frames)
    made["quantised"].eval().fit_statistics(frames)
    for kind in tiny_models.VAES:
        adopted = PretrainedAutoencoder.adopt(tiny_models.save_vae(kind, root / kind / "theirs"))
        adopted.fit_statistics(frames[i : i + 2] for i in (0, 2))
        save_model(adopted, root / kind / "ours", {})
        made[kind] = load_tokenizer(root / kind / "ours")
        assert made[kind].fingerprint() == adopted.fingerprint()
    return made


NAMES = ["frames", "quantised", *tiny_models.VAES]


@pytest.mark.thorough
@pytest.mark.parametrize("name", NAMES)
def test_three_laws_end_to_end(name, tokenizers):
    tokenizer = tokenizers[name]
    assert isinstance(tokenizer, Tokenizer)
    torch.manual_seed(0)
    network = DiffusionTransformer(tokenizer.channels, width=16, depth=1, heads=1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    model = GenerativeModel(network, "diffusion", steps=1, shift=3.0, levels=(0.7,))
    evaluator = Evaluator(tokenizer, {}, Accelerator(cpu=True), 8, 0)
    for law in THREE_LAWS:
        made = quadruplets(law, "id", 0, [0], 8, shape=ClipShape(height_px=24, width_px=24))
        encoded = encode_quadruplets(evaluator, made)
        matrix = surprise_of(evaluator, model, encoded)
        values = surprise_values(matrix, made)
        assert matrix.shape == (1, 2, 2, 2)
        assert 0 <= values["surprise_accuracy"] <= 1
        assert surprise_values(surprise_of(evaluator, None, encoded), made)["surprise_accuracy"] == 1.0
    measured = rollout_values(evaluator, [model, CopyLast(tokenizer)], clips_of(), "collision")
    assert all(math.isfinite(value.value) for value in measured)
    reconstruction = {value.metric for value in measured if value.model == "reconstruction"}
    if name == "frames":
        assert not reconstruction  # nothing is lost, so that there is nothing to measure
    else:
        assert {"psnr", "centroid_error", "velocity_error"} <= reconstruction


@pytest.mark.parametrize("name", NAMES)
def test_clips_come_back_in_shape_and_tokens_have_unit_deviation(name, tokenizers):
    tokenizer, frames = tokenizers[name], clips_of(4).frames
    tokens = tokenizer.encode(frames)
    assert tuple(tokens.shape[1:4]) == tokenizer.grid_of(16, 24, 24)
    assert tokens.shape[-1] == tokenizer.channels
    decoded = tokenizer.decode(tokens)
    assert decoded.shape == frames.shape
    assert decoded.dtype == torch.uint8
    if name == "frames":
        assert torch.equal(decoded, frames)
    else:
        assert torch.allclose(tokens.mean(dim=(0, 1, 2, 3)), torch.zeros(tokenizer.channels), atol=1e-3)
        deviation = tokens.std(dim=(0, 1, 2, 3))
        assert (((deviation - 1).abs() < 0.01) | (deviation < 1e-3)).all()  # or the channel says nothing


@pytest.mark.parametrize("name", NAMES)
def test_no_token_depends_on_later_chunks(name, tokenizers):
    tokenizer, frames = tokenizers[name], clips_of(1).frames
    tokens = tokenizer.encode(frames)
    for chunk in range(1 + CAUSAL_FROM.get(name, 0), 4):
        changed = frames.clone()
        changed[:, 4 * chunk :] = 255 - changed[:, 4 * chunk :]
        after = tokenizer.encode(changed)
        assert torch.equal(after[:, :chunk], tokens[:, :chunk])
        assert not torch.equal(after[:, chunk], tokens[:, chunk])


@pytest.mark.parametrize("name", tiny_models.VAES)
def test_a_pretrained_tokenizer_remembers_and_leaves_out_the_frames_that_do_not_fit(name, tokenizers):
    tokenizer, frames = tokenizers[name], clips_of(1).frames
    tokens = tokenizer.encode(frames)
    changed = frames.clone()
    changed[:, :3] = 0
    assert tokenizer.unseen_frames == 3
    assert torch.equal(tokenizer.encode(changed), tokens)
    assert torch.equal(tokenizer.decode(tokens)[:, 0], tokenizer.decode(tokens)[:, 3])
    changed[:, 4:8] = 255 - changed[:, 4:8]
    assert tokenizer.remembers
    assert not torch.equal(tokenizer.encode(changed)[:, 2:], tokens[:, 2:])
    with pytest.raises(UserError, match="16 frames of 24 x 26 px does not divide"):
        tokenizer.encode(torch.zeros(1, 16, 3, 24, 26, dtype=torch.uint8))


@pytest.mark.parametrize("name", tiny_models.VAES)
def test_latents_are_one_and_n_times_the_ratio_of_frames(name, tmp_path):
    vae = load_pretrained(tiny_models.save_vae(name, tmp_path / "vae"), AUTOENCODERS)
    with torch.no_grad():
        for number in range(4):
            latents = encode_latents(vae, torch.randint(256, (1, 1 + 4 * number, 3, 16, 16), dtype=torch.uint8))
            assert latents.shape[2] == 1 + number
            assert decode_latents(vae, latents).shape == (1, 1 + 4 * number, 3, 16, 16)


def test_the_quantiser_of_vidtok_gives_its_eight_levels(tmp_path):
    vae = load_pretrained(tiny_models.save_vae("AutoencoderVidTok", tmp_path / "vae"), AUTOENCODERS)
    codes = encode_latents(vae, torch.randint(256, (1, 5, 3, 16, 16), dtype=torch.uint8)) * 4
    assert torch.allclose(codes, codes.round(), atol=1e-5)
    assert codes.min() >= -4 and codes.max() <= 3


@pytest.mark.parametrize("levels", [2, 3, 5, 8])
def test_codes_are_so_many_evenly_spaced_numbers(levels):
    latents = torch.linspace(-20, 20, 4001, dtype=torch.float64, requires_grad=True)
    codes = quantised(latents, levels)
    different = codes.detach().unique()
    assert len(different) == levels
    assert torch.allclose(different.diff(), different.diff()[0].expand(levels - 1))
    assert float(different.abs().max()) == pytest.approx(2.0)
    assert torch.equal(nearest_code(codes.detach(), levels), codes.detach())
    assert torch.equal(nearest_code(codes.detach() + 0.1 / levels, levels), codes.detach())
    assert nearest_code(torch.tensor([-99.0, 99.0]), levels).tolist() == [different.min(), different.max()]
    codes.sum().backward()
    assert (latents.grad >= 0).all() and latents.grad.max() > 0.4  # straight through the rounding


def test_a_quantised_tokenizer_gives_codes_and_decodes_the_nearest(tokenizers):
    tokenizer, frames = tokenizers["quantised"], clips_of(2).frames
    tokens = tokenizer.encode(frames)
    latents = tokens * tokenizer.latent_std + tokenizer.latent_mean
    assert torch.allclose(nearest_code(latents, 8), latents, atol=1e-5)
    assert len(latents.mul(2).round().unique()) <= 8
    near = tokens + 0.1 * torch.rand_like(tokens) / tokenizer.latent_std
    assert torch.equal(tokenizer.decode(near), tokenizer.decode(tokens))
    error = (tokenizer.decode(tokens).float() - frames.float()).square().mean() / 255**2
    assert -10 * error.log10() > 18  # before any training


def test_a_quantised_tokenizer_learns_through_the_rounding(tokenizers):
    torch.manual_seed(0)
    frames = clips_of(8).frames
    network = Autoencoder(channels=16, width=32, depth=1, heads=1, grid=(3, 3), levels=5)
    network.fit_components(frames)
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=4e-3)
    losses = []
    no_noise = torch.zeros(8, *network.grid_of(16, 24, 24), 16)
    for _ in range(25):
        loss = network(frames, no_noise, 1e-6)
        assert loss.kl == 0
        loss.total.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.total.detach()))
    assert losses[-1] < 0.85 * losses[0]
    assert network.encoder[0].mlp[0].weight.abs().sum() > 0


def test_an_adopted_tokenizer_is_trained_upon_like_our_own(tmp_path, capsys):
    theirs = tiny_models.save_vae("AutoencoderKLWan", tmp_path / "theirs")
    config = tmp_path / "adopt.yaml"
    data = ["data.clips=8", "data.shape.height_px=32", "data.shape.width_px=32"]
    config.write_text(f"out: {tmp_path / 'tokenizer'}\npretrained: {theirs}\nclips: 8\n")
    assert run("train/adopt_tokenizer.py", "--config", config, *data) == 0
    budget = json.loads((tmp_path / "tokenizer" / "model" / "budget.json").read_text())
    assert budget["steps"] == 0 and len(budget["fingerprint"]) == 12
    assert run("train/adopt_tokenizer.py", "--config", config, *data) == 0
    assert "nothing to do" in capsys.readouterr().out
    short = ["steps=2", "global_batch_size=2", "log_every=1", "mixed_precision=no", "compile=false", *data]
    common = ["--config", ROOT / "configs/demo/diffusion.yaml", f"tokenizer={tmp_path / 'tokenizer'}", *short]
    small = ["model.width=32", "model.depth=1", "model.heads=1"]
    assert run("train/train_world_model.py", *common, f"out={tmp_path / 'diffusion'}", *small) == 0
    trained = json.loads((tmp_path / "diffusion" / "model" / "budget.json").read_text())
    assert trained["tokenizer"] == budget["fingerprint"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["pretrained=nowhere"], "nowhere: there is no such folder"),
        (["data.shape.num_frames=18"], "18 frames is no multiple of 4"),
        (["clips=0"], "clips"),
    ],
)
def test_what_cannot_be_adopted_is_one_line(change, says, tmp_path, capsys):
    theirs = tiny_models.save_vae("AutoencoderKLWan", tmp_path / "theirs")
    config = tmp_path / "adopt.yaml"
    config.write_text(f"out: {tmp_path / 'tokenizer'}\npretrained: {theirs}\n")
    assert run("train/adopt_tokenizer.py", "--config", config, *change) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1
