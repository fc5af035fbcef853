"""The study: families trained over a range of compute, each run measured and kept as one small file.

A cell is one training: a family, a budget of FLOPs, a seed and a level of nuisance. Its result is written as it ends,
and a cell whose result is there, and of today's versions, is not run again: a study that was stopped goes on.
"""

import contextlib
import fnmatch
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field
from tqdm import tqdm

from vidworld.analysis.records import read_results
from vidworld.analysis.study import StudyResult, StudyRow, outdated, read_result, row_of, run_name, write_result
from vidworld.core.config import Positive, PositiveFloat, load, resolved, schema
from vidworld.core.errors import UserError
from vidworld.core.locks import alone, free_folder
from vidworld.core.records import fingerprint, prepare_folder, provenance, read_json
from vidworld.core.registry import Registry
from vidworld.evaluation.commands import ROOT, run_command
from vidworld.evaluation.schema import PhysicsConfig, named_in
from vidworld.metrics import METRICS
from vidworld.models.families import FAMILIES, config_schema
from vidworld.models.files import read_budget
from vidworld.models.schema import ProbeConfig, TokenizerConfig, TrainConfig
from vidworld.simulation import LAWS, NUISANCE_VERSION, SCENARIOS, SIMULATOR_VERSION, NuisanceLevel

Progress = Callable[[], None]
HEAD_WIDTH = 32
FIRST_DECODER = 300  # steps of the decoder of results that do not say it


@schema
class StudyPoint:
    budget: PositiveFloat
    """Training FLOPs of a world model; those of the decoder of learned embeddings are a part of them."""
    width: Positive = 128
    """Of the networks, in heads of 32 channels."""
    seeds: Positive = 3


@schema
class StudyConfig:
    """eval/run_study.py"""

    out: Path
    """A folder for the trainings, which may be lost."""
    results: Path
    """A folder of results, a small file a run, to be committed."""
    configs: Path
    """The folder of configurations that every training and evaluation starts from."""
    points: tuple[StudyPoint, ...]
    families: Annotated[tuple[str, ...], named_in(FAMILIES)] = ("regression", "diffusion", "jepa")
    nuisance: tuple[NuisanceLevel, ...] = (0, 1)
    clips: Positive = 44800
    """Different clips of a training, the same for all: their tokens are made once."""
    launch: tuple[str, ...] = ()
    """What starts a training in place of python, for instance [accelerate, launch]."""
    decoder_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Of a budget, what the decoder of learned embeddings is trained by; None: as many steps at every budget."""
    training: tuple[str, ...] = ()
    """key=value of every world model's training, in place of those of its configuration: a study of something else."""
    evaluation: tuple[str, ...] = ()
    """key=value of eval/run_physics.py, in place of those of configs/physics.yaml."""


class Cell(NamedTuple):
    """One training of the study."""

    budget: float
    nuisance: int
    seed: int
    family: str
    width: int

    @property
    def name(self) -> str:
        return run_name(self.family, self.budget, self.nuisance, self.seed)


def cells(config: StudyConfig) -> list[Cell]:
    """Every training, the cheapest first: at each budget the first seed of each family before any second one."""
    found = [
        Cell(point.budget, nuisance, seed, family, point.width)
        for point, nuisance, family in product(config.points, config.nuisance, config.families)
        for seed in range(point.seeds)
    ]
    order = {family: place for place, family in enumerate(config.families)}
    return sorted(found, key=lambda cell: (cell.budget, cell.nuisance, cell.seed, order[cell.family]))


def versions_of(family: str) -> dict[str, int]:
    """The version of everything that gives the numbers of a family's run their meaning."""
    registries: dict[str, Registry[Any]] = {"metric": METRICS, "law": LAWS, "scenario": SCENARIOS}
    found = {f"{kind} {name}": registry.version(name) for kind, registry in registries.items() for name in registry}
    found |= {"simulator": SIMULATOR_VERSION, "nuisance": NUISANCE_VERSION}
    return found | {f"family {family}": FAMILIES.version(family)}


