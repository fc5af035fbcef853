"""The steering of a configuration: every model, concept and layer, as rows and as pictures: to steering.json."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch

from vidworld.analysis.inside import SteeringResults, SteeringRow, Strip
from vidworld.core.media import stacked
from vidworld.core.records import prepare_folder, provenance, write_json
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.physics import models_of
from vidworld.inside.concepts import CONCEPTS, Part
from vidworld.inside.directions import Direction
from vidworld.inside.existence import EXISTENCE, hidden_pairs, steer_existence
from vidworld.inside.features import features_of, grid_of
from vidworld.inside.mapping import save_strip
from vidworld.inside.probing import PARTS, ByPart, looked_into, scenes, what_is_hidden
from vidworld.inside.schema import InsideConfig
from vidworld.inside.steering import TARGET_SIZES, Readout, Steered, Steering, steer, steered_clips
from vidworld.models.external import ExternalModel
from vidworld.simulation.simulated import SimulatedClips

READOUTS: tuple[Readout, ...] = ("probe", "pixels")


def steer_models(config: InsideConfig) -> SteeringResults:
    """Steer every model of ours, and write steering.json and its pictures. Raises UserError."""
    prepare_folder(config.out / "media")
    looked = looked_into(config)
    evaluator = looked.evaluator
    results = SteeringResults(1, provenance(config.seed), models_of(config.physics), [], [])
    discs, grid = scenes(config, evaluator)["discs"], grid_of(evaluator, config.shape)
    hidden, few = what_is_hidden(config)["hidden"], max(config.pairs // 3, 2)
    pairs: dict[Part, Steered] = {
        "test": hidden_pairs(evaluator, "test", config.shape, config.pairs),
        "choose": hidden_pairs(evaluator, "choose", config.shape, few),
    }
    test = _clips(config, evaluator, "id", 1000, config.steered)
    chosen_on = _clips(config, evaluator, "val", 60_000, max(config.steered // 3, 2))
    for name, model in looked.models.items():
        if name not in config.models or isinstance(model, ExternalModel):
            continue
        fit, choose = (
            features_of(model, evaluator, [discs[part]], grid, config.clips_at_once, name)[0] for part in PARTS[:2]
        )
        steering = Steering(name, model, evaluator, test, READOUTS)
        other = Steering(name, model, evaluator, chosen_on)
        for concept in TARGET_SIZES:
            answers = (discs["fit"].answers[concept], discs["choose"].answers[concept])
            layers = list(zip(fit, choose, strict=True))
            for row, direction, layer in steer(steering, other, concept, layers, answers):
                results.rows.append(row)
                if row.best and row.direction in ("probe", "means") and row.readout == "pixels":
                    results.strips.extend(_strips(config, steering, concept, direction, layer))
        results.rows.extend(_existence(config, name, model, evaluator, hidden, pairs))
        write_json(config.out / "steering.json", asdict(results))
    return results


def _existence(
    config: InsideConfig, name: str, model: Any, evaluator: Evaluator, hidden: ByPart, pairs: dict[Part, Steered]
) -> Iterator[SteeringRow]:
    """The rows of a disc that is behind a screen, put in and taken out."""
    grid = grid_of(evaluator, config.shape)
    fit, choose = (
        features_of(model, evaluator, [hidden[part]], grid, config.clips_at_once, name)[0] for part in PARTS[:2]
    )
    steering, other = (Steering(name, model, evaluator, pairs[part]) for part in ("test", "choose"))
    answers = (hidden["fit"].answers[EXISTENCE], hidden["choose"].answers[EXISTENCE])
    yield from steer_existence(steering, other, list(zip(fit, choose, strict=True)), answers)


def _clips(config: InsideConfig, evaluator: Evaluator, split: str, first: int, count: int) -> Steered:
    """Of several discs, one of which is steered."""
    clips = SimulatedClips("billiards", split, config.seed, shape=config.shape).clips(range(first, first + count))
    return steered_clips(evaluator, evaluator.encode(clips), split)


def _strips(
    config: InsideConfig, steering: Steering, concept: str, direction: Direction, layer: int
) -> Iterator[Strip]:
    """What happened, the model's future, and the steered one, from the last frame that was seen."""
    future, plain = steering.future(layer, direction, concept, pixels=True), steering.plain
    assert future.frames is not None and plain.frames is not None
    futures = (plain.frames, future.frames)
    seen, last = steering.steered.seen.clips.frames, config.context_frames - 1
    unit = CONCEPTS[concept].unit
    for number in range(min(config.shown, len(seen))):
        x, y = steering.steered.target[concept][number].tolist()
        shown = seen[number, last : last + 1].cpu()
        rows = [seen[number, last:].cpu(), *(torch.cat((shown, each[number])) for each in futures)]
        change = f"{concept} changed by ({x:.1f}, {y:.1f}) {unit}"
        title = f"{steering.name}: what happened, its future, and that with {change}"
        yield save_strip(config, title, f"media/steered_{steering.name}_{concept}_{number}.png", stacked(rows))
