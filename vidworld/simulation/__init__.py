"""Simulated scenes: exact discs, scenarios of single clips, and laws tested on quadruplets."""

from typing import TYPE_CHECKING, Literal

from vidworld.core.registry import Registry

if TYPE_CHECKING:
    from vidworld.simulation.stage import Law, Scenario

SIMULATOR_VERSION = 1  # raised when the same scene comes to move, or to look, in another way
NUISANCE_VERSION = 1  # raised when nuisance or texture of the same clip comes to look in another way
NuisanceLevel = Literal[0, 1, 2]
"""How much of a picture nobody can predict: see vidworld/simulation/nuisance.py."""
_NAMES = "uniform parabola collision bounce billiards occlusion phyworld_uniform phyworld_parabola phyworld_collision"
_CHANCY, _PROPERTIES = ("kick", "peg", "panel", "uniform_hole"), ("hidden_mass", "hidden_restitution")
APART = (*_CHANCY, "dominoes", *_PROPERTIES)
"""Scenarios of weight 0: a configuration has them where it names them, and `all` does not depend on them."""
SCENARIOS: "Registry[Scenario]" = Registry(
    "scenario",
    "vidworld.scenarios",
    {name: f"vidworld.simulation.scenarios:{name.upper()}" for name in _NAMES.split()}
    | {name: f"vidworld.simulation.pairs:{name.upper()}" for name in ("hidden_pairs", "open_pairs")}
    | {name: f"vidworld.simulation.chancy:{name.upper()}" for name in _CHANCY}
    | {"dominoes": "vidworld.simulation.chains:DOMINOES"}
    | {name: f"vidworld.simulation.properties:{name.upper()}" for name in _PROPERTIES},
    of="vidworld.simulation.stage:Scenario",
)
_TWO_EDITIONS = ("permanence", "collision", "momentum", "constancy", "continuity", "solidity")
LAWS: "Registry[Law]" = Registry(
    "law",
    "vidworld.laws",
    {name: f"vidworld.simulation.pairs:{name.upper()}_LAW" for name in _TWO_EDITIONS}
    | {f"legacy_{name}": f"vidworld.simulation.scenarios:LEGACY_{name.upper()}_LAW" for name in _TWO_EDITIONS},
    versions=dict.fromkeys(_TWO_EDITIONS, 2),  # 1: the first edition's quadruplets, today's legacy
    of="vidworld.simulation.stage:Law",
)
