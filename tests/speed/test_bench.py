"""The bench: its rows add up, its peers do the same work, and its page says what its rows say."""

import importlib
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from scripts import ROOT
from torch import nn

from speed import cases, peers
from speed.bench import Growth, exponent, measure
from speed.cases import BASE, CHANNELS, CHUNKS, DEMO, GRID, Case, Size, clip_cases, reading_cases, training_step
from speed.page import write_page
from speed.timing import Probe, block_products, memory_copy, rates, square_product
from vidworld.core.config import load
from vidworld.models.families import DiffusionConfig, JepaConfig

NAP_S = 0.002
PROBE = Probe(lambda: time.sleep(NAP_S), 2e6)

CPU = torch.device("cpu")


def test_rows_set_our_rate_beside_each_peer_and_the_limit():
    case = Case("work", "things/s", 10, lambda: sum(range(1000)), {"other": lambda: sum(range(20_000))}, PROBE, 1e6)
    row, *_ = rows = list(measure([case], 0.01))
    assert (row.name, row.unit, row.peer_name) == ("work", "things/s", "other")
    assert 0.5 * 20 / NAP_S < row.limit < 20 / NAP_S  # half of what the probe does makes ten things
    assert row.ratio == pytest.approx(row.ours / row.peer)
    assert row.ratio > 3
    assert row.share_of_limit == pytest.approx(row.ours / row.limit)
    assert all(other.unit == "MB" and not other.higher_is_better for other in rows[1:])


def test_a_case_without_peer_or_limit_has_none():
    row = next(measure([Case("alone", "things/s", 1, lambda: None)], 0.01))
    assert (row.peer, row.peer_name, row.ratio, row.limit, row.share_of_limit) == (None,) * 5


def test_the_limits_are_rates():
    found = rates(
        {"products": square_product(CPU), "copy": memory_copy(CPU), "block": block_products(64, 64, CPU)}, 0.01
    )
    assert found["products"] > 1e9
    assert found["block"] > 1e8
    assert found["copy"] > 1e8


@pytest.mark.parametrize(("power", "values"), [(1, [2.0, 4.0, 8.0]), (2, [3.0, 12.0, 48.0]), (0, [5.0, 5.0, 5.0])])
def test_the_exponent_is_the_power_that_values_grow_with(power, values):
    assert exponent([1, 2, 4], values) == pytest.approx(power)


@pytest.mark.parametrize("size", [DEMO, BASE])
def test_sizes_are_those_of_the_configurations(size):
    diffusion = load(DiffusionConfig, ROOT / "configs" / size.name / "diffusion.yaml").model
    jepa = load(JepaConfig, ROOT / "configs" / size.name / "jepa.yaml").model
    assert (diffusion.width, diffusion.depth, diffusion.heads) == size[1:]
    assert (jepa.width, jepa.encoder_depth, jepa.predictor_depth, jepa.heads) == (
        *(size.width, size.depth // 3, size.depth * 2 // 3, size.heads),
    )


@pytest.mark.parametrize("folder", ["base", "demo", "short", None])
@pytest.mark.parametrize(("schema", "name"), [(DiffusionConfig, "diffusion"), (JepaConfig, "jepa")])
def test_heads_are_32_wide(folder, schema, name, tmp_path):
    """Wider ones were found to hide what a world is to remember (DECISIONS.md, 2026-11-23)."""
    path = tmp_path / "defaults.yaml" if folder is None else ROOT / "configs" / folder / f"{name}.yaml"
    if folder is None:
        path.write_text(f"out: {tmp_path}\ntokenizer: {tmp_path}\n")
    model = load(schema, path).model
    assert model.width == 32 * model.heads


def test_scaling_is_measured_on_the_demos_network(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "eval"))
    network, grid = importlib.import_module("bench_scaling").network_of_demo()
    model = load(DiffusionConfig, ROOT / "configs" / "demo" / "diffusion.yaml").model
    assert vars(model).items() <= dict(network.config).items()
    assert (*grid, network.config.channels) == (CHUNKS, *GRID, CHANNELS)


def test_the_peers_take_what_the_worlds_take_and_give_a_loss():
    torch.manual_seed(0)
    transformer = peers.VideoTransformer(channels=6, width=64, depth=1, heads=2, grid=(3, 2, 2))
    training_step(transformer, lambda: transformer(torch.randn(2, 3, 2, 2, 6)), torch.device("cpu"))()
    jepa = peers.VideoJepa(width=64, encoder_depth=1, predictor_depth=1, heads=2, num_frames=8, side_px=16)
    loss = jepa(torch.rand(2, 8, 3, 16, 16))
    loss.backward()
    assert loss > 0


def test_the_peers_have_about_as_many_parameters_as_the_worlds():
    def count(network):
        return sum(p.numel() for p in network.parameters())

    size = Size("demo", 192, 6, 3)
    theirs = peers.VideoTransformer(48, 192, 6, 3, (3, 8, 8))
    assert 0.9 < count(theirs) / count(size.diffusion(CPU)) < 1.5  # its norms have a matrix a block
    assert 0.9 < count(peers.VideoJepa(192, 4, 2, 3, 12, 64)) / count(size.jepa(CPU)) < 1.2


