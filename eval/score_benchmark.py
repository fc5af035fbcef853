"""Score models on a benchmark's videos.

python eval/score_benchmark.py intphys FOLDER --config configs/demo/physics.yaml --out runs/intphys [key=value ...]
python eval/score_benchmark.py physics_iq FOLDER --model diffusers:FOLDER --out runs/physics_iq
python eval/score_benchmark.py physics_iq FOLDER --model mine=videos:GENERATED --out runs/physics_iq
python eval/score_benchmark.py intphys FOLDER --surprise surprise.json --model mine --out runs/intphys

The models are those of a configuration of eval/run_physics.py, further run folders or other people's models beside
them or alone, or, for videos that are possible or not, whatever wrote its surprise to a file. Videos without labels
(the test set of IntPhys) give a submission instead of a score. Physics-IQ is scored as published (published_30fps) and
in our own setting (test), also of videos that were made elsewhere. A run that was stopped goes on where it was.
"""

import argparse
import sys
from argparse import Namespace
from pathlib import Path

from vidworld.core.config import load
from vidworld.core.errors import ArgumentParser, UserError, run_script
from vidworld.evaluation.benchmarks import BENCHMARKS
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.models import Spec


def main() -> None:
    arguments = parse()
    config = arguments.config and load(PhysicsConfig, arguments.config, arguments.overrides)
    models = [] if arguments.surprise else [Spec.parse(text) for text in arguments.model]
    # Imported now: a wrong name or key was said without waiting for torch.
    from vidworld.evaluation.benchmarks.scoring import own_config, score_folder, score_surprise, with_models

    benchmark, folder, out = BENCHMARKS[arguments.kind], arguments.folder, arguments.out
    if arguments.surprise is not None:
        name = arguments.model[0] if arguments.model else "other"
        score_surprise(benchmark, folder, arguments.surprise, name, out)
    else:
        config = config or own_config(benchmark, arguments.overrides)
        score_folder(benchmark, folder, with_models(config, models, out))


def parse() -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", metavar="KIND", help=", ".join(BENCHMARKS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=Path, metavar="FILE", help="a configuration of eval/run_physics.py")
    what = "a run folder or KIND:PATH, beside those of --config or alone; with --surprise the name in the results"
    parser.add_argument("--model", action="append", default=[], metavar="[NAME=]SPEC", help=what)
    parser.add_argument("--world", help=argparse.SUPPRESS)
    parser.add_argument("--surprise", type=Path, metavar="FILE", help="JSON: a video's surprise in each window")
    help_ = "for the configuration; without one for the benchmark's own size, window and context"
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=help_)
    arguments: Namespace = parser.parse_intermixed_args()
    BENCHMARKS.check([arguments.kind])
    if arguments.world is not None:  # as the first edition called it
        print(f"--world is called --model now: --model {arguments.world}", file=sys.stderr)
        arguments.model.append(arguments.world)
    if arguments.surprise is None:
        if arguments.config is None and not arguments.model:
            raise UserError("name models: --config for those of a file, --model [NAME=]SPEC, or --surprise FILE")
    elif arguments.config is not None:
        raise UserError("give either --config, for models that are run here, or --surprise, for another's")
    elif len(arguments.model) > 1 or arguments.overrides:
        more = "a second --model" if len(arguments.model) > 1 else arguments.overrides[0]
        raise UserError(f"--surprise is one model's, and measured already: leave out {more}")
    return arguments


if __name__ == "__main__":
    run_script(main)
