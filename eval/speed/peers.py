"""What a user would take instead: networks of diffusers and transformers, and loops over pymunk, cv2, decord and PyAV.

All are built from their configurations, in the sizes that the worlds have; LeWM in its own. Nothing is downloaded.
"""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKLCosmos, AutoencoderKLLTXVideo, CogVideoXTransformer3DModel
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from jaxtyping import UInt8
from torch import Tensor, nn
from transformers import ViTConfig, ViTModel, VJEPA2Config, VJEPA2Model


class VideoTransformer(nn.Module):
    """CogVideoX's transformer, trained as a flow on the tokens that the diffusion world is trained on.

    Of diffusers' video transformers it is the nearest: full self-attention over all cells with normalised queries and
    keys and rotary positions, adaptive norm, a network of four times the width. Its text is one empty word.
    """

    def __init__(self, channels: int, width: int, depth: int, heads: int, grid: tuple[int, int, int]) -> None:
        super().__init__()
        t, h, w = grid
        self.network: Any = CogVideoXTransformer3DModel(
            num_attention_heads=heads, attention_head_dim=width // heads, num_layers=depth, in_channels=channels,
            out_channels=channels, sample_width=w, sample_height=h, sample_frames=t, patch_size=1,
            temporal_compression_ratio=1, time_embed_dim=width // 4, text_embed_dim=8, max_text_seq_length=1,
            use_rotary_positional_embeddings=True,
        )  # fmt: skip
        cos, sin = get_3d_rotary_pos_embed(width // heads, ((0, 0), (h, w)), (h, w), t)
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)

    def forward(self, tokens: Tensor) -> Tensor:
        """The loss of a flow's velocity, of tokens (clip t h w channel)."""
        clean = tokens.movedim(-1, 2)
        noise, level = torch.randn_like(clean), torch.rand(len(clean), device=clean.device)
        noisy = torch.lerp(clean, noise, level[:, None, None, None, None])
        text = torch.zeros(len(clean), 1, 8, device=clean.device)
        velocity = self.network(noisy, text, level * 1000, image_rotary_emb=(self.cos, self.sin)).sample
        return nn.functional.mse_loss(velocity.float(), noise - clean)


