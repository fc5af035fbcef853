"""Scores worlds on a benchmark's films.

python eval/score_benchmark.py intphys FOLDER --config configs/demo/physics.yaml --out runs/intphys [key=value ...]
python eval/score_benchmark.py physics_iq FOLDER --world diffusers:FOLDER --out runs/physics_iq
python eval/score_benchmark.py intphys FOLDER --surprise surprise.json --world mine --out runs/intphys

The worlds are those of a configuration of eval/run_physics.py, other people's models beside them or alone, or, for
films that are possible or not, whatever wrote its surprise to a file. Films without labels (the test set of IntPhys)
give a submission instead of a score. What was measured before a run was stopped is not measured again.
"""

from argparse import Namespace
from pathlib import Path
from typing import Any

from accelerate import Accelerator, PartialState

from vidworld.analysis.records import Value
from vidworld.analysis.results import write_results
from vidworld.core.config import load
from vidworld.core.errors import ArgumentParser, UserError, run_script
from vidworld.core.precision import precision
from vidworld.core.records import prepare_folder
from vidworld.evaluation.benchmark_scores import SCORES, UNSCORED
from vidworld.evaluation.benchmark_scores.films import Stand
from vidworld.evaluation.benchmarks import BENCHMARKS
from vidworld.evaluation.benchmarks.benchmark import Entry, check
from vidworld.evaluation.benchmarks.intphys import write_submission
from vidworld.evaluation.models import Asked, predicting, surprised, worlds_of
from vidworld.evaluation.schema import PhysicsConfig, ScoreConfig
from vidworld.evaluation.units import parts_folder
from vidworld.evaluation.violations import Windows, accuracies, read_surprise, surprise_of_films

FRAMES_CONFIG = Path(__file__).parents[1] / "configs" / "base" / "score.yaml"
"""Of other people's models, as far as neither the benchmark's own evaluation nor the command line say otherwise."""
VIOLATIONS = tuple(kind for kind in BENCHMARKS if kind not in SCORES and kind not in UNSCORED)
"""Benchmarks whose films are possible or not: they ask for surprise."""


def main() -> None:
    arguments = parse()
    kind, folder, out = arguments.kind, arguments.folder, arguments.out
    if kind in UNSCORED:
        raise UserError(f"{kind}: {UNSCORED[kind]}")
    benchmark = BENCHMARKS[kind]
    if faults := check(benchmark, folder):
        raise UserError("\n".join(faults))
    entries = benchmark.entries(folder)

    # --- from a file, or from worlds ---
    seed, values = 0, []
    if arguments.surprise is not None:
        surprises = {arguments.world[0]: from_file(arguments.surprise, entries)}
    else:
        asked = worlds(arguments)
        seed = asked.evaluator.seed
        kept = parts_folder(out, [asked.made_of, kind, str(folder.resolve())])
        if kind in SCORES:
            stand = Stand(asked.evaluator, benchmark, asked.shape)
            values = SCORES[kind].measure(
                stand, some(predicting(asked.worlds), "continues films", asked), entries, kept
            )
        else:
            able = some(surprised(asked.worlds), "is surprised", asked)
            surprises = {
                world.name: surprise_of_films(asked.evaluator, world, benchmark, entries, asked.shape, kept)
                for world in able
            }

    # --- scores, or a submission ---
    if not PartialState().is_main_process:
        return
    if kind in VIOLATIONS:
        if any(entry.possible is None for entry in entries):
            submit(folder, surprises, out)
            return
        values = of_surprises(benchmark, entries, surprises, seed)
    rows = write_results(prepare_folder(out), values, {}, seed)
    for row in rows:
        interval = f"[{row.low:.3f}, {row.high:.3f}]"
        print(f"{row.world}, {row.law}, {row.split}, {row.metric}: {row.value:.3f} {interval}, n = {row.n}")
    print(f"{out / 'results.json'}: {len(rows)} rows")