@pytest.mark.parametrize("make", [peers.cosmos_autoencoder, peers.ltx_autoencoder])
def test_the_peers_autoencoders_cut_as_ours_does(make):
    network = make(48)
    assert 1e6 < sum(p.numel() for p in network.parameters()) < 4e6
    with torch.no_grad():
        latents = network.encode(torch.rand(1, 3, 9, 32, 32) * 2 - 1).latent_dist.mode()
        assert latents.shape == (1, 48, 3, 4, 4)  # theirs take the first frame by itself
        assert network.decode(latents).sample.shape == (1, 3, 9, 32, 32)


def test_pymunks_clips_show_two_discs_that_meet_and_part():
    frames = peers.pymunk_videos(clips=1, num_frames=16, fps=10.0, side_px=64)
    assert frames.shape == (1, 16, 3, 64, 64)
    red = (frames[0, :, 0] > 150) & (frames[0, :, 2] < 100)
    across = torch.arange(64.0)
    x = (red * across).sum(dim=(1, 2)) / red.sum(dim=(1, 2))
    assert x[0] < x[6]
    assert x[15] < x[8]


def test_reading_and_making_clips_give_as_many_frames_as_they_say(tmp_path):
    (reading,) = reading_cases(tmp_path, seconds=1)
    counts = {name: sum(len(batch) for batch in job()) for name, job in reading.peers.items()}
    assert {*counts.values(), sum(len(batch) for batch in reading.ours())} == {reading.amount}
    first = [next(iter(job()))[0] for job in (reading.ours, *reading.peers.values())]
    assert all(picture.shape == (3, 64, 85) for picture in first)
    assert all((picture.float() - first[0].float()).abs().mean() < 3 for picture in first)
    (making,) = clip_cases(2)
    assert making.ours().frames.shape[:2] == (2, 16)
    assert making.amount == 32


def short_plans(monkeypatch):
    for name, value in (("PLANNED", 3), ("IMAGINED", 4), ("ROUNDS", 2)):
        monkeypatch.setattr(cases, name, value)
    return cases.planning_cases(Size("small", 32, 3, 1), CPU)


def test_a_plan_has_a_peer_only_where_stable_worldmodel_is_installed(monkeypatch):
    monkeypatch.setattr(cases, "find_spec", lambda name: None)
    diffusion, jepa = short_plans(monkeypatch)
    assert diffusion.peers == jepa.peers == {}
    assert diffusion.amount == jepa.amount == 24


def test_lewm_imagines_as_many_candidates_and_steps_as_often(monkeypatch):
    asked = []

    class LeWM(nn.Module):
        def encode(self, info):
            return {"emb": info["pixels"][:, :, 0, 0, :192]}

        def rollout(self, info, actions):
            asked.append((info["emb"].shape, info["pixels"].shape[:3], actions))
            return {"predicted_emb": info["emb"]}

    def part(*_, **__):
        return nn.Identity()

    fakes = {"": SimpleNamespace(LeWM=lambda *parts: LeWM())}
    fakes[".module"] = SimpleNamespace(Predictor=part, Embedder=part, MLP=part)
    for name, fake in fakes.items():
        monkeypatch.setitem(sys.modules, f"stable_worldmodel.wm.lewm{name}", fake)
    monkeypatch.setattr(cases, "find_spec", lambda name: name == "stable_worldmodel" or None)
    for case in short_plans(monkeypatch):
        asked.clear()
        case.peers["stable-worldmodel LeWM"]()
        assert [each[:2] for each in asked] == [((1, 3, 1, 192), (1, 3, 1))] * 2
        assert all(actions.shape == (1, 3, 4, 8) for *_, actions in asked)


def test_lewm_itself_has_its_published_size_and_imagines(monkeypatch):
    pytest.importorskip("stable_worldmodel", reason="docs/stable_worldmodel.md: its own environment")
    lewm = peers.LatentWorld(actions=8)
    assert 17e6 < sum(p.numel() for p in lewm.parameters()) < 19e6
    with torch.no_grad():
        found = lewm(torch.randn(1, 3, 4, 8))
    assert found.shape == (1, 3, 1 + 4, 192) and found.isfinite().all()
    for case in short_plans(monkeypatch):
        case.peers["stable-worldmodel LeWM"]()


def test_the_page_says_what_the_rows_say(tmp_path):
    rows = list(measure([Case("work <1>", "things/s", 10, lambda: None, {"other": lambda: None})], 0.01))
    growth = [Growth("training step", "width", "s", [1, 2, 4], [1.0, 2.0, 4.0], 1.0)]
    text = write_page(tmp_path / "bench.html", rows, growth, "a machine").read_text()
    assert "work &lt;1&gt;" in text
    assert "power 1.00" in text
    assert "a machine" in text
    assert "http" not in text.replace("http-equiv", "")
