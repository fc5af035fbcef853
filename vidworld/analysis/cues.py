"""What cues tell of each law without physics: measured once for a law, on thousands of quadruplets, and kept here.

`eval/measure_cues.py` writes `cues.json` beside this file; `vidworld/evaluation/cues.py` says what the cues are.
"""

from functools import cache
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from vidworld.analysis.records import STRICT, read_as
from vidworld.simulation import LAWS

PATH = Path(__file__).with_name("cues.json")
CONTROL_LIMIT = 0.60
"""Accuracy of a control above which quadruplets can be solved without physics (Source: JEPA's record)."""
FITTED = "all cues, fitted"
"""A logistic regression on all cues that are not the law, fitted on the validation split."""
ONE_OBJECT = "one object"
"""Each colour's centroid. That it goes straight on is the law itself in momentum, and elsewhere a part of it: shown."""


MIRRORED = "mirrored past"
"""The whole past in pixels, backwards. That a thing does not go back the way it came is a part of most laws: shown."""
RULES = (ONE_OBJECT, MIRRORED)
"""What says how things move, and not only what is seen: these withhold nothing."""


@dataclass(frozen=True, config=STRICT)
class CueAccuracy:
    """The target-matched accuracy of one cue, over all quadruplets of a law or those of a layout."""

    cue: str
    layout: str  # empty: of all layouts
    value: float
    low: float
    high: float
    n: int

    @property
    def tells(self) -> str:
        """How it solves the quadruplets beyond chance and doubt, as it is or turned round; empty where it does not."""
        if self.cue.startswith(RULES):
            return ""
        if self.low > CONTROL_LIMIT:
            return f"{self.cue} {self.value:.2f}"
        return f"{self.cue}, turned round, {1 - self.value:.2f}" if self.high < 1 - CONTROL_LIMIT else ""


@dataclass(frozen=True, config=STRICT)
class LawCues:
    law_version: int
    cues_version: int
    accuracies: tuple[CueAccuracy, ...]


@dataclass(frozen=True, config=STRICT)
class CueTable:
    """cues.json: the cues of every law, and where they were measured."""

    provenance: dict[str, Any]
    laws: dict[str, LawCues]


@cache
def cue_table() -> CueTable:
    """What was measured of our laws."""
    return read_as(CueTable, PATH)


def cues_of_law(law: str) -> tuple[CueAccuracy, ...]:
    """The accuracies of the cues on a law's quadruplets; none where they were not measured of its present version."""
    found = cue_table().laws.get(law)
    return found.accuracies if found is not None and found.law_version == LAWS.version(law) else ()


def told_by_cues(law: str) -> str:
    """Why a law's quadruplets say nothing of the law, where cues alone solve them, in all or in one layout."""
    found = [(each.tells, each.layout) for each in cues_of_law(law) if each.tells]
    if not found:
        return ""
    best = max(found, key=lambda each: float(each[0].rpartition(" ")[2]))
    where = f" in the layout {best[1]}" if best[1] else ""
    return f"a cue without physics tells its quadruplets ({best[0]}{where}, above {CONTROL_LIMIT:.2f})"
