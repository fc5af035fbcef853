"""Releases: weights come back as they were, or rounded by as little as their bits allow, and know what they are of."""

from dataclasses import asdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidworld.analysis.planning import EpisodeResult, PlanningResults, row_of_agent
from vidworld.cli import run
from vidworld.core.errors import UserError
from vidworld.core.records import read_json, write_json
from vidworld.models import pretrained
from vidworld.models.diffusion import DiffusionTransformer
from vidworld.models.files import check_tokenizer, fingerprint_of, load_model, save_model
from vidworld.models.pretrained import from_pretrained, models_in, write_release
from vidworld.models.tokenizers import load_tokenizer
from vidworld.models.tokenizers.autoencoder import Autoencoder

EPISODE = EpisodeResult("puck", "f00d", "mine", 0, True, True, 3, 0.1, -2.0, 4, 64, 4, 1e9, 0.5)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A tokenizer and a diffusion model on its tokens."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    tokenizer = Autoencoder(channels=8, width=64, depth=1, heads=2)
    save_model(tokenizer, folder / "tokenizer", {"parameters": 3})
    network = DiffusionTransformer(8, width=64, depth=2, heads=2)
    cost = {"family": "diffusion", "tokenizer": fingerprint_of(tokenizer), "clips_seen": 4800, "training_flops": 1.5e12}
    save_model(network, folder / "diffusion", cost)
    return folder


@pytest.mark.parametrize(("bits", "error"), [(32, 0.0), (16, 1e-3), (8, 0.01)])
def test_a_release_gives_run_folders_again(bits, error, runs, tmp_path):
    write_release(runs, tmp_path / "release", bits)
    back = from_pretrained(tmp_path / "release", tmp_path / "cache")
    first, again = (load_model(DiffusionTransformer, folder / "diffusion") for folder in (runs, back))
    for (name, a), b in zip(first.state_dict().items(), again.state_dict().values(), strict=True):
        assert (a - b).abs().max() <= error * a.abs().max(), name
    assert (fingerprint_of(again) == fingerprint_of(first)) == (bits == 32)
    budget = read_json(back / "diffusion" / "model" / "budget.json")
    assert budget["fingerprint"] == fingerprint_of(again) and budget["clips_seen"] == 4800
    assert budget.get("rounded_from", fingerprint_of(first)) == fingerprint_of(first)
    check_tokenizer(back / "diffusion", load_tokenizer(back / "tokenizer").fingerprint())
    assert from_pretrained(tmp_path / "release", tmp_path / "cache") == back


def test_a_release_replaces_an_earlier_one(runs, tmp_path):
    write_release(runs, tmp_path / "a", 8)
    write_release(runs, tmp_path / "a", 32)
    again = load_model(DiffusionTransformer, from_pretrained(tmp_path / "a", tmp_path / "cache") / "diffusion")
    assert fingerprint_of(again) == fingerprint_of(load_model(DiffusionTransformer, runs / "diffusion"))


def test_fewer_bits_are_smaller_files(runs, tmp_path):
    sizes = []
    for bits in (32, 16, 8):
        write_release(runs, tmp_path / str(bits), bits)
        sizes.append(sum(file.stat().st_size for file in (tmp_path / str(bits)).rglob("*.safetensors")))
    assert sizes[1] < 0.55 * sizes[0] and sizes[2] < 0.35 * sizes[0]


@given(st.integers(1, 5), st.floats(1e-30, 1e30), st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_eight_bits_round_each_row_by_at_most_half_a_step(rows, size, seed):
    weights = torch.randn(rows, pretrained.MIN_PACKED, generator=torch.Generator().manual_seed(seed)) * size
    weights[0] *= 1e-3
    back = pretrained._unpacked(pretrained._packed({"a": weights}, 8))["a"]
    step = weights.abs().amax(dim=1, keepdim=True) / 127
    assert ((back - weights).abs() <= 0.51 * step).all()


def test_eight_bits_leave_a_fitted_basis_orthonormal():
    basis = torch.linalg.qr(torch.randn(96, 96, generator=torch.Generator().manual_seed(0))).Q
    name = f"some.{pretrained.KEPT_WHOLE}"
    assert torch.equal(pretrained._unpacked(pretrained._packed({name: basis}, 8))[name], basis)
    network = DiffusionTransformer(8, width=64, depth=2, heads=2, prediction="fitted")
    assert pretrained.KEPT_WHOLE in network.state_dict()


def test_a_row_of_zeros_stays_one():
    weights = torch.zeros(2, pretrained.MIN_PACKED)
    assert torch.equal(pretrained._unpacked(pretrained._packed({"a": weights}, 8))["a"], weights)


def test_what_is_missing_or_broken_is_one_line(runs, tmp_path):
    with pytest.raises(UserError, match="no folder in it holds a finished model"):
        models_in(tmp_path)
    with pytest.raises(UserError, match="no finished model 'jepa'; there are tokenizer, diffusion"):
        write_release(runs, tmp_path / "a", 32, ["jepa"])
    with pytest.raises(UserError, match="no such folder"):
        from_pretrained(tmp_path / "nowhere")
    with pytest.raises(UserError, match="cannot be fetched"):
        from_pretrained("hub:no such name")
    write_release(runs, tmp_path / "b", 8)
    with pytest.raises(UserError, match=r"packed, as those of a release; .*from_pretrained\('.*b'\) makes run folders"):
        load_model(DiffusionTransformer, tmp_path / "b" / "diffusion")
    whole = (tmp_path / "b" / "diffusion" / "model" / "packed.safetensors").read_bytes()
    (tmp_path / "b" / "diffusion" / "model" / "packed.safetensors").write_bytes(whole[:-100])
    with pytest.raises(UserError, match=r"packed\.safetensors: cannot be read"):
        from_pretrained(tmp_path / "b", tmp_path / "cache")


def test_the_command_writes_a_card_of_costs_and_scores(runs, tmp_path, monkeypatch):
    run(["publish", str(runs), "--to", str(tmp_path / "mine"), "--bits", "8"])
    card = (tmp_path / "mine" / "README.md").read_text()
    first = load_model(DiffusionTransformer, runs / "diffusion")
    assert card.startswith("---\nlicense: apache-2.0\n") and "4,800 | 1.50e+12" in card
    assert f"8 bits of `{fingerprint_of(first)}`" in card and "Nothing was measured" in card
    uploaded = {}

    class Hub:
        def create_repo(self, name, exist_ok):
            uploaded["name"] = name

        def upload_folder(self, repo_id, folder_path, commit_message):
            uploaded["card"] = (folder_path / "README.md").read_text()
            uploaded["files"] = {
                str(file.relative_to(folder_path)) for file in folder_path.rglob("*") if file.is_file()
            }
            return f"https://huggingface.co/{repo_id}"

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    (runs / "planning").mkdir()
    planned = PlanningResults(
        1, {"commit": "abc", "command": "it"}, {}, [row_of_agent([EPISODE], "quick", 16, 0, "ever")]
    )
    write_json(runs / "planning" / "planning.json", asdict(planned))
    run(["publish", str(runs), "--to", "hub:me/mine", "--models", "tokenizer", "diffusion"])
    assert uploaded["name"] == "me/mine"
    assert "| puck | quick `f00d` | Mine | 1 | 1.00 [0.21, 1.00] |" in uploaded["card"]
    assert {"README.md", "release.json", "diffusion/model/diffusion_pytorch_model.safetensors"} <= uploaded["files"]
