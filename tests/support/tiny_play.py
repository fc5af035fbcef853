"""A run folder of tiny untrained models, to play with: nothing is trained, and its pictures are noise."""

import torch

from vidworld.models.diffusion import DiffusionTransformer
from vidworld.models.files import fingerprint_of, save_model
from vidworld.models.jepa import JointEmbeddingPredictor
from vidworld.models.probe import Probe
from vidworld.models.tokenizers.autoencoder import Autoencoder

CHANNELS, WIDTH = 16, 16


def tiny_run(folder, acts=True, scenarios=("puck", "hidden_goal"), window=4):
    """The folder, with a tokenizer, a model of each family and both probes."""
    torch.manual_seed(0)
    shape = {"num_frames": 4 * window, "fps": 10.0, "height_px": 32, "width_px": 32}
    scenarios = dict.fromkeys(scenarios, 1.0)
    config = {"data": {"shape": shape, "scenarios": scenarios}, "shift": 8.0}
    tokenizer = Autoencoder((4, 16, 16), CHANNELS, WIDTH, 1, 1, (2, 2))
    torch.nn.init.normal_(tokenizer.to_latent.weight, std=0.3)
    torch.nn.init.normal_(tokenizer.synthesis.weight, std=0.1)
    save_model(tokenizer, folder / "tokenizer", {"config": config})
    actions = {"action_channels": 8} if acts else {}
    predictive = {"width": WIDTH, "encoder_depth": 1, "predictor_depth": 1, "heads": 1}
    networks = {
        "regression": JointEmbeddingPredictor(CHANNELS, **predictive, **actions),
        "jepa": JointEmbeddingPredictor(CHANNELS, target="vcreg", **predictive, **actions),
        "diffusion": DiffusionTransformer(CHANNELS, WIDTH, 1, 1, 8, **actions),
    }
    for name, network in networks.items():
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        record = {"family": name, "tokenizer": fingerprint_of(tokenizer), "config": config}
        save_model(network, folder / name, record)
    of_tokens = {"tokenizer": fingerprint_of(tokenizer), "jepa": None, "config": config}
    save_model(Probe(CHANNELS, CHANNELS, 4, (2, 2), WIDTH, 1), folder / "probe", of_tokens)
    decoder = Probe(WIDTH, CHANNELS, 4, (2, 2), WIDTH, 1, decodes=True)
    save_model(decoder, folder / "probe_jepa", of_tokens | {"jepa": fingerprint_of(networks["jepa"])})
    return folder