def versions_behind(family: str, rows: Sequence[StudyRow]) -> dict[str, int]:
    """Those of what these rows are of, and of what the family is trained on."""
    trained_on = {f"scenario {name}" for name in SCENARIOS if SCENARIOS[name].weight > 0}
    of_rows = {name for row in rows for name in (f"metric {row.metric}", f"law {row.law}", f"scenario {row.task}")}
    every, kinds = versions_of(family), ("metric", "law", "scenario")
    return {name: every[name] for name in every if name in trained_on | of_rows or name.split()[0] not in kinds}


class Study:
    """The cells of a configuration and what is known of them."""

    def __init__(self, config: StudyConfig) -> None:
        self.config, self.cells = config, cells(config)

    def path(self, cell: Cell) -> Path:
        return self.config.results / f"{cell.name}.json"

    def result(self, cell: Cell) -> StudyResult | None:
        """What was measured of a cell, by whatever version; None where nothing was. UserError: it is of another."""
        if not self.path(cell).exists():
            return None
        found = read_result(self.path(cell))
        if any(getattr(found, name) != value for name, value in cell._asdict().items()):
            raise UserError(f"{self.path(cell)}: holds {found.name}, {found.width} wide; name it so, or remove it")
        return found

    def named(self, pattern: str, share: tuple[int, int]) -> list[Cell]:
        """The cells that match a pattern, or of them the share I of N. UserError: none matches."""
        found = [cell for cell in self.cells if fnmatch.fnmatch(cell.name, pattern)]
        if not found:
            raise UserError(f"no run of the study is named {pattern!r}; --list shows all")
        return found[share[0] :: share[1]]  # of all, so that a share is the same when it is started again

    def state(self, cell: Cell) -> str:
        """In words: to do, outdated, failed or done."""
        result = self.result(cell)
        if result is None:
            return "to do"
        if result.settings != self.settings(cell):
            return "outdated: made by other settings"
        if changed := outdated(result, versions_of(cell.family)):
            return f"outdated: {', '.join(changed[:3])} changed"
        return f"failed: {result.failed}" if result.failed else "done"

    def settings(self, cell: Cell) -> str:
        """A fingerprint of the configurations that a cell is made by, but for paths and the number of steps."""
        configs = [resolved(self.training(cell)), resolved(self.tokenizer(cell)), resolved(self.probe(cell))]
        paths = ("out", "tokenizer", "jepa", "log_every", "save_every", "keep", "steps", "compile")
        kept = [{k: v for k, v in config.items() if k not in paths} for config in configs]
        every, usual = (resolved(config) for config in (self.evaluation(cell), PhysicsConfig(out=Path(), models={})))
        evaluation = {k: v for k, v in every.items() if k in MEASURED_BY or (k in MEASURED_LATER and v != usual[k])}
        decoder = self.config.decoder_share or self.probe(cell).steps
        other = [decoder] if FAMILIES[cell.family].decoded and decoder != FIRST_DECODER else []
        return fingerprint(kept, cell.budget, evaluation, *other)

    # --- configurations ---

    def folder(self, cell: Cell, name: str) -> Path:
        return self.config.out / f"nuisance{cell.nuisance}" / name

    def overrides(self, cell: Cell, name: str) -> list[str]:
        """What a training of the study has in place of what its configuration says."""
        given = [f"out={self.folder(cell, name)}", f"data.nuisance={cell.nuisance}"]
        if name != "tokenizer":
            given.append(f"tokenizer={self.folder(cell, 'tokenizer')}")
        if name == cell.name:
            given += [*self.config.training, f"seed={cell.seed}", f"data.clips={self.config.clips}"]
            given += [f"model.width={cell.width}", f"model.heads={max(1, cell.width // HEAD_WIDTH)}"]
        if name == f"probe_{cell.name}":
            given.append(f"jepa={self.folder(cell, cell.name)}")
        return given

    def training(self, cell: Cell) -> TrainConfig:
        path = self.config.configs / f"{cell.family}.yaml"
        return load(TrainConfig, path, self.overrides(cell, cell.name), config_schema)

    def tokenizer(self, cell: Cell) -> TokenizerConfig:
        return load(TokenizerConfig, self.config.configs / "tokenizer.yaml", self.overrides(cell, "tokenizer"))

    def probe(self, cell: Cell) -> ProbeConfig:
        return load(ProbeConfig, self.config.configs / "probe.yaml", self.overrides(cell, "probe"))

    def evaluated_by(self, cell: Cell, out: Path) -> list[str]:
        """The overrides of the evaluation of a cell."""
        models = f"{{model: {self.folder(cell, cell.name)}}}"
        probes = f"{{model: {self.folder(cell, f'probe_{cell.name}')}}}" if FAMILIES[cell.family].decoded else "{}"
        given = [f"out={out}", f"tokenizer={self.folder(cell, 'tokenizer')}", f"probe={self.folder(cell, 'probe')}"]
        given += [f"nuisance={cell.nuisance}", f"models={models}", "compare=[]", "tried=[]", "shown=0"]
        given += [f"probes={probes}", "controls=false"]  # none of their rows is kept
        given.append(f"oracle={'false' if cell.nuisance else 'true'}")  # the ceiling; in noise it sees no scene
        return [*given, *self.config.evaluation]

    def evaluation(self, cell: Cell) -> PhysicsConfig:
        given = self.evaluated_by(cell, self.config.out)
        return load(PhysicsConfig, self.config.configs / "physics.yaml", given)

    # --- running ---

    def run_alone(self, cell: Cell, bar: Any) -> bool:
        """Run a cell, but one that another process runs, or has run in the meantime; whether it was run here."""
        start = bar.n
        with alone(self.folder(cell, f"{cell.name}.lock"), wait=False) as mine:
            if not mine or not self.state(cell).startswith(("to do", "outdated")):
                bar.update(cell.budget)
                return False
            result = self.run(cell, bar)
        what = f"failed ({result.failed})" if result.failed else f"{len(result.rows)} numbers"
        bar.update(start + cell.budget - bar.n)
        bar.write(f"{self.path(cell)}: {what}")
        return True

    def run(self, cell: Cell, bar: Any) -> StudyResult:
        """Train and measure a cell, and write its result; what of it is finished is not done again.

        A training that ends with a message (it collapsed, or its losses were no numbers) is a result, too.
        Raises UserError: one of the shared trainings, or the evaluation, failed.
        """
        start = bar.n

        def seen() -> None:
            """Move the bar by how far the cell's training is."""
            with contextlib.suppress(UserError):  # not begun
                beat = read_json(self.folder(cell, cell.name) / "heartbeat.json")
                bar.update(start + cell.budget * beat["step"] / beat["steps"] - bar.n)

        train = partial(self._train, cell, seen)
        with alone(self.folder(cell, "lock")):  # waits: what all cells share is trained by one of them
            train("tokenizer", "tokenizer")
            train("probe", "probe")
        probe = self.probe(cell)
        per_step, decoder_step = flops_of(self.training(cell), probe, self.folder(cell, "tokenizer"))
        decoder_steps = probe.steps
        if decoder_step and self.config.decoder_share:
            decoder_steps = max(1, round(self.config.decoder_share * cell.budget / decoder_step))
        decoder = decoder_steps * decoder_step
        steps = max(1, round((cell.budget - decoder) / per_step))
        failed = train("world_model", cell.name, [f"steps={steps}"], may_fail=True)
        spent, seconds, rows = steps * per_step + decoder, 0.0, []
        if not failed:
            budget = read_budget(self.folder(cell, cell.name))
            spent, seconds = budget["training_flops"], budget["seconds"]
            if FAMILIES[cell.family].decoded:
                train("probe", f"probe_{cell.name}", [f"steps={decoder_steps}"])
                of_decoder = read_budget(self.folder(cell, f"probe_{cell.name}"))
                spent, seconds = spent + of_decoder["training_flops"], seconds + of_decoder["seconds"]
            with free_folder(self.folder(cell, "physics")) as out:
                rows = self._measure(cell, out, seen)
        origin = {k: v for k, v in provenance(cell.seed).items() if k in RECORDED}
        result = StudyResult(
            cell.family, cell.budget, cell.width, cell.seed, cell.nuisance, steps, spent, seconds,
            self.settings(cell), versions_behind(cell.family, rows), origin, failed, rows,
        )  # fmt: skip
        prepare_folder(self.config.results)
        write_result(self.path(cell), result)
        return result

    def _train(
        self, cell: Cell, seen: Progress, script: str, name: str, overrides: Sequence[str] = (), may_fail: bool = False
    ) -> str:
        """Run a training to its end; the message that it failed with, where it may."""
        file = cell.family if script == "world_model" else script
        config = ["--config", str(self.config.configs / f"{file}.yaml")]
        command = [str(ROOT / "train" / f"train_{script}.py"), *config, *self.overrides(cell, name), *overrides]
        return run_command([*(self.config.launch or (sys.executable,)), *command], seen, may_fail)

    def _measure(self, cell: Cell, out: Path, seen: Progress) -> list[StudyRow]:
        path = str(self.config.configs / "physics.yaml")
        command = [str(ROOT / "eval" / "run_physics.py"), "--config", path, *self.evaluated_by(cell, out)]
        run_command([sys.executable, *command], seen)
        return [row_of(row) for row in read_results(out / "results.json").results if row.model == "model"]


