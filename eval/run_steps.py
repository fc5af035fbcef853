"""Measure what fewer steps of sampling cost in physics: python eval/run_steps.py runs/demo [--clips 32].

Of the diffusion model of a run folder, and of its few-step form where there is one. The curves
join those that the report draws.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vidworld.analysis.statistics import Interval, interval
from vidworld.core.clip import Clips
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import ArgumentParser, UserError, run_script
from vidworld.core.records import provenance, read_json, write_json
from vidworld.evaluation.evaluator import Evaluator, evaluation_accelerator
from vidworld.metrics.velocity import velocity_error
from vidworld.models.diffusion import DiffusionTransformer, GenerativeModel
from vidworld.models.files import check_tokenizer, load_model, read_budget, sampling_shift_of
from vidworld.models.tokenizers import load_tokenizer
from vidworld.simulation.simulated import SimulatedClips

STEPS = (1, 2, 4, 10)
"""Evaluations of the network a chunk."""
SCENARIOS = ("uniform", "collision")
CONTEXT_FRAMES = 8
LEVELS = (0.7,)
"""Of surprise, which is not measured here."""


def main() -> None:
    arguments = parse()
    runs: Path = arguments.runs
    accelerator = evaluation_accelerator()
    tokenizer = load_tokenizer(runs / "tokenizer").to(accelerator.device)
    names = [name for name in ("diffusion", "few_step") if (runs / name / "model").is_dir()]
    if not names:
        raise UserError(f"{runs}: no finished diffusion model there; train it first, or name another run folder")
    samplers = {}
    for name in names:
        check_tokenizer(runs / name, tokenizer.fingerprint())
        network = load_model(DiffusionTransformer, runs / name).to(accelerator.device)
        shift = sampling_shift_of(runs / name)
        samplers[name] = [GenerativeModel(network, name, count, shift, LEVELS) for count in STEPS]
    shape = ClipShape(**read_budget(runs / names[0])["config"]["data"]["shape"])
    evaluator = Evaluator(tokenizer, {}, accelerator, CONTEXT_FRAMES, 0)
    curves = []
    for scenario in tqdm(SCENARIOS, "steps", disable=None):
        clips = SimulatedClips(scenario, "id", shape=shape).clips(range(arguments.clips))
        curves.append(error_by_steps(evaluator, samplers, clips, scenario))
    out = runs / "steps.json"
    write_json(out, {"schema": 1, "provenance": provenance(0), "clips": arguments.clips, "curves": curves})
    media_path = runs / "physics" / "media.json"
    if media_path.exists():
        media, made = read_json(media_path), {curve["name"] for curve in curves}
        kept = [curve for curve in media.get("curves", []) if curve["name"] not in made]
        write_json(media_path, media | {"curves": kept + curves})
    for curve in curves:
        for line in curve["series"]:
            errors = ", ".join(f"{x}: {y:.2f}" for x, y in zip(line["x"], line["y"], strict=True))
            print(f"{curve['name']}, {line['label']}: {errors} {curve['y_label']}")
    print(f"{out}: error at {', '.join(map(str, STEPS))} evaluations a chunk")


def error_by_steps(
    evaluator: Evaluator, samplers: Mapping[str, Sequence[GenerativeModel]], clips: Clips, scenario: str
) -> dict[str, Any]:
    """A curve of the report: mean velocity error by pixels with its 95% interval, a line a model."""
    series = []
    for name, by_steps in samplers.items():
        found = [mean_error(evaluator, sampler, clips) for sampler in by_steps]
        line = {"label": name, "x": list(STEPS), "y": [each.value for each in found]}
        series.append(line | {"low": [each.low for each in found], "high": [each.high for each in found]})
    title = f"Velocity error by evaluations of the network, {scenario}"
    return {"name": title, "x_label": "evaluations a chunk", "y_label": "units/s", "series": series}


def mean_error(evaluator: Evaluator, sampler: GenerativeModel, clips: Clips) -> Interval:
    """The velocity error by pixels over these clips, units/s, of one future each."""
    found = evaluator.by_pixels(evaluator.future_frames(sampler, evaluator.encode(clips)), clips.truth)
    errors = velocity_error(found, clips.truth, clips.dt_s, evaluator.context_frames)
    return interval(np.asarray(errors)[None], bounds=(0.0, np.inf))


def parse() -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, metavar="RUNS")
    parser.add_argument("--clips", type=int, default=32, help="of each scenario (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.clips < 1:
        raise UserError("--clips: must be above 0")
    return arguments


if __name__ == "__main__":
    run_script(main)
