"""The study's files as pages show them."""

import json

from vidworld.analysis.cues import FITTED, MIRRORED, ONE_OBJECT, cues_of_law

STUDY_LAWS = ("permanence", "collision", "momentum", "constancy", "continuity", "solidity")


def cue_cells(law):
    """What cues and the rule that each colour goes straight on reach on a law's quadruplets, to two digits."""
    found = {each.cue: each for each in cues_of_law(law) if not each.layout}
    return [f"{found[name].value:.2f}" for name in (FITTED, f"{ONE_OBJECT}, straight", MIRRORED)]


def study_rows(path):
    result = json.loads(path.read_text(encoding="utf-8"))
    return [dict(zip(result["columns"], row, strict=True)) for row in result["rows"]]


def study_cells(path):
    """What docs/results.md says of a run."""
    wanted = [("surprise", law, "surprise_accuracy", None, "id") for law in STUDY_LAWS]
    found = {}
    for row in study_rows(path):
        key = tuple(row[name] for name in ("task", "law", "metric", "readout", "split"))
        found[key] = row
    wanted.append(("collision", "uniform motion", "velocity_error", "pixels", "id"))
    wanted += [("surprise", law, "surprise_accuracy", None, "ood") for law in ("permanence", "collision")]
    rows = [found[key] for key in wanted]
    return [f"{row['value']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" for row in rows]
