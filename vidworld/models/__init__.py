"""World models: ours by family, other people's by kind, baselines and controls, and what all of them share."""

from typing import TYPE_CHECKING

from vidworld.core.registry import Registry

if TYPE_CHECKING:
    from vidworld.models.external.protocol import Load

KINDS: "Registry[Load]" = Registry(
    "kind of model",
    "vidworld.model_kinds",
    {
        "vjepa2": "vidworld.models.external.vjepa2:load_vjepa2",
        "diffusers": "vidworld.models.external.diffusers_video:load_diffusers",
        "videos": "vidworld.models.external.videos:load_videos",
        "python": "vidworld.models.external.protocol:load_python",
    },
)
"""How other people's models are loaded, by the KIND of KIND:PATH."""
