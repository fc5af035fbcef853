"""V-JEPA 2 of transformers: surprise as the distance between predicted and encoded embeddings, window by window."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Clips
from vidworld.core.errors import UserError
from vidworld.core.shapes import Frames
from vidworld.models.tokenizers.video_vae import check_pretrained, from_folder

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Source: ImageNet's statistics, as in the model's own video processor."""


class VJepa2:
    """Windows whose first half is seen and whose second half is predicted, one tubelet further each.

    Source: surprise on IntPhys (arXiv 2502.11831): the mean of |predicted - layer-normed target| over a window's second
    half. The target is the encoding of the whole window. The prediction comes from the encoding of the first half
    *alone*: `VJEPA2Model.forward` would encode the whole window before its context mask, and attention would carry the
    future into the context.

    The whole picture is scaled to the size that the model was trained at (its own processor would crop the border).
    Transformers has no action-conditioned variant, so actions are not used.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Raises UserError: the folder holds no V-JEPA 2, or not all of its weights."""
        from transformers import VJEPA2Model

        check_pretrained(folder, ("vjepa2",), key="model_type")
        self.network: Any = from_folder(VJEPA2Model, folder).to(device)
        self.folder, self.device = folder, device

    @torch.no_grad()
    def surprise(self, clips: Clips, context_frames: int, seeds: Sequence[int]) -> Float[Tensor, "clip future"]:
        """The mean over the windows that predict a frame. Raises UserError: a length that the model cannot take."""
        tubelet, total = self.network.config.tubelet_size, clips.frames.shape[1]
        self._check_lengths(context_frames, total)
        pictures = self._pictures(clips.frames)
        summed, count = torch.zeros(len(clips), total), torch.zeros(total)
        for start in range(context_frames, total, tubelet):
            stop = min(start + context_frames, total)
            error = self._error(pictures[:, start - context_frames : stop], context_frames)
            summed[:, start:stop] += error.cpu().repeat_interleave(tubelet, dim=1)
            count[start:stop] += 1
        return (summed / count)[:, context_frames:]

    def predicted(self, pictures: Tensor, num_frames: int) -> Float[Tensor, "clip token embedding"]:
        """The embeddings of the `num_frames` frames after these pictures (clip, time, 3, height, width)."""
        encoded = self.network.encoder(pictures).last_hidden_state
        seen = encoded.shape[1]
        tokens = seen + num_frames // self.network.config.tubelet_size * self._cells
        places = torch.arange(tokens, device=pictures.device).expand(len(pictures), -1)
        predicted: Tensor = self.network.predictor(
            encoder_hidden_states=encoded, context_mask=[places[:, :seen]], target_mask=[places[:, seen:]]
        ).last_hidden_state
        return predicted.float()

    def _error(self, window: Tensor, context_frames: int) -> Float[Tensor, "clip tubelet"]:
        """Of each tubelet of the window after its context."""
        predicted = self.predicted(window[:, :context_frames], window.shape[1] - context_frames)
        target = self.network.encoder(window).last_hidden_state.float()[:, -predicted.shape[1] :]
        error = (predicted - F.layer_norm(target, target.shape[-1:])).abs().mean(dim=-1)
        by_tubelet: Tensor = error.unflatten(1, (-1, self._cells)).mean(dim=-1)
        return by_tubelet

    @property
    def _cells(self) -> int:
        """Tokens of one tubelet."""
        return int((self.network.config.crop_size // self.network.config.patch_size) ** 2)

    def _pictures(self, frames: Frames) -> Float[Tensor, "clip time 3 side side"]:
        side = self.network.config.crop_size
        flat = frames.flatten(0, 1).to(self.device).float() / 255
        if flat.shape[-2:] != (side, side):
            flat = F.interpolate(flat, (side, side), mode="bilinear", antialias=True, align_corners=False)
        mean, std = (torch.tensor(values, device=self.device).view(1, 3, 1, 1) for values in (MEAN, STD))
        pictures: Tensor = ((flat - mean) / std).unflatten(0, frames.shape[:2])
        return pictures

    def _check_lengths(self, context_frames: int, total: int) -> None:
        config, window = self.network.config, min(2 * context_frames, total)
        for name, frames in (("context_frames", context_frames), ("num_frames", total)):
            if frames % config.tubelet_size:
                raise UserError(
                    f"{self.folder}: {name} {frames} is no multiple of its tubelets of {config.tubelet_size}"
                )
        if window > config.frames_per_clip:
            raise UserError(
                f"{self.folder}: was trained on clips of {config.frames_per_clip} frames, and context_frames "
                f"{context_frames} makes windows of {window}"
            )


def load_vjepa2(path: str, device: torch.device, steps: int) -> VJepa2:
    return VJepa2(Path(path), device)
