"""Surprise at other people's possible and impossible films, and the accuracies that its benchmark gives for it."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from tqdm import tqdm

from vidworld.analysis.records import Value
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.core.records import append_jsonl, prepare_folder, read_jsonl
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry, clip_of, windows_of
from vidworld.evaluation.evaluator import Evaluator
from vidworld.metrics.intphys import absolute_accuracy, auroc, relative_accuracy
from vidworld.models.world_model import Encoded, Scorer

Windows = Float[ndarray, " window"]
AT_ONCE = 16
"""Windows that go through a world together."""


def surprise_of_films(
    evaluator: Evaluator,
    world: Scorer,
    benchmark: Benchmark,
    entries: Sequence[Entry],
    shape: ClipShape,
    kept: Path,
) -> dict[str, Windows]:
    """The world's surprise at every window of every film, by the film's name: the mean over the window's chunks.

    Each process asks about its share of the films. kept: a folder of what these very worlds measured; what stands there
    is not done again.
    """
    kept, accelerator = prepare_folder(kept), evaluator.accelerator
    done = _known(kept, world.name)
    accelerator.wait_for_everyone()  # nobody writes before all have read
    record = kept / f"surprise_{accelerator.process_index}.jsonl"
    mine = entries[accelerator.process_index :: accelerator.num_processes]
    quiet = None if accelerator.is_main_process else True
    for entry in tqdm(mine, f"surprise of {world.name}", unit="film", disable=quiet):
        if entry.identity in done:
            continue
        clip = clip_of(benchmark, entry, shape.width_px)
        windows = windows_of(clip, shape.num_frames, benchmark.reading.window_stride)
        found = []
        for start in range(0, len(windows), AT_ONCE):
            part = windows.at(slice(start, start + AT_ONCE))
            seen: Encoded = evaluator.encode(part)
            seeds = evaluator.seeds([entry.group] * len(part))  # films that are compared share what is drawn
            with evaluator.accelerator.autocast():
                surprise = world.surprise(seen, evaluator.context_length, seeds)
            found.append(surprise.double().mean(dim=1).cpu().numpy())
        append_jsonl(record, {"film": entry.identity, "world": world.name, "surprise": np.concatenate(found)})
    accelerator.wait_for_everyone()
    done = _known(kept, world.name)
    return {entry.identity: done[entry.identity] for entry in entries}


def _known(kept: Path, world: str) -> dict[str, Windows]:
    """What all processes wrote of a world, now or before."""
    rows = [row for record in sorted(kept.glob("surprise_*.jsonl")) for row in read_jsonl(record)]
    return {row["film"]: np.array(row["surprise"]) for row in rows if row["world"] == world}


def accuracies(
    benchmark: Benchmark, entries: Iterable[Entry], surprise: Mapping[str, Windows], world: str, seed: int
) -> list[Value]:
    """Relative and absolute accuracy and AUROC of each property, as values of pairs, films and the property.

    Within a group the possible films are paired with the impossible ones in their order.

    Raises:
        UserError: a film is not labelled, or a group has more of one side.
    """
    groups: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        if entry.possible is None:
            raise UserError(
                f"{entry.identity}: nothing says whether it is possible (write a submission instead)"
            )
        groups[entry.property][entry.group].append(entry)
    values = []
    for name, of in groups.items():
        pairs: list[tuple[Entry, Entry]] = []
        for group, films in of.items():
            possible, impossible = ([f for f in films if f.possible is side] for side in (True, False))
            if len(possible) != len(impossible):
                raise UserError(
                    f"{group}: has {len(possible)} possible and {len(impossible)} impossible films"
                )
            pairs += zip(possible, impossible, strict=True)
        low, high = (_stacked([surprise[pair[side].identity] for pair in pairs]) for side in (0, 1))
        kinds = {
            "relative_accuracy": (
                relative_accuracy(low, high),
                [f"{a.identity} {b.identity}" for a, b in pairs],
            ),
            "absolute_accuracy": (
                absolute_accuracy(low, high),
                [p[k].identity for k in (0, 1) for p in pairs],
            ),
            "auroc": (np.array([auroc(low, high)]), [name]),
        }
        for metric, (found, identities) in kinds.items():
            values += [
                Value(
                    world,
                    None,
                    benchmark.name,
                    name,
                    "test",
                    f"{metric}_score",
                    "share",
                    identity,
                    float(v),
                    seed,
                )
                for v, identity in zip(found, identities, strict=True)
            ]
    return values


def _stacked(windows: Sequence[Windows]) -> Float[ndarray, "film window"]:
    """One row a film, NaN where a film has fewer windows than the longest."""
    table = np.full((len(windows), max(map(len, windows))), np.nan)
    for row, values in zip(table, windows, strict=True):
        row[: len(values)] = values
    return table


def read_surprise(path: Path) -> dict[str, Windows]:
    """Surprises of films that something else computed: a JSON object of lists of numbers, by the film's name.

    Raises:
        UserError: it is not that.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(film): np.atleast_1d(np.asarray(values, np.float64)) for film, values in content.items()}
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise UserError(f"{path}: is no JSON object of numbers by film ({error})") from error
