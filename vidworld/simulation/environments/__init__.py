"""Simulated environments in which somebody acts: exact, batched, with a goal and a rule of success each."""

from typing import TYPE_CHECKING, Any, Literal

from vidworld.core.errors import UserError
from vidworld.core.registry import NamesT, Registry

if TYPE_CHECKING:
    from vidworld.simulation.environments.environment import Environment

Policy = Literal["random", "scripted", "mixed"]
"""Who acts in clips of an environment: see vidworld/simulation/environments/clips.py."""
_NAMES = ("two_room", "puck", "hidden_goal", "heavy_or_light", "push_t")
ENVIRONMENTS: "Registry[Environment[Any]]" = Registry(
    "environment",
    "vidworld.environments",
    {name: f"vidworld.simulation.environments.{name}:{name.upper()}" for name in _NAMES},
    versions={"push_t": 2},  # 1: less time, and more cost of the agent's own way
    of="vidworld.simulation.environments.environment:Environment",
)


def known_environments(names: NamesT) -> NamesT:
    """The name or names; UserError with a line for each that is neither ours, another package's, nor Gymnasium's id."""
    faults = []
    for name in [names] if isinstance(names, str) else names:
        if name in ENVIRONMENTS:
            continue
        from vidworld.simulation.environments.by_id import spec_of

        try:
            spec_of(name)
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n".join(faults))
    return names


def environment_named(name: str, size_px: int) -> "Environment[Any]":
    """One of ours or of another package, or Gymnasium's of this id in pictures of this size.

    Raises UserError: there is none, or nobody can plan in it.
    """
    if name in ENVIRONMENTS:
        return ENVIRONMENTS[name]
    from vidworld.simulation.environments.of_gymnasium import GymnasiumEnvironment

    return GymnasiumEnvironment(name, size_px)