def parse() -> Namespace:
    """The command line.

    Raises:
        UserError: it names no world, or a file of surprises for a benchmark that has no use for it.
    """
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=BENCHMARKS, metavar="KIND", help=", ".join(BENCHMARKS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=Path, help="a configuration of eval/run_physics.py")
    what = "KIND:PATH of somebody's model, beside those of --config or alone; with --surprise the name in the results"
    parser.add_argument("--world", action="append", default=[], help=what)
    parser.add_argument("--surprise", type=Path, help="JSON: for each film its surprise in each window")
    help_ = "for the configuration, or without one for configs/base/score.yaml"
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=help_)
    arguments: Namespace = parser.parse_intermixed_args()
    if arguments.surprise is None and arguments.config is None and not arguments.world:
        raise UserError(
            "name worlds: --config for those of this project, --world KIND:PATH, or --surprise FILE"
        )
    if arguments.surprise is not None:
        if arguments.config is not None:
            raise UserError("give either --config, for worlds of this project, or --surprise, for another's")
        if arguments.kind not in VIOLATIONS:
            raise UserError(
                f"--surprise is for {', '.join(VIOLATIONS)}; {arguments.kind} asks worlds for futures"
            )
        if len(arguments.world) > 1 or arguments.overrides:
            more = "a second --world" if len(arguments.world) > 1 else arguments.overrides[0]
            raise UserError(f"--surprise is one world's, and measured already: leave out {more}")
        arguments.world = arguments.world or ["other"]
    return arguments


def worlds(arguments: Namespace) -> Asked:
    """The worlds that the command line names."""
    if arguments.config is None:
        own = own_reading(BENCHMARKS[arguments.kind], load(ScoreConfig, FRAMES_CONFIG, arguments.overrides))
        given = {override.partition("=")[0] for override in arguments.overrides}
        usual = [f"{key}={value}" for key, value in own.items() if key not in given]
        config = load(ScoreConfig, FRAMES_CONFIG, [*usual, *arguments.overrides])
        return worlds_of(config, arguments.world, Accelerator())
    trained = load(PhysicsConfig, arguments.config, arguments.overrides)
    return worlds_of(
        trained, arguments.world, Accelerator(mixed_precision=precision(trained.mixed_precision))
    )


def own_reading(benchmark: Benchmark, config: ScoreConfig) -> dict[str, int]:
    """Size, window and context of the benchmark's own evaluation, in whole chunks, as far as it says them.

    Of several contexts (its own score takes the best of them, on the films that it is of) the middle one.
    """
    reading, chunk = benchmark.reading, config.chunk_frames
    said = {"shape.height_px": reading.size_px, "shape.width_px": reading.size_px}
    slower = 1.0 if benchmark.name in VIOLATIONS else config.shape.fps / (reading.fps or config.shape.fps)
    contexts = [c for frames in reading.context_frames if (c := int(frames * slower + 0.5))]
    whole = [c for c in contexts if c % chunk == 0] or [c // chunk * chunk for c in contexts if c >= chunk]
    if whole:
        said["context_frames"] = whole[len(whole) // 2]
    if benchmark.name in VIOLATIONS and reading.window_frames:
        said["shape.num_frames"] = reading.window_frames
    return said


def some(able: list[Any], what: str, asked: Asked) -> list[Any]:
    """The worlds that are able to do what the benchmark asks.

    Raises:
        UserError: there are none.
    """
    if not able:
        raise UserError(f"no world here {what}: {', '.join(world.name for world in asked.worlds)} cannot")
    return able


def from_file(path: Path, entries: list[Entry]) -> dict[str, Windows]:
    """What another model was surprised by.

    Raises:
        UserError: a film is lacking.
    """
    found = read_surprise(path)
    lacking = [entry.identity for entry in entries if entry.identity not in found]
    if lacking:
        raise UserError(f"{path}: has no surprise of {lacking[0]} ({len(lacking)} lacking)")
    return found


def of_surprises(
    benchmark: Benchmark, entries: list[Entry], surprises: dict[str, dict[str, Windows]], seed: int
) -> list[Value]:
    """The accuracies of every world."""
    return [v for name, found in surprises.items() for v in accuracies(benchmark, entries, found, name, seed)]


def submit(folder: Path, surprises: dict[str, dict[str, Windows]], out: Path) -> None:
    """Writes a submission for each world."""
    for name, found in surprises.items():
        means = {film: float(windows.mean()) for film, windows in found.items()}
        place = write_submission(folder, means, out / f"answer_{name}.zip")
        print(f"{place}: a submission of {len(means)} films")


if __name__ == "__main__":
    run_script(main)
