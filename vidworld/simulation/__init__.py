"""Simulated scenes: exact discs, scenarios of single clips, and laws tested on quadruplets."""

from typing import TYPE_CHECKING

from vidworld.core.registry import Registry

SIMULATOR_VERSION = 1  # raised when the same scene comes to move, or to look, in another way

if TYPE_CHECKING:
    from vidworld.simulation.laws import Law
    from vidworld.simulation.stage import Scenario

SCENARIOS: "Registry[Scenario]" = Registry(
    "scenario",
    "vidworld.scenarios",
    {
        "uniform": "vidworld.simulation.scenarios:UNIFORM",
        "parabola": "vidworld.simulation.scenarios:PARABOLA",
        "collision": "vidworld.simulation.scenarios:COLLISION",
        "bounce": "vidworld.simulation.scenarios:BOUNCE",
        "billiards": "vidworld.simulation.scenarios:BILLIARDS",
        "occlusion": "vidworld.simulation.occlusion:OCCLUSION",
        "phyworld_uniform": "vidworld.simulation.phyworld:PHYWORLD_UNIFORM",
        "phyworld_parabola": "vidworld.simulation.phyworld:PHYWORLD_PARABOLA",
        "phyworld_collision": "vidworld.simulation.phyworld:PHYWORLD_COLLISION",
    },
)
LAWS: "Registry[Law]" = Registry(
    "law",
    "vidworld.laws",
    {
        "permanence": "vidworld.simulation.laws:PERMANENCE_LAW",
        "collision": "vidworld.simulation.laws:COLLISION_LAW",
        "momentum": "vidworld.simulation.laws:MOMENTUM_LAW",
        "constancy": "vidworld.simulation.laws:CONSTANCY_LAW",
        "continuity": "vidworld.simulation.laws:CONTINUITY_LAW",
        "solidity": "vidworld.simulation.laws:SOLIDITY_LAW",
    },
)
