"""The energy of the machine's processors, where it tells: Intel's and AMD's counters (RAPL), as Linux shows them."""

from pathlib import Path
from typing import NamedTuple

POWERCAP = Path("/sys/class/powercap")


class Counter(NamedTuple):
    joules: float
    around: float
    """Where it begins again at nothing."""


def energy_counters(root: Path = POWERCAP) -> dict[str, Counter]:
    """One of each processor package, cores and all; none where the machine does not tell, or not to this user."""
    found = {}
    for folder in sorted(root.glob("intel-rapl:*")):  # AMD's too
        try:
            if (folder / "name").read_text().startswith("package"):
                numbers = [int((folder / name).read_text()) for name in ("energy_uj", "max_energy_range_uj")]
                found[folder.name] = Counter(numbers[0] / 1e6, numbers[1] / 1e6)
        except (OSError, ValueError):
            return {}
    return found


def joules_between(before: dict[str, Counter], after: dict[str, Counter]) -> float | None:
    """Of all packages, whatever they did meanwhile; None where nobody tells."""
    if not before or before.keys() != after.keys():
        return None
    return sum((after[name].joules - each.joules) % each.around for name, each in before.items())