class VideoJepa(nn.Module):
    """transformers' V-JEPA 2: encoder and predictor of the JEPA world's depths, from pixels in its patches.

    The encoder goes over all cells and the predictor over as many: it is given those before the last chunk and
    predicts that one.
    """

    def __init__(
        self, width: int, encoder_depth: int, predictor_depth: int, heads: int, num_frames: int, side_px: int
    ) -> None:
        super().__init__()
        patch, frames = 8, 4
        encoder = {"hidden_size": width, "num_attention_heads": heads, "num_hidden_layers": encoder_depth}
        predictor = {"hidden_size": width, "num_attention_heads": heads, "num_hidden_layers": predictor_depth}
        sizes: dict[str, Any] = {**encoder, **{f"pred_{name}": size for name, size in predictor.items()}}
        sizes |= {"patch_size": patch, "tubelet_size": frames, "crop_size": side_px, "frames_per_clip": num_frames}
        self.network = VJEPA2Model(VJEPA2Config(pred_num_mask_tokens=1, **sizes))
        cells = (side_px // patch) ** 2
        self.cells, self.places = cells, num_frames // frames * cells

    def forward(self, frames: Tensor) -> Tensor:
        """The distance of predicted and encoded cells of the last chunk, of clips (clip time channel height width)."""
        places = torch.arange(self.places, device=frames.device).expand(len(frames), -1)
        seen, asked = places[:, : -self.cells], places[:, -self.cells :]
        found = self.network(frames, context_mask=[seen], target_mask=[asked]).predictor_output
        return nn.functional.l1_loss(found.last_hidden_state.float(), found.target_hidden_state.detach().float())


def cosmos_autoencoder(channels: int) -> nn.Module:
    """Cosmos' autoencoder of two to three million parameters, cutting 4 x 8 x 8 as ours does."""
    layers: dict[str, Any] = {"num_layers": 1, "attention_resolutions": (), "resolution": 64}
    layers |= {"encoder_block_out_channels": (32, 48, 64), "decode_block_out_channels": (64, 64, 64)}
    layers |= {"spatial_compression_ratio": 8, "temporal_compression_ratio": 4}
    network: Any = AutoencoderKLCosmos(latent_channels=channels, latents_mean=None, latents_std=None, **layers)
    encoder: nn.Module = network.eval()
    return encoder


def ltx_autoencoder(channels: int) -> nn.Module:
    """LTX-Video's autoencoder of two to three million parameters, cutting 4 x 8 x 8 as ours does."""
    network: Any = AutoencoderKLLTXVideo(
        latent_channels=channels, patch_size=2, block_out_channels=(48, 64, 64), layers_per_block=(1, 1, 1, 1),
        decoder_block_out_channels=(48, 64, 64), decoder_layers_per_block=(1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False), decoder_spatio_temporal_scaling=(True, True, False),
        down_block_types=("LTXVideoDownBlock3D",) * 3, downsample_type=("conv",) * 3, upsample_factor=(1,) * 3,
        upsample_residual=(False,) * 3, decoder_inject_noise=(False,) * 4,
    )  # fmt: skip
    placed: nn.Module = network.eval()
    return placed


class LatentWorld(nn.Module):
    """stable-worldmodel's LeWM of random weights in its published size, imagining from one picture.

    The size is that of config/train/model/lewm.yaml in github.com/lucas-maes/le-wm (arXiv 2603.19312): ViT-tiny, six
    blocks of prediction, three steps of memory, one token a step. Needs the package: docs/stable_worldmodel.md.
    """

    picture: Tensor
    embedded: Tensor

    def __init__(self, actions: int) -> None:
        """actions: numbers of a step, those of its frames together."""
        super().__init__()
        # By name, for its types are known only where it is installed.
        lewm = import_module("stable_worldmodel.wm.lewm")
        parts = import_module("stable_worldmodel.wm.lewm.module")
        width, side_px, hidden = 192, 224, 2048
        form: dict[str, Any] = {"hidden_size": width, "num_hidden_layers": 12, "num_attention_heads": 3}
        form |= {"intermediate_size": 4 * width, "image_size": side_px, "patch_size": 14}
        encoder = ViTModel(ViTConfig(**form), add_pooling_layer=False)
        predictor = parts.Predictor(
            num_frames=3, depth=6, heads=16, dim_head=64, mlp_dim=hidden, input_dim=width, hidden_dim=width, dropout=0.1
        )
        projections = [parts.MLP(width, hidden, norm_fn=nn.BatchNorm1d) for _ in range(2)]
        self.network: Any = lewm.LeWM(encoder, predictor, parts.Embedder(actions, emb_dim=width), *projections)
        self.eval()
        picture = torch.randn(1, 1, 3, side_px, side_px)
        self.register_buffer("picture", picture)
        with torch.no_grad():
            self.register_buffer("embedded", self.network.encode({"pixels": picture})["emb"])

    def forward(self, candidates: Tensor) -> Tensor:
        """The embeddings (1 candidate time channel) that follow on actions (1 candidate step action), by its `rollout`.

        What a rollout of ours does, of one environment: the picture is encoded beforehand; no cost, no choice. Its
        CEMSolver would add two pictures a plan, and autocast does not keep cast weights in that one's inference mode.
        """
        shared = {"pixels": self.picture, "emb": self.embedded}
        seen = {name: each[:, None].expand(-1, candidates.shape[1], *each.shape[1:]) for name, each in shared.items()}
        found: Tensor = self.network.rollout(seen, candidates)["predicted_emb"]
        return found


SUPERSAMPLED = 4
SUBSTEPS = 10
"""pymunk's steps a frame, of a hundredth of a second."""


def pymunk_videos(clips: int, num_frames: int, fps: float, side_px: int) -> UInt8[Tensor, "clip time 3 side side"]:
    """Clips of two discs that meet, moved by pymunk and drawn by cv2 four times as large, then averaged."""
    import pymunk

    generator = np.random.default_rng(0)
    large, unit = side_px * SUPERSAMPLED, side_px * SUPERSAMPLED / 10  # pixels a world unit
    out = np.empty((clips, num_frames, side_px, side_px, 3), np.uint8)
    picture = np.empty((large, large, 3), np.uint8)
    for clip in range(clips):
        space = pymunk.Space()
        bodies = []
        for x, speed in ((2.5, 3.0), (7.5, -3.0)):
            body = pymunk.Body(1.0, float("inf"))
            body.position, body.velocity = (x, 5 + generator.uniform(-0.5, 0.5)), (speed, 0.0)
            shape = pymunk.Circle(body, 1.0)
            shape.elasticity = 1.0
            space.add(body, shape)
            bodies.append(body)
        for frame in range(num_frames):
            picture[:] = 26
            for body, color in zip(bodies, ((230, 40, 40), (40, 90, 230)), strict=True):
                center = (round(body.position.x * unit), round(body.position.y * unit))
                cv2.circle(picture, center, round(unit), color, cv2.FILLED)
            cv2.resize(picture, (side_px, side_px), dst=out[clip, frame], interpolation=cv2.INTER_AREA)
            for _ in range(SUBSTEPS):
                space.step(1 / fps / SUBSTEPS)
    return torch.from_numpy(out).permute(0, 1, 4, 2, 3).contiguous()


def decord_batches(path: Path, batch: int, height: int, width: int) -> Iterator[UInt8[Tensor, "time 3 h w"]]:
    """Batches of all frames of a video by decord, shrunk by cv2 as training takes them."""
    import decord

    reader = decord.VideoReader(str(path), num_threads=1)
    for start in range(0, len(reader), batch):
        frames = reader.get_batch(range(start, min(start + batch, len(reader)))).asnumpy()
        yield _tensor(frames, height, width)


def pyav_batches(path: Path, batch: int, height: int, width: int) -> Iterator[UInt8[Tensor, "time 3 h w"]]:
    """The same by PyAV."""
    import av

    frames: list[np.ndarray] = []
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        for frame in container.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == batch:
                yield _tensor(frames, height, width)
                frames = []
    if frames:
        yield _tensor(frames, height, width)


def _tensor(frames: Sequence[np.ndarray] | np.ndarray, height: int, width: int) -> UInt8[Tensor, "time 3 h w"]:
    small = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).contiguous()
