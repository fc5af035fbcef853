"""Frames to tokens and back."""

from typing import TYPE_CHECKING

from vidworld.core.registry import Registry

if TYPE_CHECKING:
    from vidworld.models.tokenizers.tokenizer import Tokenizer

TOKENIZERS: "Registry[type[Tokenizer]]" = Registry(
    "tokenizer",
    "vidworld.tokenizers",
    {
        "Autoencoder": "vidworld.models.tokenizers.autoencoder:Autoencoder",
        "PretrainedAutoencoder": "vidworld.models.tokenizers.video_vae:PretrainedAutoencoder",
    },
)
"""What a tokenizer's run folder may hold, by the class that its model/config.json names: modules of diffusers."""
