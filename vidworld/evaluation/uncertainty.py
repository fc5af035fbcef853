"""How sure models say they are, read in one place for all, beside the true conditional distribution.

Of each clip every member of a family draws futures. *Aleatoric* is the mean over members of the variance within a
member's futures; *epistemic* the variance over members of their means, less what so few futures scatter by themselves.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from accelerate import Accelerator
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from vidworld.analysis import uncertainty
from vidworld.analysis.records import Value
from vidworld.core.errors import UserError
from vidworld.core.hardware import precision
from vidworld.core.records import fingerprint, prepare_folder, provenance, write_json
from vidworld.evaluation.evaluator import Subject, check_size, evaluation_accelerator, evaluator_of, model_of, tools_of
from vidworld.evaluation.physics import refuse
from vidworld.evaluation.presentation import PRESENTATION_VERSION
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.evaluation.task import Unit, measure, pieces
from vidworld.evaluation.true_gaussians import MOMENTS_OF, TRUE_GAUSSIANS, true_gaussian
from vidworld.evaluation.uncertainty_schema import UncertaintyConfig
from vidworld.metrics.uncertainty import LEVELS_OF_COVERAGE, central_share, crps, vector_energy_score
from vidworld.models.world_model import Encoded
from vidworld.simulation import SCENARIOS, SIMULATOR_VERSION
from vidworld.simulation.chance import OWN_FUTURE, panel_brightness
from vidworld.simulation.resimulated import TrueFutures, true_futures
from vidworld.simulation.simulated import SimulatedClips

UNCERTAINTY_VERSION = 2  # raised when readings come to give other values
CONTROLS_VERSION = 2  # raised when controls come to give other futures
METRICS_READ = (
    *("aleatoric", "epistemic", "true_variance", "error", "crps", "energy"),
    *map(uncertainty.covered_name, LEVELS_OF_COVERAGE),
)
SCORED = 32
"""Futures that proper scores are of, where there are more: they cost by the square."""
MEMBER_SEEDS = 1_000_003
"""Members draw by seeds of their own: common noise would make them agree."""

Draws5 = Float[ndarray, "member sample clip time dim"]
Quantities = dict[str, Draws5]


def readings(
    draws: Draws5, true_draws: Float[ndarray, "true clip time dim"], happened: Float[ndarray, "clip time dim"]
) -> dict[str, Float[ndarray, " clip"]]:
    """What is read of each clip, and what it is compared with: means over frames, variances summed over components.

    One sample a member has no aleatoric reading, and no region that covers anything; one member no epistemic one: NaN.
    """
    members, samples = draws.shape[:2]
    within = draws.var(axis=1, ddof=1).mean(axis=0) if samples > 1 else np.full(draws.shape[2:], np.nan)
    means = draws.mean(axis=1)
    scatter = np.nan_to_num(within) / samples  # of a mean of so few futures
    between = means.var(axis=0, ddof=1) - scatter if members > 1 else np.full(draws.shape[2:], np.nan)
    pooled = draws.swapaxes(0, 1).reshape(-1, *draws.shape[2:])  # members in turn
    some = pooled[:SCORED]
    found = {
        "aleatoric": within.sum(axis=-1).mean(axis=-1),
        "epistemic": between.sum(axis=-1).mean(axis=-1),
        "true_variance": true_draws.var(axis=0, ddof=1).sum(axis=-1).mean(axis=-1),
        "error": np.sqrt(np.square(pooled.mean(axis=0) - happened).sum(axis=-1)).mean(axis=-1),
        "crps": crps(some, happened).mean(axis=(-2, -1)),
        "energy": vector_energy_score(some, happened).mean(axis=-1),
    }
    for level in LEVELS_OF_COVERAGE:
        share = central_share(pooled, happened, level).mean(axis=(-2, -1))
        found[uncertainty.covered_name(level)] = share if samples > 1 else np.full_like(share, np.nan)
    return found


class Known(NamedTuple):
    """The truth of a batch of clips, by quantity."""

    draws: dict[str, Float[ndarray, "sample clip time dim"]]  # of the true conditional distribution
    again: dict[str, Float[ndarray, "sample clip time dim"]]  # others of it
    happened: dict[str, Float[ndarray, "clip time dim"]]
    last: dict[str, Float[ndarray, "clip 1 dim"]]  # of the last frame that was seen


_Truth = Callable[[range], Known]
_Draw = Callable[[], Quantities]


def measure_uncertainty(config: UncertaintyConfig) -> uncertainty.UncertaintyResults | None:
    """Measure what is not measured yet, and write uncertainty.json; None in processes that are not the main one.

    Raises UserError: a model cannot be used; of models that fail, after the others' results are written.
    """
    accelerator = evaluation_accelerator(config.mixed_precision)
    bench = Bench(config, accelerator)
    values, failures = measure([*bench.units()], accelerator, "uncertainty")
    if not accelerator.is_main_process:
        return None
    tables = uncertainty.tables_of(values)
    rows = [uncertainty.uncertainty_row(place, table) for place, table in tables.items()]
    contrasts = uncertainty.contrasts_of(tables)
    results = uncertainty.UncertaintyResults(
        schema=1, provenance=provenance(config.seed), members=dict(config.members),
        samples=config.samples, rows=tuple(rows), contrasts=tuple(contrasts),
        checks=tuple(uncertainty.checks_of(rows, contrasts, config.members)), failures=tuple(failures.values()),
    )  # fmt: skip
    write_json(config.out / "uncertainty.json", asdict(results))
    refuse(failures)
    return results


class Bench:
    """What a configuration measures, in units: a batch of clips, a condition and a subject."""

    def __init__(self, config: UncertaintyConfig, accelerator: Accelerator) -> None:
        self.config, self.folder = config, prepare_folder(config.out / "units")
        physics = _physics(config)
        self.evaluator = evaluator_of(physics, accelerator)
        check_size(physics, self.evaluator.tokenizer)
        self.families: dict[str, list[Subject]] = {name: [] for name in config.members}
        for spec in physics.specs:
            self.families[spec.name.rpartition(".")[0]].append(model_of(physics, spec, self.evaluator))
        for name, members in self.families.items():
            if len({member.made_from for member in members}) < len(members):
                raise UserError(
                    f"members.{name}: names one model twice, which agrees with itself; other seeds would do"
                )
        self.settings = fingerprint(
            tools_of(physics), config.seed, vars(config.shape), config.context_frames, config.samples,
            config.true_samples, config.base_level, precision(config.mixed_precision), SIMULATOR_VERSION,
            PRESENTATION_VERSION, UNCERTAINTY_VERSION,
        )  # fmt: skip

    def units(self) -> Iterator[Unit]:
        """Scenario after scenario, condition after condition: models, then the controls on more clips."""
        config = self.config
        for place in ((name, condition) for name in config.scenarios for condition in config.conditions(name)):
            source, scenario = self.clips(*place), place[0]
            truth = lru_cache(maxsize=1)(partial(known_of, config, source))
            for numbers in pieces(config.clips, config.clips_at_once):
                seen = lru_cache(maxsize=1)(partial(self.seen, source, numbers))
                for name, members in self.families.items():
                    made_from = fingerprint([member.made_from for member in members])
                    draw = partial(self.of_family, members, scenario, seen)
                    yield self.unit(*place, numbers, name, made_from, truth, draw)
                draw = partial(self.of_probe, scenario, seen)
                yield self.unit(*place, numbers, uncertainty.THROUGH_PROBE, "", truth, draw)
                for name in TRUE_GAUSSIANS if SCENARIOS[scenario].chance is not None else ():
                    draw = partial(self.of_gaussian, name, source, numbers, seen)
                    yield self.unit(*place, numbers, name, str(MOMENTS_OF), truth, draw)
            for numbers in pieces(config.control_clips, config.clips_at_once):
                for name, control in CONTROLS_OF_UNCERTAINTY.items():
                    draw = partial(self.of_control, control, truth, numbers)
                    yield self.unit(*place, numbers, name, str(CONTROLS_VERSION), truth, draw)

    def unit(
        self, scenario: str, condition: str, numbers: range, subject: str, made_from: str, truth: _Truth, draw: _Draw
    ) -> Unit:
        def values() -> Iterator[Value]:
            known, drawn = truth(numbers), draw()
            names = self.clips(scenario, condition).identities(numbers)
            for quantity, draws in drawn.items():
                found = readings(draws, known.draws[quantity], known.happened[quantity])
                for metric, per_clip in found.items():
                    for name, value in zip(names, per_clip.tolist(), strict=True):
                        place = (subject, quantity, scenario, "uncertainty", condition, metric)
                        yield Value(*place, "", name, value, self.config.seed)

        batch = f"{scenario}_{condition}_{numbers[0]}_{numbers[-1]}"
        inputs = fingerprint(self.settings, SCENARIOS.version(scenario), batch, made_from)
        return Unit(self.folder, batch, subject, inputs, dict.fromkeys(METRICS_READ, 1), values)

    def clips(self, scenario: str, condition: str) -> SimulatedClips:
        """The clips of a scenario under a condition; those of all levels of noise are of the same scenes."""
        level = uncertainty.NOISES.get(condition)
        again = OWN_FUTURE if level is None else OWN_FUTURE._replace(level=level * self.config.base_level)
        count = max(self.config.clips, self.config.control_clips)
        split = "id" if level is not None else condition
        given = (scenario, split, self.config.seed, count, self.config.shape)
        return SimulatedClips(*given, called=condition, again=again)

    def seen(self, source: SimulatedClips, numbers: range) -> Encoded:
        return self.evaluator.encode(source.clips(numbers))

    # --- what subjects draw ---

    def of_family(self, members: Sequence[Subject], scenario: str, seen: Callable[[], Encoded]) -> Quantities:
        """The futures of every member. Raises ModelFailure."""
        each = []
        for number, member in enumerate(members):
            own = replace(self.evaluator, seed=self.evaluator.seed + MEMBER_SEEDS * number)
            tokens = own.roll_out(member.model, seen(), self.config.samples).tokens
            each.append(self.read(tokens, seen(), scenario))
        drawn = {name: np.stack([one[name] for one in each]) for name in each[0]}
        # Samples that are one future to the last bit are no reading.
        return {name: draws[:, :1] if (draws == draws[:, :1]).all() else draws for name, draws in drawn.items()}

    def of_probe(self, scenario: str, seen: Callable[[], Encoded]) -> Quantities:
        tokens = seen().tokens[:, None, self.evaluator.context_length :]
        return {name: draws[None] for name, draws in self.read(tokens, seen(), scenario).items()}

    def of_gaussian(self, name: str, source: SimulatedClips, numbers: range, seen: Callable[[], Encoded]) -> Quantities:
        tokens = true_gaussian(name, self.evaluator, source, numbers, self.config.samples)
        return {of: draws[None] for of, draws in self.read(tokens, seen(), source.scenario).items()}

    def read(
        self, tokens: Float[Tensor, "clip sample t h w latent"], seen: Encoded, scenario: str
    ) -> dict[str, Float[ndarray, "sample clip time dim"]]:
        """The quantities of predicted tokens: places by the probe of tokens, brightness in decoded pictures."""
        flat = tokens.flatten(0, 1)
        color = seen.clips.truth.color.repeat_interleave(tokens.shape[1], dim=0).to(flat.device)
        with self.evaluator.accelerator.autocast():
            found = {"position": self.evaluator.probes[""].locate(flat, color, guess=True).flatten(2)}
        if "brightness" in quantities(scenario):
            found["brightness"] = panel_brightness(self.evaluator.decode(flat))
        by_clip = {name: each.cpu().double().unflatten(0, tokens.shape[:2]) for name, each in found.items()}
        return {name: each.transpose(0, 1).numpy() for name, each in by_clip.items()}

    def of_control(self, control: "ControlDraw", truth: _Truth, numbers: range) -> Quantities:
        known = truth(numbers)
        return {name: control(known, name)[None] for name in known.draws}


def known_of(config: UncertaintyConfig, source: SimulatedClips, numbers: range) -> Known:
    """What may come of these clips by the law that they are drawn by, and what does."""
    start, count = config.context_frames, config.true_samples
    futures = true_futures(source, numbers, 2 * count, start)
    own = true_futures(source, numbers, 1, source.shape.num_frames)
    draws, again, happened, last = {}, {}, {}, {}
    for quantity in quantities(source.scenario):
        every, once = (_quantity(each, quantity).numpy() for each in (futures, own))
        moved = np.moveaxis(every, 1, 0)
        draws[quantity], again[quantity] = moved[:count, :, start:], moved[count:, :, start:]
        happened[quantity], last[quantity] = once[:, 0, start:], once[:, 0, start - 1 : start]
    return Known(draws, again, happened, last)


def quantities(scenario: str) -> tuple[str, ...]:
    """What is read of the clips of a scenario."""
    chance = SCENARIOS[scenario].chance
    return ("position", "brightness") if chance is not None and chance.panel else ("position",)


def _quantity(futures: TrueFutures, name: str) -> Float[Tensor, "clip sample time dim"]:
    found = futures.position.flatten(3) if name == "position" else futures.brightness
    assert found is not None
    return found


def _physics(config: UncertaintyConfig) -> PhysicsConfig:
    """The keys of an evaluation that models are loaded by."""
    models = {f"{name}.{i}": text for name, texts in config.members.items() for i, text in enumerate(texts)}
    probes = {f"{name}.{i}": folder for name, folders in config.probes.items() for i, folder in enumerate(folders)}
    return PhysicsConfig(
        out=config.out, models=models, compare=(), tokenizer=config.tokenizer, probe=config.probe, probes=probes,
        seed=config.seed, oracle=False, shape=config.shape, context_frames=config.context_frames,
        sampling_steps=config.sampling_steps, sampling_shift=config.sampling_shift,
        sampling_order=config.sampling_order, mixed_precision=config.mixed_precision,
    )  # fmt: skip


ControlDraw = Callable[[Known, str], Float[ndarray, "sample clip time dim"]]
"""From what may come and the name of a quantity; many, since of few a region's ends and slopes are chance."""


def _blind(known: Known, quantity: str) -> ndarray:
    """What came in every other clip."""
    happened = known.happened[quantity]
    return np.stack([np.roll(happened, by, axis=0) for by in range(1, len(happened))])


def _noise_only(known: Known, quantity: str) -> ndarray:
    usual = np.sqrt(max(float(known.draws[quantity].var(axis=0).mean()), 1e-12))
    noise = np.random.default_rng(0).normal(size=known.again[quantity].shape)
    noisy: ndarray = known.last[quantity] + usual * noise
    return noisy


CONTROLS_OF_UNCERTAINTY: dict[str, ControlDraw] = {
    uncertainty.ORACLE: lambda known, quantity: known.again[quantity],
    uncertainty.FROZEN: lambda known, name: np.broadcast_to(known.last[name], known.again[name].shape).copy(),
    uncertainty.MARGINAL: _blind,
    uncertainty.NOISE_ONLY: _noise_only,
}
