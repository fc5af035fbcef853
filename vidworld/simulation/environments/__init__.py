"""Simulated environments in which somebody acts: exact, batched, with a goal and a rule of success each."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from vidworld.core.errors import UserError
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


def check_environments(names: Iterable[str]) -> None:
    """Raise a UserError with a line for each name that is neither ours, another package's, nor an id of Gymnasium."""
    faults = []
    for name in (name for name in names if name not in ENVIRONMENTS):
        from vidworld.simulation.environments.by_id import spec_of

        try:
            spec_of(name)
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n".join(faults))


def environment_named(name: str, size_px: int) -> "Environment[Any]":
    """One of ours or of another package, or Gymnasium's of this id in pictures of this size.

    Raises UserError: there is none, or nobody can plan in it.
    """
    if name in ENVIRONMENTS:
        return ENVIRONMENTS[name]
    from vidworld.simulation.environments.of_gymnasium import GymnasiumEnvironment

    return GymnasiumEnvironment(name, size_px)
