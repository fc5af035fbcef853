"""`vidworld export RUNS`: the models of a demo's run folder as files, with their latency and what each form costs."""

import argparse
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from vidworld.core.command import Command
from vidworld.core.errors import UserError
from vidworld.core.records import prepare_folder, provenance, write_json
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.export import ExportRow, FewStep, JepaStep, export, measure_forms
from vidworld.models.budget import sampling_shift_of
from vidworld.models.dit import DiffusionTransformer
from vidworld.models.files import load_model
from vidworld.models.flow import MAX_STEPS
from vidworld.models.jepa import JointEmbeddingPredictor
from vidworld.models.tokenizers.autoencoder import Autoencoder

EXPORTED_SCENARIOS = ("uniform", "collision")
PICTURE = (4, 64, 64)
"""Frames of a chunk and the picture's sides, of every configuration here."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    add = parser.add_argument
    add("runs", type=Path, metavar="RUNS", help="a folder with tokenizer, regression and few_step or diffusion")
    add("--out", type=Path, help="where the files go (default: RUNS/export)")
    add("--steps", type=int, default=MAX_STEPS, help="of sampling a chunk (default: %(default)s)")
    add("--clips", type=int, default=32, help="of each scenario that is measured (default: %(default)s)")


def _run(arguments: argparse.Namespace) -> None:
    """Export the models and print a line for each model and form."""
    if arguments.steps < 1 or arguments.clips < 1:
        raise UserError("--steps and --clips: both must be above 0")
    runs: Path = arguments.runs
    out = prepare_folder(arguments.out or runs / "export")
    tokenizer = load_model(Autoencoder, runs / "tokenizer")
    taught = "few_step" if (runs / "few_step" / "model").is_dir() else "diffusion"
    shift = sampling_shift_of(runs / taught)
    models: dict[str, nn.Module] = {
        "regression": JepaStep(load_model(JointEmbeddingPredictor, runs / "regression")),
        taught: FewStep(load_model(DiffusionTransformer, runs / taught), arguments.steps, shift),
    }
    evaluator = Evaluator(tokenizer, {}, Accelerator(mixed_precision="no", cpu=True), 2 * PICTURE[0], 0)
    grid = tokenizer.grid_of(*PICTURE)[1:]
    rows: list[ExportRow] = []
    for name, module in models.items():
        forms = export(module, name, grid, tokenizer.channels, out)
        rows += measure_forms(evaluator, name, forms, EXPORTED_SCENARIOS, arguments.clips)
    write_json(
        out / "export.json",
        {
            "schema": 1,
            "provenance": provenance(0),
            "threads": torch.get_num_threads(),
            "steps": arguments.steps,
            "shift": shift,
            "rows": [asdict(row) for row in rows],
        },
    )
    for row in rows:
        errors = ", ".join(
            f"{name} {value:.2f} [{low:.2f}, {high:.2f}]" for name, (value, low, high) in row.error.items()
        )
        print(
            f"{row.model}, {row.form}: {row.latency_ms:.1f} ms a chunk, {row.size_mb:g} MB, off by {row.off_by:.2g}; "
            f"velocity error {errors}"
        )
    print(f"{out / 'export.json'}: {len(rows)} rows; the files are beside it")


EXPORT = Command(_add_arguments, _run)
