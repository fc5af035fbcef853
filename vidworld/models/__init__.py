"""World models: ours by family, other people's by kind, baselines and controls, and what all of them share."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vidworld.core.registry import Registry

if TYPE_CHECKING:
    from torch import device

KINDS: "Registry[Callable[[str, device, int], Any]]" = Registry(
    "kind of model",
    "vidworld.model_kinds",
    {
        "vjepa2": "vidworld.models.external.networks:VJepa2",
        "diffusers": "vidworld.models.external.networks:DiffusersVideo",
        "videos": "vidworld.models.external:Videos",
        "python": "vidworld.models.external:load_python",
    },
)
"""How other people's models are loaded, by the KIND of KIND:PATH: from a path, to a device, with sampling steps."""
