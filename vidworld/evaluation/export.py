"""`vidworld export RUNS`: a run folder's worlds as files for machines without this code, and what each form costs.

The forms are torch.export, ONNX, and ONNX with weights of eight bits.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from timeit import timeit

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn

from vidworld.core.command import Command
from vidworld.core.errors import UserError
from vidworld.core.records import prepare_folder, provenance, write_json
from vidworld.evaluation.evaluator import Evaluator
from vidworld.models.diffusion import MAX_STEPS, DiffusionTransformer, shifted, velocity
from vidworld.models.files import load_model, sampling_shift_of
from vidworld.models.jepa import JointEmbeddingPredictor
from vidworld.models.tokenizers.autoencoder import Autoencoder
from vidworld.models.world_model import Encoded, Rollout
from vidworld.simulation.simulated import SimulatedClips

SEEN = 2  # chunks that an exported model is given, the last of a clip: a file has one shape
EXPORT_FORMS = {"torch": None, "torch.export": ".pt2", "ONNX": ".onnx", "ONNX int8": ".int8.onnx"}
"""How a model can be kept, and the end of its file's name."""
MIN_ROUNDS = 3  # of timing, however slow a world is
EXPORTED_SCENARIOS = ("uniform", "collision")
PICTURE = (4, 64, 64)  # frames of a chunk and the picture's sides, of every configuration here
Seen = Float[Tensor, "clip seen h w latent"]
Next = Float[Tensor, "clip 1 h w latent"]
Step = Callable[[Seen, Next], Next]  # the next chunk from those seen and noise of its shape


class JepaStep(nn.Module):
    """The regression's next chunk, whose noise is not used."""

    def __init__(self, network: JointEmbeddingPredictor) -> None:
        super().__init__()
        if network.target != "frozen":
            raise UserError(
                f"a JEPA of target {network.target} predicts no tokens; export a model of the family regression"
            )
        self.network = network

    def forward(self, seen: Seen, noise: Next) -> Next:
        predicted, _ = self.network.predict(seen)
        return predicted[:, -1:] + 0 * noise  # an input that nothing takes would be left out of the file


class FewStep(nn.Module):
    """The diffusion model's next chunk, by a fixed number of steps of sampling."""

    def __init__(self, network: DiffusionTransformer, steps: int, shift: float) -> None:
        super().__init__()
        self.network = network
        self.levels: list[float] = shifted(torch.linspace(1, 0, steps + 1), shift).tolist()

    def forward(self, seen: Seen, noise: Next) -> Next:
        previous, tokens = seen[:, -1:], noise
        kv_caches = self.network.prefill(seen[:, :-1])
        for level, following in pairwise(self.levels):
            here, there = (torch.full(noise.shape[:2], x, device=noise.device) for x in (level, following))
            clean, _ = self.network(tokens, here, previous, kv_caches, towards=there)
            tokens = tokens + (following - level) * velocity(tokens, clean, here)
        return tokens


@dataclass(frozen=True)
class ExportRow:
    """A model in one form."""

    model: str
    form: str
    file: str | None
    size_mb: float
    latency_ms: float  # median for the next chunk of one clip, on the cores that the process keeps to
    off_by: float
    """Largest difference of a token from that of the form `torch`, for the clip that latency was measured with."""
    error: dict[str, tuple[float, float, float]]  # velocity error with its 95% interval, units/s, by scenario


class Stepped:
    """A model that is a single step, for measures that take models."""

    def __init__(self, name: str, step: Step) -> None:
        self.name, self.step = name, step

    @torch.no_grad()
    def rollout(self, context: Encoded, horizon: int, samples: int, seeds: Sequence[int]) -> Rollout:
        """One clip after another and chunk after chunk, each from the two before it."""
        found = []
        for tokens, seed in zip(context.tokens, seeds, strict=True):
            generator = torch.Generator().manual_seed(seed)
            for _ in range(samples):
                chunks = tokens[None].float()
                for _ in range(horizon):
                    noise = torch.randn(chunks[:, :1].shape, generator=generator)
                    chunks = torch.cat((chunks, self.step(chunks[:, -SEEN:], noise)), dim=1)
                found.append(chunks[:, -horizon:])
        predicted = torch.cat(found).unflatten(0, (-1, samples))
        return Rollout(predicted, predicted)

    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Tensor:
        """Raise UserError: a file holds the next chunk only."""
        raise UserError(f"{self.name}: an exported world rolls out and is not surprised")


