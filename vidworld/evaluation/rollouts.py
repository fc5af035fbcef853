"""Rollouts over simulated clips: each model's future, tracked and measured clip by clip; videos of rollouts.

`vidworld data contexts` writes the clips that a model which is run elsewhere is to continue, one MP4 each.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from vidworld.analysis.records import Value
from vidworld.core.clip import Clips, Frames, Tracks
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.core.command import Command
from vidworld.core.config import load
from vidworld.core.media import write_mp4
from vidworld.core.records import prepare_folder, writing
from vidworld.evaluation.evaluator import Evaluator, Subject
from vidworld.evaluation.pictures import Scene, beside_ideal, scene_of
from vidworld.evaluation.schema import PhysicsConfig, measured_splits
from vidworld.evaluation.task import (
    SCALE,
    Case,
    Setup,
    Task,
    TaskPlace,
    Unit,
    applied,
    media_name,
    pieces,
    simulated_clips,
)
from vidworld.metrics import Metric
from vidworld.metrics.appearance import Pictures
from vidworld.models.external.videos import file_name
from vidworld.models.world_model import Encoded, WorldModel
from vidworld.simulation import SCENARIOS
from vidworld.simulation.tracker import locate_discs

ROLLOUTS_VERSION = 1  # of what is done between a model's future and a metric; raised when that gives other values
INPUTS = ("tracks", "samples", "pictures")
ReadT = TypeVar("ReadT", Tracks, Pictures)
_Seen = Callable[[], Encoded]


def rollout_units(setup: Setup) -> Iterator[Unit]:
    """Every scenario and condition, a batch of clips at a time: the references, then each subject that rolls out.

    Models go on, chunk by chunk over their KV caches, for as long as the condition says: also beyond the length that
    they were trained on, where their rotary positions are ones that they have not seen.
    """

    @lru_cache(maxsize=1)
    def encoded(scenario: str, split: str, numbers: range) -> Encoded:
        return setup.evaluator.encode(setup.clips(scenario, split).clips(numbers))

    for scenario, split in measured_splits(setup.config):
        # The metrics that apply to a scenario: they name it, or it names them.
        every, named = setup.metrics(*INPUTS, "frames", "places"), SCENARIOS[scenario].metrics
        metrics = [metric for metric in every if scenario in metric.scenarios or metric.name in named]
        of_tracks = [metric for metric in metrics if metric.takes in INPUTS]
        condition, evaluator = setup.config.conditions[split], setup.evaluator_of(split)
        shown = [split, condition.drawn, vars(condition.shape), condition.context_frames]
        for numbers in pieces(condition.clips, setup.config.clips_at_once):
            batch = f"rollouts_{scenario}_{split}_{numbers[0]}_{numbers[-1]}"
            depends_on = ["rollouts", ROLLOUTS_VERSION, scenario, SCENARIOS.version(scenario), *shown, list(numbers)]
            place = (scenario, split, setup.config.seed)
            given = (partial(encoded, scenario, split, numbers), evaluator, place, metrics)
            yield setup.unit(batch, None, depends_on, metrics, partial(_references, *given))
            for subject in setup.subjects:
                if subject.rolls_out:
                    samples = subject.samples or setup.config.samples
                    measured = partial(_of_subject, *given, subject, samples)
                    yield setup.unit(batch, subject, [*depends_on, samples], of_tracks, measured)


def show_rollouts(setup: Setup, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Videos of a few rollouts of each scenario."""
    models = [subject.model for subject in setup.subjects if subject.rolls_out]
    few = range(min(setup.config.shown, setup.config.clips))
    entries = []
    names = dict.fromkeys(name for name, _ in measured_splits(setup.config))
    for scenario in names if few and "id" in setup.config.splits else ():
        clips = setup.clips(scenario, "id").clips(few)
        entries += save_rollouts(setup.evaluator, models, clips, scenario, folder)
    return {"rollouts": entries}


ROLLOUTS = Task(rollout_units, show_rollouts)


