"""Environments: scenes in which somebody acts."""

from typing import Any

from vidworld.core.registry import Registry

ENVIRONMENTS: Registry[Any] = Registry("environment", "vidworld.environments", {})
