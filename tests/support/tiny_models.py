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
        "layers_per_block": (1, 1, 1),
        "decoder_layers_per_block": (1, 1, 1),
        "spatio_temporal_scaling": (True, True),
        "decoder_spatio_temporal_scaling": (True, True),
        "down_block_types": ("LTXVideoDownBlock3D", "LTXVideoDownBlock3D"),
        "decoder_inject_noise": (False, False, False),
        "downsample_type": ("conv", "conv"),
        "upsample_residual": (False, False),
        "upsample_factor": (1, 1),
        "patch_size": 1,
        "patch_size_t": 1,
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

TRANSFORMERS = {
    "ltx": (
        "AutoencoderKLLTXVideo",
        "LTXVideoTransformer3DModel",
        {
            "in_channels": 4,
            "out_channels": 4,
            "num_attention_heads": 2,
            "attention_head_dim": 8,
            "cross_attention_dim": 16,
            "num_layers": 1,
            "caption_channels": 8,
        },
        ("FlowMatchEulerDiscreteScheduler", {"shift": 2.0}),
        {"_class_name": "LTXConditionPipeline"},
    ),
    "wan": (
        "AutoencoderKLWan",
        "WanTransformer3DModel",
        {
            "in_channels": 4,
            "out_channels": 4,
            "num_attention_heads": 2,
            "attention_head_dim": 12,
            "text_dim": 8,
            "freq_dim": 16,
            "ffn_dim": 16,
            "num_layers": 1,
            "rope_max_seq_len": 32,
        },
        ("UniPCMultistepScheduler", {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}),
        {"_class_name": "WanPipeline"},
    ),
    "cogvideox": (
        "AutoencoderKLCogVideoX",
        "CogVideoXTransformer3DModel",
        {
            "in_channels": 4,
            "out_channels": 4,
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "time_embed_dim": 8,
            "text_embed_dim": 8,
            "num_layers": 1,
            "max_text_seq_length": 6,
            "sample_width": 8,
            "sample_height": 8,
            "sample_frames": 17,
            "use_rotary_positional_embeddings": True,
        },
        ("CogVideoXDDIMScheduler", {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}),
        {"_class_name": "CogVideoXPipeline"},
    ),
    "cosmos": (
        "AutoencoderKLCosmos",
        "CosmosTransformer3DModel",
        {
            "in_channels": 5,
            "out_channels": 4,
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "num_layers": 1,
            "text_embed_dim": 8,
            "adaln_lora_dim": 4,
            "max_size": (8, 16, 16),
        },
        ("EDMEulerScheduler", {"sigma_data": 0.5}),
        {"_class_name": "CosmosVideoToWorldPipeline"},
    ),
}
"""Autoencoder, transformer and its config, scheduler and its config, model_index.json."""


def save_vae(kind, folder):
    """The folder, with a tiny autoencoder of that kind."""
    import diffusers

    torch.manual_seed(0)
    getattr(diffusers, kind)(**VAES[kind]).save_pretrained(str(folder))
    return folder


def save_pipeline(name, folder, index=None, scheduler=None, **changes):
    """The folder, with tiny components of that family's pipeline."""
    import diffusers

    vae, kind, config, usual, usual_index = TRANSFORMERS[name]
    save_vae(vae, folder / "vae")
    torch.manual_seed(1)
    transformer = getattr(diffusers, kind)(**config | changes)
    for parameter in transformer.parameters():  # some start at zero, which would answer nothing
        torch.nn.init.normal_(parameter, std=0.2)
    transformer.save_pretrained(str(folder / "transformer"))
    scheduler_name, scheduler_config = scheduler or usual
    getattr(diffusers, scheduler_name)(**scheduler_config).save_pretrained(str(folder / "scheduler"))
    (folder / "model_index.json").write_text(json.dumps(usual_index if index is None else index))
    return folder


def save_vjepa2(folder):
    """The folder, with a tiny V-JEPA 2 for pictures of 32 px."""
    from transformers import VJEPA2Config, VJEPA2Model

    torch.manual_seed(0)
    config = VJEPA2Config(
        patch_size=8,
        crop_size=16,
        frames_per_clip=16,
        hidden_size=24,
        num_attention_heads=2,
        num_hidden_layers=1,
        pred_hidden_size=24,
        pred_num_attention_heads=2,
        pred_num_hidden_layers=1,
        mlp_ratio=2.0,
        pred_mlp_ratio=2.0,
    )
    VJEPA2Model(config).save_pretrained(str(folder))
    return folder