def _references(seen_of: _Seen, evaluator: Evaluator, place: TaskPlace, metrics: list[Metric]) -> Iterator[Value]:
    """What no model can be better than: the truth by tracker and probe, and what the tokenizer keeps."""
    seen = seen_of()
    clips, truth = seen.clips, seen.clips.truth
    start, scene = evaluator.context_frames, scene_of(clips.frames, truth)
    pictures = _pictures(clips.frames[:, start:], seen, scene, evaluator)
    yield from _measured(Case("truth", "pixels", *place), [pictures], seen, evaluator, metrics)
    decoded = evaluator.decode(seen.tokens)
    if not torch.equal(decoded, clips.without_nuisance):  # a tokenizer without loss has nothing to measure
        case = Case("reconstruction", "pixels", *place)
        yield from _kept_by_tokenizer(case, decoded, seen, evaluator, metrics)
        pictures = _pictures(decoded[:, start:], seen, scene, evaluator)
        yield from _measured(case, [pictures], seen, evaluator, metrics)
    if evaluator.probes:
        tracks = evaluator.by_probe("", seen.tokens[:, evaluator.context_length :], truth)
        yield from _measured(Case("truth", "probe", *place), [tracks], seen, evaluator, metrics)


def _of_subject(
    seen_of: _Seen, evaluator: Evaluator, place: TaskPlace, metrics: list[Metric], subject: Subject, samples: int
) -> Iterator[Value]:
    """Every metric of a subject's futures, by the tracker and, where there is one, by the probe."""
    seen = seen_of()
    truth, rollout = seen.clips.truth, evaluator.roll_out(subject.model, seen, samples)
    scene = scene_of(seen.clips.without_nuisance, truth)
    pictures = _of_samples(
        lambda x: _pictures(evaluator.decode_future(seen, x), seen, scene, evaluator), rollout.tokens
    )
    yield from _measured(Case(subject.name, "pixels", *place), pictures, seen, evaluator, metrics)
    if evaluator.probes:
        tracks = _of_samples(lambda x: evaluator.by_probe(subject.name, x, truth), rollout.embeddings)
        yield from _measured(Case(subject.name, "probe", *place), tracks, seen, evaluator, metrics)


def _pictures(future: Frames, seen: Encoded, scene: Scene, evaluator: Evaluator) -> Pictures:
    """A future beside the truth, with the tracks that are read from it."""
    truth = seen.clips.truth
    tracks = evaluator.by_pixels(future, truth)
    return beside_ideal(future, tracks, seen.clips.without_nuisance, truth, scene, evaluator.context_frames)


def _of_samples(read: Callable[[Tensor], ReadT], samples: Float[Tensor, "clip sample *rest"]) -> list[ReadT]:
    """What is read of each sample: once, where samples are equal, as those of a model that predicts one future."""
    first, *others = samples.unbind(dim=1)
    found: ReadT = read(first)
    further: list[ReadT] = [found if torch.equal(other, first) else read(other) for other in others]
    return [found] + further  # noqa: RUF005 (mypy takes the starred form for a list of lists)


def _measured(
    case: Case, samples: Sequence[Tracks | Pictures], seen: Encoded, evaluator: Evaluator, metrics: list[Metric]
) -> Iterator[Value]:
    """One value a clip and metric: the mean over the samples, for metrics of one prediction. Probes see no pictures."""
    shown = (seen.clips.truth, seen.clips.dt_s, evaluator.context_frames)
    tracks = [each.predicted if isinstance(each, Pictures) else each for each in samples]
    distinct = 1 if all(each is samples[0] for each in samples) else len(samples)
    pictures = [each for each in samples[:distinct] if isinstance(each, Pictures)]
    count = len(seen.clips)
    for metric in metrics:
        if metric.takes == "samples":
            numbers = applied(metric, count, tracks, *shown)
        elif metric.takes == "tracks":
            numbers = np.mean([applied(metric, count, each, *shown) for each in tracks[:distinct]], axis=0)
        elif metric.takes == "pictures" and pictures:
            numbers = np.mean([applied(metric, count, each) for each in pictures], axis=0)
        else:
            continue
        yield from case.values(metric, seen.clips.identity, numbers.tolist())


