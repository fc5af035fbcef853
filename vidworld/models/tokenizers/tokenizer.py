"""What a tokenizer is to the bench, and how one is loaded, whichever it is."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vidworld.core.records import read_json
from vidworld.core.shapes import Frames, Tokens
from vidworld.models.files import load_model
from vidworld.models.tokenizers.patches import PatchSize


@runtime_checkable
class Tokenizer(Protocol):
    """Anything that turns clips of whole chunks into tokens and back."""

    patch_size: PatchSize
    """Frames, rows and columns of a token; the frames are a chunk."""
    channels: int
    remembers: bool
    """Whether a chunk's tokens depend on the chunks before it (never on those after)."""
    unseen_frames: int
    """Frames at the start of a clip that are not encoded, and come back as copies of the next."""

    def grid_of(self, num_frames: int, height_px: int, width_px: int) -> tuple[int, int, int]:
        """The latent grid (t, h, w) of a clip of this shape; UserError where there is none."""

    def encode(self, frames: Frames) -> Tokens:
        """The clips' tokens, normalised per channel."""

    def decode(self, tokens: Tokens) -> Frames:
        """The clips that these tokens stand for."""

    def fingerprint(self) -> str:
        """What 'the same tokenizer' means."""


def load_tokenizer(run_folder: Path) -> Any:
    """The tokenizer of a run folder, our own or an adopted one, in evaluation mode. Raises UserError: there is none."""
    config = run_folder / "model" / "config.json"
    if config.exists() and read_json(config).get("_class_name") == "PretrainedAutoencoder":
        from vidworld.models.tokenizers.pretrained import PretrainedAutoencoder

        return load_model(PretrainedAutoencoder, run_folder)
    from vidworld.models.tokenizers.autoencoder import Autoencoder

    return load_model(Autoencoder, run_folder)
