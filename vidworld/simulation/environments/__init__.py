"""Simulated environments in which somebody acts: exact, batched, with a goal and a rule of success each."""

from typing import TYPE_CHECKING, Any, Literal

from vidworld.core.registry import Registry

if TYPE_CHECKING:
    from vidworld.simulation.environments.environment import Environment

Policy = Literal["random", "scripted", "mixed"]
"""Who acts in clips of an environment: see vidworld/simulation/environments/policies.py."""
_NAMES = ("two_room", "puck", "hidden_goal", "heavy_or_light", "push_t")
ENVIRONMENTS: "Registry[Environment[Any]]" = Registry(
    "environment",
    "vidworld.environments",
    {name: f"vidworld.simulation.environments.{name}:{name.upper()}" for name in _NAMES},
)
