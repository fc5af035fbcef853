"""Both networks: nothing leaks from the future, and what is remembered equals what is computed again."""

import pytest
import torch

from vidworld.models.diffusion import DiffusionTransformer
from vidworld.models.jepa import JointEmbeddingPredictor
from vidworld.models.layers import Block, Rotary, attend

SMALL = {"channels": 6, "width": 32, "heads": 2}


def random_weights(network):
    """The network with no matrix at zero, where nothing would be seen of anything."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


@pytest.fixture
def tokens():
    return torch.randn(2, 4, 3, 3, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def noisy():
    return torch.randn(2, 3, 3, 3, 6, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def level():
    return torch.tensor([[0.3, 0.9, 0.6]]).expand(2, -1)


def test_a_denoised_chunk_sees_nothing_of_its_clean_self_nor_of_what_comes_after(tokens, noisy, level):
    """Chunk k is denoised given the clean chunks up to k - 1: what it may not see is `previous` from k on."""
    network = random_weights(DiffusionTransformer(**SMALL, depth=2))
    changed, changed_noisy = tokens.clone(), noisy.clone()
    changed[:, 2:] = 9.0
    changed_noisy[:, 2:] = 9.0
    before = network(noisy, level, tokens[:, :3])[0]
    after = network(changed_noisy, level, changed[:, :3])[0]
    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2], after[:, 2])


def test_a_denoised_chunk_sees_every_clean_chunk_before_it(tokens, noisy, level):
    network = random_weights(DiffusionTransformer(**SMALL, depth=2))
    before = network(noisy, level, tokens[:, :3])[0]
    for chunk in range(3):
        changed = tokens.clone()
        changed[:, chunk] = 9.0
        assert not torch.allclose(before[:, 2], network(noisy, level, changed[:, :3])[0][:, 2])


def random_diffusion(prediction, tokens):
    network = DiffusionTransformer(**SMALL, depth=2, prediction=prediction)
    if network.changes is not None:
        network.changes.fit(tokens)
    return random_weights(network)


@pytest.mark.parametrize("prediction", ["edm", "sample", "fitted"])
def test_remembered_chunks_give_the_diffusion_world_what_seeing_them_again_would(prediction, tokens, noisy):
    network = random_diffusion(prediction, tokens)
    level = torch.tensor([[1.0, 1.0, 0.4]]).expand(2, -1)
    whole = network(noisy, level, tokens[:, :3])[0]
    kv_caches = network.prefill(tokens[:, 1:2], network.prefill(tokens[:, :1]))
    alone = network(noisy[:, 2:], level[:, 2:], tokens[:, 2:3], kv_caches)[0]
    assert torch.allclose(alone, whole[:, 2:], atol=1e-4)
    assert network.prefill(tokens[:, :0]) is None


def test_each_chunk_has_a_noise_level_of_its_own(tokens, noisy, level):
    network = random_weights(DiffusionTransformer(**SMALL, depth=2))
    other = level.clone()
    other[:, 2] = 0.7
    before, after = (network(noisy, each, tokens[:, :3])[0] for each in (level, other))
    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2], after[:, 2])


@pytest.mark.parametrize("prediction", ["edm", "fitted"])
def test_pure_noise_disturbs_nothing_and_clean_tokens_pass(prediction, tokens, noisy):
    network = random_diffusion(prediction, tokens)

    def denoised(chunks, level):
        return network(chunks, torch.full((2, 3), level), tokens[:, :3])[0]

    assert torch.equal(denoised(noisy, 1.0), denoised(torch.randn_like(noisy), 1.0))
    assert torch.allclose(denoised(noisy, 0.0), noisy, atol=1e-5)


def test_one_that_predicts_samples_sees_no_pure_noise_and_adds_to_the_chunk_before_what_its_width_can_carry(noisy):
    tokens = torch.randn(2, 3, 3, 3, 6, generator=torch.Generator().manual_seed(0))
    network = random_weights(DiffusionTransformer(6, width=4, heads=1, depth=2, prediction="sample"))
    with torch.no_grad():
        pure = [network(each, torch.ones(2, 3), tokens)[0] for each in (noisy, torch.randn_like(noisy))]
        clean = network(noisy, torch.zeros(2, 3), tokens)[0]
    assert torch.equal(*pure)
    added = (clean - tokens).flatten(0, 3)
    assert torch.linalg.matrix_rank(added - added.mean(dim=0), rtol=1e-4) <= 4


@pytest.mark.parametrize("target", ["frozen", "vcreg", "sigreg", "ema"])
def test_a_prediction_of_the_jepa_world_sees_nothing_of_what_it_predicts(target, tokens):
    network = random_weights(JointEmbeddingPredictor(**SMALL, encoder_depth=1, predictor_depth=1, target=target))
    changed = tokens.clone()
    changed[:, 2:] = 9.0
    before, after = (network.predict(network.context_embeddings(x))[0] for x in (tokens, changed))
    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2:], after[:, 2:])


@pytest.mark.parametrize("target", ["frozen", "ema"])
def test_remembered_chunks_give_the_jepa_world_what_seeing_them_again_would(target, tokens):
    network = random_weights(JointEmbeddingPredictor(**SMALL, encoder_depth=1, predictor_depth=1, target=target))
    context = network.context_embeddings(tokens)
    whole, _ = network.predict(context)
    _, kv_caches = network.predict(context[:, :2])
    again, _ = network.predict(context[:, 2:], kv_caches=kv_caches)
    assert torch.allclose(again, whole[:, 2:], atol=1e-4)


def test_attention_by_matrix_products_equals_torchs_own():
    q, k, v = (torch.randn(2, 3, n, 8) for n in (4, 9, 9))
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    assert torch.allclose(attend(q, k, v, "native"), expected, atol=1e-5)


def test_rotary_positions_tell_only_of_differences():
    """A query and a key turned by their places: their product depends on how far apart they are, on each axis."""
    q, k = torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)
    rotary = Rotary.of(0, (4, 5, 5), 16, like=q)
    turned_q, turned_k = (rotary.turn(x.expand(1, 1, 100, 16)) for x in (q, k))
    scores = (turned_q @ turned_k.transpose(-1, -2))[0, 0].view(4, 5, 5, 4, 5, 5)
    assert torch.allclose(scores[0, 1, 2, 1, 3, 2], scores[2, 0, 4, 3, 2, 4], atol=1e-4)
    assert not torch.allclose(scores[0, 1, 2, 1, 3, 2], scores[0, 1, 2, 2, 3, 2], atol=1e-3)


def test_rotary_positions_of_later_chunks_continue_the_first():
    x = torch.zeros(1)
    whole, later = Rotary.of(0, (4, 2, 2), 16, like=x), Rotary.of(3, (1, 2, 2), 16, like=x)
    assert torch.equal(whole.cos[12:], later.cos)
    assert torch.equal(whole.sin[12:], later.sin)


def test_both_worlds_have_the_same_number_of_parameters_to_five_per_cent():
    sizes = [sum(p.numel() for p in kind().parameters()) for kind in (DiffusionTransformer, JointEmbeddingPredictor)]
    assert abs(sizes[0] - sizes[1]) < 0.05 * max(sizes)


@pytest.mark.parametrize("kind", [DiffusionTransformer, JointEmbeddingPredictor])
def test_checkpointed_blocks_give_the_same_gradients_and_run_once_more(kind, tokens, noisy, level):
    """Blocks whose results are kept run once a step, those that are computed again twice."""
    network = random_weights(kind(**SMALL))
    runs = []
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    for block in blocks:
        block.register_forward_pre_hook(lambda *_: runs.append(1))

    def gradients():
        given = (noisy, level, tokens[:, :3]) if kind is DiffusionTransformer else (tokens,)
        network.zero_grad()
        network(*given)[0].square().mean().backward()
        return [parameter.grad for parameter in network.parameters()]

    kept = gradients()
    assert len(runs) == len(blocks)
    network.enable_gradient_checkpointing()
    assert all(torch.equal(a, b) for a, b in zip(gradients(), kept, strict=True))
    assert len(runs) == 3 * len(blocks)
