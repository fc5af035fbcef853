"""Golden values of simulated clips and quadruplets, which hold every version number to what it stands for.

python tests/golden/simulation.py    writes simulation.json anew, once a version was raised
"""

import json
import math
import re
from pathlib import Path
from typing import Any

import torch

from vidworld.core.clip import Clips
from vidworld.simulation import LAWS, NUISANCE_VERSION, SCENARIOS, SIMULATOR_VERSION
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.clips import POLICIES, EnvironmentClips
from vidworld.simulation.nuisance import AMPLITUDES, BARE, add_nuisance, add_texture
from vidworld.simulation.quadruplets import quadruplets
from vidworld.simulation.simulated import SimulatedClips

PATH = Path(__file__).with_name("simulation.json")
AGAIN = "python tests/golden/simulation.py"
NUMBERS = range(96)
"""Clips that are looked at: a bound that rejects one candidate in a hundred is among them."""
SHOWN = 8
"""Clips whose numbers are kept one by one; of all, the means are."""
DIGITS = 6
TOLERANCE = 1e-5


def measured() -> dict[str, Any]:
    """The versions of today's simulation, and a few numbers of clips of every scenario, law and environment."""
    return {
        "simulator": SIMULATOR_VERSION,
        "scenarios": {name: of_scenario(name) for name in SCENARIOS},
        "laws": {name: of_law(name) for name in LAWS},
        "environments": {name: of_environment(name) for name in ENVIRONMENTS if name != "push_t"},  # pymunk's, not ours
        "nuisance": {name: of_nuisance(name) for name in (*map(str, AMPLITUDES), "texture")},
    }


def of_scenario(name: str) -> dict[str, Any]:
    """The version of a scenario and numbers of its clips."""
    splits = ("id", "ood", "more") if SCENARIOS[name].more else ("id", "ood")
    values = {split: values_of(SimulatedClips(name, split).clips(NUMBERS)) for split in splits}
    return {"version": SCENARIOS.version(name), "values": values}


def of_law(name: str) -> dict[str, Any]:
    """The version of a law and numbers of the two possible clips of its quadruplets."""
    both = {split: quadruplets(name, split, 0, NUMBERS) for split in ("id", "ood")}
    values = {f"{split} {side}": values_of(getattr(q, side)) for split, q in both.items() for side in "ab"}
    return {"version": LAWS.version(name), "values": values}


def of_environment(name: str) -> dict[str, Any]:
    """The version of an environment and numbers of its clips, by either policy."""
    values = {policy: values_of(EnvironmentClips(name, "id", policy=policy).clips(NUMBERS[:32])) for policy in POLICIES}
    return {"version": ENVIRONMENTS.version(name), "values": values}


def of_nuisance(name: str) -> dict[str, Any]:
    """The version of nuisance, and of a level or of the texture a few pixels and the means of two frames.

    They are of pictures that are half bare background and half grey, so that they tell of nothing else.
    """
    frames = torch.full((SHOWN, 2, 3, 64, 64), BARE, dtype=torch.uint8)
    frames[..., 32:] = 128
    numbers = range(SHOWN)
    if name == "texture":
        add_texture(frames, "golden", numbers)
    else:
        frames = add_nuisance(frames, "golden", numbers, int(name))  # type: ignore[arg-type]
    means = frames.double().unflatten(-1, (2, 32)).mean(dim=(2, 3, 5)).flatten(1)
    rows = torch.cat((means, frames[:, :, :, 9, 31:33].flatten(1).double()), dim=1)
    return {"version": NUISANCE_VERSION, "values": [[rounded(x) for x in row.tolist()] for row in rows]}


def values_of(clips: Clips) -> list[list[float | None]]:
    """Of each clip: where every disc ends, how fast it is then, and the mean of the first, middle and last frame.

    A row a clip, for some of them, and last the means over all.
    """
    assert clips.tracks is not None
    ends = (clips.tracks.position[:, -1].flatten(1), clips.tracks.velocity[:, -1].flatten(1))
    pictures = clips.frames[:, [0, clips.frames.shape[1] // 2, -1]].double() / 255
    rows = torch.cat([*ends, pictures.mean(dim=(2, 3, 4))], dim=1)
    return [[rounded(x) for x in row.tolist()] for row in (*rows[:SHOWN], rows.nanmean(dim=0))]


def rounded(value: float) -> float | None:
    """The value as it is kept; None for a disc that is not there."""
    return None if math.isnan(value) else round(value, DIGITS)


def faults(golden: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """A line for everything that changed, with what to do."""
    if golden["simulator"] != now["simulator"]:
        return [f"SIMULATOR_VERSION is {now['simulator']}, its golden values are of {golden['simulator']}: {AGAIN}"]
    found = []
    kinds = (("scenarios", "scenario"), ("laws", "law"), ("environments", "environment"), ("nuisance", "nuisance"))
    for kind, one in kinds:
        kept = golden.get(kind, {})  # none of a kind that is new
        for name in sorted(kept.keys() | now[kind].keys()):
            home = "simulation/environments/__init__.py" if kind == "environments" else "simulation/__init__.py"
            before, after = kept.get(name), now[kind].get(name)
            if before is None or after is None or before["version"] != after["version"]:
                found.append(f"{one} {name}: is new, gone or of another version than its golden values: {AGAIN}")
            elif not close(before["values"], after["values"]):
                found.append(
                    f"{one} {name}: its clips changed and its version did not: raise it in `versions` of "
                    f"{kind.upper()} ({home}; SIMULATOR_VERSION, where all changed; of nuisance "
                    f"NUISANCE_VERSION), then {AGAIN}"
                )
    return found


def changed_without_version(golden: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Those of the faults that writing the golden values anew would hide."""
    return [line for line in faults(golden, now) if "its version did not" in line]


def close(one: Any, other: Any) -> bool:
    """Whether nested values are equal up to the tolerance."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(close, one, other))
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=0, abs_tol=TOLERANCE)


def as_text(values: dict[str, Any]) -> str:
    """JSON with a line for each clip, so that a change is readable."""
    innermost = re.compile(r"\[[^\[\]]*\]")
    return innermost.sub(lambda found: " ".join(found[0].split()), json.dumps(values, indent=1)) + "\n"


def main() -> None:
    now = measured()
    if PATH.exists() and (lines := changed_without_version(json.loads(PATH.read_text()), now)):
        raise SystemExit("\n".join(lines))
    PATH.write_text(as_text(now))


if __name__ == "__main__":
    main()
