"""Families of world models: what there is to train and to compare, one file and one line here each."""

from collections.abc import Mapping
from typing import Any

from vidworld.core.errors import UserError
from vidworld.core.registry import Registry
from vidworld.models.families.family import Family
from vidworld.models.schema import WorldModelConfig

FAMILIES: Registry[Family[Any]] = Registry(
    "model family",
    "vidworld.families",
    {
        "diffusion": "vidworld.models.families.diffusion:DIFFUSION",
        "regression": "vidworld.models.families.regression:REGRESSION",
        "jepa": "vidworld.models.families.jepa:JEPA",
    },
)


def config_schema(data: Mapping[str, Any]) -> type[WorldModelConfig]:
    """The keys of a training of the family that a configuration names.

    Raises UserError: it names none, or one that does not exist.
    """
    if "family" not in data:
        raise UserError(f"family is missing; it is one of {', '.join(FAMILIES)}")
    schema: type[WorldModelConfig] = FAMILIES[str(data["family"])].config
    return schema
