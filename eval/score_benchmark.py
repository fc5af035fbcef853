"""Scores surprise on possible and impossible films of a benchmark.

python eval/score_benchmark.py intphys FOLDER --config configs/demo/physics.yaml --out runs/intphys [key=value ...]
python eval/score_benchmark.py intphys FOLDER --surprise surprise.json --world mine --out runs/intphys

The first form asks the worlds of a configuration of eval/run_physics.py, the second reads what another model was
surprised by. Films without labels (the test set of IntPhys) give a submission instead of a score.
"""

from pathlib import Path

from vidworld.benchmarks import BENCHMARKS
from vidworld.benchmarks.benchmark import check
from vidworld.benchmarks.intphys import write_submission
from vidworld.errors import ArgumentParser, UserError, run_script
from vidworld.harness.violations import Windows, accuracies, read_surprise, surprise_of_films

KINDS = ("intphys", "intphys2", "grasp", "inflevel")


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--surprise", type=Path, help="JSON: for each film its surprise in each window")
    parser.add_argument("--world", default="other", help="the name of what was surprised (with --surprise)")
    parser.add_argument("--config", type=Path, help="a configuration of eval/run_physics.py")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for the configuration")
    arguments = parser.parse_intermixed_args()
    if (arguments.surprise is None) == (arguments.config is None):
        raise UserError("give either --config, for worlds of this project, or --surprise, for another's")
    benchmark = BENCHMARKS[arguments.kind]
    if faults := check(benchmark, arguments.folder):
        raise UserError("\n".join(faults))
    entries = benchmark.entries(arguments.folder)

    # --- surprises, by world ---
    surprises: dict[str, dict[str, Windows]] = {}
    seed = 0
    if arguments.surprise is not None:
        surprises[arguments.world] = read_surprise(arguments.surprise)
        lacking = [entry.identity for entry in entries if entry.identity not in surprises[arguments.world]]
        if lacking:
            raise UserError(f"{arguments.surprise}: has no surprise of {lacking[0]} ({len(lacking)} lacking)")
    else:
        bench, worlds, config = load(arguments.config, arguments.overrides)
        seed, shape = config.seed, (config.shape.num_frames, config.shape.width_px)
        for world in worlds:
            surprises[world.name] = surprise_of_films(bench, world, benchmark, entries, shape, arguments.out)

    # --- scores, or a submission ---
    if any(entry.possible is None for entry in entries):
        for name, found in surprises.items():
            means = {film: float(windows.mean()) for film, windows in found.items()}
            place = write_submission(arguments.folder, means, arguments.out / f"answer_{name}.zip")
            print(f"{place}: a submission of {len(means)} films")
        return
    from vidworld.harness.results import write_results
    from vidworld.record import prepare_folder

    values = [
        v for name, found in surprises.items() for v in accuracies(benchmark, entries, found, name, seed)
    ]
    rows = write_results(prepare_folder(arguments.out), values, {}, seed)
    for row in rows:
        print(
            f"{row.world}, {row.law}, {row.metric}: {row.value:.3f} [{row.low:.3f}, {row.high:.3f}], n = {row.n}"
        )
    print(f"{arguments.out / 'results.json'}: {len(rows)} rows")


def load(config_file: Path, overrides: list[str]):  # type: ignore[no-untyped-def]
    """The bench, the two worlds and the configuration."""
    from accelerate import Accelerator

    from vidworld.checkpoint import load_model
    from vidworld.config import parse_command_line
    from vidworld.harness.bench import Bench
    from vidworld.models.dit import DiffusionTransformer
    from vidworld.models.jepa import JointEmbeddingPredictor
    from vidworld.schema import PhysicsConfig
    from vidworld.tokenizer.autoencoder import Autoencoder
    from vidworld.world import DiffusionWorld, JepaWorld

    config, _ = parse_command_line(PhysicsConfig, ["--config", str(config_file), *overrides])
    accelerator = Accelerator(mixed_precision=config.mixed_precision)
    bench = Bench(
        load_model(Autoencoder, config.tokenizer).to(accelerator.device),
        {},
        accelerator,
        config.context_frames,
        config.seed,
    )
    diffusion = load_model(DiffusionTransformer, config.diffusion).to(accelerator.device)
    jepa = load_model(JointEmbeddingPredictor, config.jepa).to(accelerator.device)
    return bench, [DiffusionWorld(diffusion, levels=config.levels), JepaWorld(jepa)], config


if __name__ == "__main__":
    run_script(main)
