"""Planning: agents that imagine what comes of their actions, and what they reach by a protocol.

Planners are known by name without waiting for torch.
"""

from typing import TYPE_CHECKING

from vidworld.core.registry import Registry

if TYPE_CHECKING:
    from vidworld.planning.planners import Planner

_NAMES = ("random_shooting", "cem", "mppi", "gradient")
PLANNERS: "Registry[Planner]" = Registry(
    "planner", "vidworld.planners", {name: f"vidworld.planning.planners:{name}" for name in _NAMES}
)
"""From a cost of actions to actions (planning/planners.py)."""