def export(
    module: nn.Module, name: str, grid: tuple[int, int], channels: int, folder: Path
) -> dict[str, tuple[Step, Path | None]]:
    """The step in every form, each with its file. Raises UserError: what ONNX takes is not installed."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ModuleNotFoundError as error:
        missing = f"exporting takes {error.name}, which is not installed"
        raise UserError(f"{missing}: pip install 'vidworld[export]'") from error
    module = module.eval().cpu()
    example = (torch.randn(1, SEEN, *grid, channels), torch.randn(1, 1, *grid, channels))
    whole, onnx, small = (folder / f"{name}{end}" for end in EXPORT_FORMS.values() if end)
    with torch.no_grad():
        program = torch.export.export(module, example)
        torch.export.save(program, whole)
        torch.onnx.export(
            program, (), onnx, input_names=["seen", "noise"], output_names=["next"], external_data=False, verbose=False
        )
    # A weight that several steps use is exported behind a transpose, where it would not be found: that is folded first.
    quant_pre_process(onnx, small, skip_symbolic_shape=True)
    quantize_dynamic(small, small, weight_type=QuantType.QInt8)

    def by_onnx(path: Path) -> Step:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

        def step(seen: Seen, noise: Next) -> Next:
            (chunk,) = session.run(None, {"seen": seen.numpy(), "noise": noise.numpy()})
            return torch.from_numpy(chunk)

        return step

    steps: list[Step] = [module, torch.export.load(whole).module(), by_onnx(onnx), by_onnx(small)]
    return dict(zip(EXPORT_FORMS, zip(steps, (None, whole, onnx, small), strict=True), strict=True))


def measure_forms(
    evaluator: Evaluator, model: str, forms: dict[str, tuple[Step, Path | None]], clips: int
) -> list[ExportRow]:
    """Latency, size and physics of a model in every form: each is called once, then all in turn for two seconds."""
    sources = {name: SimulatedClips(name, "id", evaluator.seed).clips(range(clips)) for name in EXPORTED_SCENARIOS}
    tokens = evaluator.encode(next(iter(sources.values()))).tokens[:1, :SEEN].float()
    noise = torch.randn(tokens[:, :1].shape, generator=torch.Generator().manual_seed(0))
    jobs = {form: partial(step, tokens, noise) for form, (step, _) in forms.items()}
    times: dict[str, list[float]] = {form: [] for form in forms}
    with torch.no_grad():
        answers = {form: job() for form, job in jobs.items()}
        end_s = time.perf_counter() + 2.0
        while time.perf_counter() < end_s or len(times["torch"]) < MIN_ROUNDS:
            for form, job in jobs.items():
                times[form].append(timeit(job, number=1))
    plain = forms["torch"][0]
    assert isinstance(plain, nn.Module)
    weights = sum(p.numel() * p.element_size() for p in plain.parameters()) / 1e6
    rows = []
    for form, (step, path) in forms.items():
        errors = {name: evaluator.mean_velocity_error(Stepped(model, step), each) for name, each in sources.items()}
        file, size_mb = (None, weights) if path is None else (path.name, path.stat().st_size / 1e6)
        off_by = float((answers[form] - answers["torch"]).abs().max())
        intervals = {name: (each.value, each.low, each.high) for name, each in errors.items()}
        rows.append(ExportRow(model, form, file, round(size_mb, 2), 1e3 * median(times[form]), off_by, intervals))
    return rows


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("runs", type=Path, metavar="RUNS", help="a folder with tokenizer, regression and few_step or diffusion")
    add("--out", type=Path, help="where the files go (default: RUNS/export)")
    add("--steps", type=int, default=MAX_STEPS, help="of sampling a chunk (default: %(default)s)")
    add("--clips", type=int, default=32, help="of each scenario that is measured (default: %(default)s)")


def _run(arguments: argparse.Namespace) -> None:
    """Do it, and print a line a world and form."""
    if arguments.steps < 1 or arguments.clips < 1:
        raise UserError("--steps and --clips: both must be above 0")
    runs: Path = arguments.runs
    out = prepare_folder(arguments.out or runs / "export")
    tokenizer = load_model(Autoencoder, runs / "tokenizer")
    sampled = "few_step" if (runs / "few_step" / "model").is_dir() else "diffusion"
    shift = sampling_shift_of(runs / sampled)
    models: dict[str, nn.Module] = {
        "regression": JepaStep(load_model(JointEmbeddingPredictor, runs / "regression")),
        sampled: FewStep(load_model(DiffusionTransformer, runs / sampled), arguments.steps, shift),
    }
    evaluator = Evaluator(tokenizer, {}, Accelerator(mixed_precision="no", cpu=True), 2 * PICTURE[0], 0)
    rows: list[ExportRow] = []
    for name, module in models.items():
        forms = export(module, name, tokenizer.grid_of(*PICTURE)[1:], tokenizer.channels, out)
        rows += measure_forms(evaluator, name, forms, arguments.clips)
    settings = {"threads": torch.get_num_threads(), "steps": arguments.steps, "shift": shift}
    content = {"schema": 1, "provenance": provenance(0), **settings, "rows": [asdict(row) for row in rows]}
    write_json(out / "export.json", content)
    for row in rows:
        errors = (f"{name} {value:.2f} [{low:.2f}, {high:.2f}]" for name, (value, low, high) in row.error.items())
        costs = f"{row.latency_ms:.1f} ms a chunk, {row.size_mb:g} MB, off by {row.off_by:.2g}"
        print(f"{row.model}, {row.form}: {costs}; velocity error {', '.join(errors)}")
    print(f"{out / 'export.json'}: {len(rows)} rows; the files are beside it")


EXPORT = Command(_add_arguments, _run)
