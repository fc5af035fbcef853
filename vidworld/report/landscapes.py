"""Landscapes of energy as small pictures: dark is low, a cross where the true action is, a ring at the lowest."""

import base64
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from vidworld.analysis import labels as words
from vidworld.analysis.planning import Landscape, PlanningResults, agent_label
from vidworld.core.errors import UserError

_DARK, _LIGHT = np.array([24, 30, 92]), np.array([255, 236, 150])


class Mark(NamedTuple):
    """In percent from the left and from the top."""

    x: float
    y: float


class LandscapeFigure(NamedTuple):
    title: str
    picture: str  # a data: URI of a PNG, a pixel an action
    true: Mark
    lowest: Mark
    said: str


def landscape_figures(results: PlanningResults) -> list[LandscapeFigure]:
    """One for each landscape, in the order of environments and agents. UserError: one is none."""
    return [_figure(each, results) for each in results.landscapes]


def _figure(found: Landscape, results: PlanningResults) -> LandscapeFigure:
    place = results.environments.get(found.environment, found.environment)
    side = len(found.energy)
    title = f"{place}, {agent_label(found.agent, results.models)}"
    if {len(row) for row in found.energy} != {side} or not len(found.action) == len(found.lowest) == 2:
        said = f"planning.json: the landscape of {title} is no square of energies with two actions of x and y"
        raise UserError(f"{said}; run eval/run_planning.py again")
    apart = float(np.hypot(*np.subtract(found.action, found.lowest)))
    said = f"lowest {words.number(apart)} from the true action; {words.percent(found.rank)} of actions fit better"
    return LandscapeFigure(title, _picture(found.energy), _mark(found.action, side), _mark(found.lowest, side), said)


def _mark(action: Sequence[float], side: int) -> Mark:
    """The middle of a pixel is its action, so that the ends of [-1, 1] lie half a pixel inside."""
    x, y = ((value + 1) / 2 * (side - 1) / side + 0.5 / side for value in action)
    return Mark(round(100 * x, 2), round(100 * y, 2))


def _picture(energy: Sequence[Sequence[float]]) -> str:
    """Root energies, which are distances, from the lowest to the highest."""
    root = np.sqrt(np.maximum(np.asarray(energy, dtype=np.float64), 0))
    share = (root - root.min()) / max(float(np.ptp(root)), 1e-12)
    pixels = (_DARK + share[..., None] * (_LIGHT - _DARK)).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