def _kept_by_tokenizer(
    case: Case, decoded: Tensor, seen: Encoded, evaluator: Evaluator, metrics: list[Metric]
) -> Iterator[Value]:
    """What clips have lost by being encoded and decoded, from the first frame on that is encoded.

    Nuisance is no loss: what is decoded is compared with the frames that are without it.
    """
    clips, truth = seen.clips, seen.clips.truth
    both = [each[:, evaluator.tokenizer.unseen_frames :] for each in (decoded, clips.without_nuisance)]
    places = (locate_discs(each, truth.color, truth.radius).double().numpy() for each in both)
    given: dict[str, tuple[Any, ...]] = {
        "frames": tuple(each.numpy() for each in both),
        "places": (*places, WORLD_SIZE / clips.frames.shape[-1]),
    }
    for metric in metrics:
        if metric.takes in given:
            numbers = applied(metric, len(clips), *given[metric.takes])
            yield from case.values(metric, clips.identity, numbers.tolist())


def save_rollouts(
    evaluator: Evaluator, models: Sequence[WorldModel], clips: Clips, task: str, folder: Path
) -> list[dict[str, Any]]:
    """What media.json says of these clips' rollouts, after writing a video of each model's."""
    prepare_folder(folder / "media")
    seen, start = evaluator.encode(clips), evaluator.context_frames
    futures = {"truth": clips.frames[:, start:]}
    futures |= {model.name: evaluator.future_frames(model, seen) for model in models}
    futures["reconstruction"] = evaluator.decode_future(seen, seen.tokens[:, evaluator.context_length :])
    entries = []
    for i, identity in enumerate(clips.identity):
        videos = {name: f"media/{media_name(identity)}_{name}.mp4" for name in futures}
        for name, file in videos.items():
            with writing(folder / file):
                frames = torch.cat((clips.frames[i, :start], futures[name][i]))
                write_mp4(folder / file, frames, clips.fps, scale=SCALE)
        entry = {"task": task, "identity": identity, "context_frames": start, "fps": clips.fps}
        entries.append(entry | {"videos": videos})
    return entries


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="that of eval/run_physics.py")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the files go")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="replaces the file's value")


def _run(arguments: argparse.Namespace) -> None:
    """Write a context for every clip; files that are there stay."""
    config = load(PhysicsConfig, arguments.config, arguments.overrides)
    folder = prepare_folder(arguments.out)
    every = [(s, p, i) for s, p in measured_splits(config) for i in range(config.conditions[p].clips)]
    for scenario, split, number in tqdm(every, desc="contexts", unit="clip", disable=None):
        source = simulated_clips(config, scenario, split)
        path = folder / file_name(*source.identities([number]))
        if path.exists():
            continue
        temporary = path.with_name(f".{path.stem}.part.mp4")
        with writing(path):
            frames = source.clips([number]).frames[0, : config.conditions[split].context_frames]
            write_mp4(temporary, frames, config.shape.fps)
            temporary.replace(path)
    splits_of: dict[int, list[str]] = {}  # by the frames that are to follow
    for split in dict.fromkeys(split for _, split, _ in every):
        condition = config.conditions[split]
        splits_of.setdefault(condition.shape.num_frames - condition.context_frames, []).append(split)
    several = len(splits_of) > 1
    lengths = [f"{n} frames" + (f" ({', '.join(splits)})" if several else "") for n, splits in splits_of.items()]
    print(
        f"{folder}: {len(every)} contexts at {config.shape.fps:g} frames a second. Continue each by "
        f"{', '.join(lengths)}, in a folder of their own and under the same names, and measure these with\n"
        f"python eval/run_physics.py --config {arguments.config} models.mine=videos:THAT_FOLDER"
        + "".join(f" {override}" for override in arguments.overrides)
        + "\nFiles that begin with the context, or with its last frame, are named videos_from_context:THAT_FOLDER or "
        "videos_from_last_frame:THAT_FOLDER; longer futures are videos_from_future:THAT_FOLDER."
    )


CONTEXTS = Command(_add_arguments, _run)