RECORDED = ("commit", "dirty", "versions", "cpu", "cores", "device_name", "auto_precision", "command", "started")
MEASURED_BY = (
    *("seed", "context_frames", "tasks", "scenarios", "laws", "splits", "horizons", "contexts", "metrics", "clips"),
    *("further_clips", "quadruplets", "further_quadruplets", "ood_quadruplets", "samples"),
    *("sampling_steps", "sampling_shift", "sampling_order", "levels", "main_laws"),
)
"""Keys of an evaluation that its numbers depend on."""
MEASURED_LATER = ("shape", "mixed_precision")
"""The same of keys that count where they are not as usual: files that were made before they did stay good."""


def flops_of(config: Any, probe: ProbeConfig, folder: Path) -> tuple[float, float]:
    """Floating-point operations of a step of a training, and of a step of its decoder's (0 without one).

    By torch's counter, forward and backward, as the trainings count.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from vidworld.core.counter_rng import generators
    from vidworld.models.probe import decoder_loss, untrained_probe
    from vidworld.models.tokenizers import load_tokenizer

    family, tokenizer, shape = FAMILIES[config.family], load_tokenizer(folder), config.data.shape
    network = family.network(config, tokenizer.channels)
    grid = tokenizer.grid_of(shape.num_frames, shape.height_px, shape.width_px)

    def counted(clips: int, loss: Callable[[torch.Tensor], torch.Tensor]) -> float:
        with FlopCounterMode(display=False) as counter:
            loss(torch.randn(clips, *grid, tokenizer.channels)).backward()
        return float(counter.get_total_flops())

    def loss(tokens: torch.Tensor) -> torch.Tensor:
        drawn = family.draw(config, generators(0, 0, range(len(tokens))), tokens)
        return family.loss(config, network, tokens, *drawn).total

    step = counted(config.global_batch_size, loss)
    if not family.decoded:
        return step, 0.0
    decoder = untrained_probe(probe, tokenizer, network).decoder
    assert decoder is not None
    return step, counted(probe.global_batch_size, partial(decoder_loss, decoder, network))


def run_study(config: StudyConfig, share: tuple[int, int] = (0, 1), pattern: str = "*") -> int:
    """Run all cells that match a pattern and are not done, or of them the share I of N; return how many were run.

    What another process runs is left to it.

    Raises UserError: no cell matches, or what all share cannot be made.
    """
    study = Study(config)
    left = [cell for cell in study.named(pattern, share) if study.state(cell).startswith(("to do", "outdated"))]
    total = sum(cell.budget for cell in left)
    with tqdm(total=total, desc="study", unit="FLOP", unit_scale=True, disable=None) as bar:
        return sum(study.run_alone(cell, bar) for cell in left)
