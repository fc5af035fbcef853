"""Pretrained models in small: made from their configs, with random weights, and saved as their makers would."""

import json

import torch

VAES = {
    "AutoencoderKLWan": {
        "base_dim": 4,
        "z_dim": 4,
        "dim_mult": [1, 1, 1],
        "num_res_blocks": 1,
        "temperal_downsample": [True, True],
        "latents_mean": [0.1, -0.2, 0.0, 0.3],
        "latents_std": [0.5, 1.0, 2.0, 1.5],
        "scale_factor_spatial": 4,
    },
    "AutoencoderKLLTXVideo": {
        "latent_channels": 4,
        "block_out_channels": (8, 8),
        "decoder_block_out_channels": (8, 8),
        "layers_per_block": (1, 1),
        "decoder_layers_per_block": (1, 1),
        "spatio_temporal_scaling": (True, False),
        "decoder_spatio_temporal_scaling": (True, False),
        "down_block_types": ("LTXVideoDownBlock3D", "LTXVideoDownBlock3D"),
        "decoder_inject_noise": (False, False),
        "downsample_type": ("conv", "conv"),
        "upsample_residual": (False, False),
        "upsample_factor": (1, 1),
        "patch_size": 2,
        "patch_size_t": 2,
    },
    "AutoencoderKLCosmos": {
        "latent_channels": 4,
        "encoder_block_out_channels": (8, 8, 8, 8),
        "decode_block_out_channels": (8, 8, 8, 8),
        "attention_resolutions": (8,),
        "resolution": 32,
        "num_layers": 1,
        "patch_size": 2,
        "spatial_compression_ratio": 4,
        "temporal_compression_ratio": 4,
        "latents_mean": None,
        "latents_std": None,
    },
    "AutoencoderKLCogVideoX": {
        "latent_channels": 4,
        "block_out_channels": (8, 8, 8),
        "down_block_types": ("CogVideoXDownBlock3D",) * 3,
        "up_block_types": ("CogVideoXUpBlock3D",) * 3,
        "layers_per_block": 1,
        "norm_num_groups": 2,
        "temporal_compression_ratio": 4,
        "sample_height": 32,
        "sample_width": 32,
    },
    "AutoencoderVidTok": {
        "ch": 8,
        "ch_mult": [1, 1, 1],
        "z_channels": 2,
        "double_z": False,
        "num_res_blocks": 1,
        "regularizer": "fsq",
        "codebook_size": 64,
    },
}
