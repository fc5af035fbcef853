"""Networks as ONNX files, with weights of 32 or 8 bits, and as networks again that compute by these files.

A file holds one chunk's step over a KV cache of any length, for any number of clips. What is made of steps (rollouts,
surprise, play) is the same code for all forms of a network, so that whatever differs comes of the file.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vidworld.core.clip import Actions, Embeddings, Tokens
from vidworld.core.errors import UserError
from vidworld.core.records import prepare_folder, read_json, write_json
from vidworld.models.diffusion import DiffusionTransformer
from vidworld.models.files import EXPORT_FORMS
from vidworld.models.jepa import JointEmbeddingPredictor
from vidworld.models.layers import KVCache, KVCaches, with_actions

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

EXPORT_RECORD = "made_from.json"
EXPORT_FORMAT = 2
Function = Callable[..., Any]


class _Part(nn.Module):
    """What one file computes."""

    def __init__(self, network: nn.Module, function: Function) -> None:
        super().__init__()
        self.network, self.function = network, function

    def forward(self, given: dict[str, Tensor]) -> Any:
        return self.function(**given)


def _stacked(caches: KVCaches) -> Tensor:
    return torch.stack([torch.stack(each) for each in caches])  # (layer, 2, clip, head, seen, head_width)


def _caches(memory: Tensor) -> KVCaches:
    return [KVCache(*each) for each in memory]


def _parts(model: Any, grid: tuple[int, int]) -> Iterator[tuple[str, _Part, dict[str, Tensor], list[str]]]:
    """Of a model: each file's name, what it computes, an example of what it is given, and the names of its answers."""
    network, clips = copy.deepcopy(model.network).cpu(), 2
    width = network.config.width
    blocks = _depth(network)
    memory = torch.randn(blocks, 2, clips, network.heads, 2 * grid[0] * grid[1], width // network.heads)
    tokens = torch.randn(clips, 1, *grid, network.config.channels)
    done = network.embed_action
    acts = {} if done is None else {"actions": torch.randn(clips, 1, done.in_features)}
    if isinstance(network, DiffusionTransformer):

        def denoises(memory: Tensor, **given: Tensor) -> tuple[Tensor, Tensor]:
            chunk, after = network(kv_caches=_caches(memory), **given)
            return chunk, _stacked(after)

        levels = {"noise_level": torch.rand(clips, 1), "towards": torch.rand(clips, 1)}
        given = {"memory": memory, "noisy": tokens, "previous": tokens.clone(), **levels, **acts}
        yield "step", _Part(network, denoises), given, ["chunk", "after"]
        return
    if network.chance != "none":
        how = f"says how sure it is ({network.chance}), which is not exported"
        raise UserError(f"{model.name}: {how}; one without would do")

    def predicts(memory: Tensor, **given: Tensor) -> tuple[Tensor, Tensor]:
        chunk, after = network.predict(kv_caches=_caches(memory), **given)
        return chunk, _stacked(after)

    embeddings = torch.randn(clips, 1, *grid, network.embedding_channels)
    yield "step", _Part(network, predicts), {"memory": memory, "embeddings": embeddings, **acts}, ["chunk", "after"]
    if network.target != "frozen":
        yield "encode", _Part(network, network.context_embeddings), {"tokens": tokens}, ["embeddings"]
    if network.target == "ema":
        yield "target", _Part(network, network.embeddings), {"tokens": tokens}, ["embeddings"]
    if model.decoder is not None:
        decoder = copy.deepcopy(model.decoder).cpu()
        yield "decode", _Part(decoder, decoder), {"embeddings": embeddings}, ["tokens"]


def _depth(network: Any) -> int:
    """Blocks that a step passes."""
    if isinstance(network, DiffusionTransformer):
        return len(network.blocks)
    return len(network.predictor) + (len(network.encoder) if network.target == "frozen" else 0)


def write_exported(model: Any, grid: tuple[int, int], folder: Path, fingerprint: str) -> None:
    """The files of a model (`GenerativeModel` or `PredictiveModel`), in every form; what is there is not made again.

    grid: cells of a chunk, rows and columns. fingerprint: of what they are made from. Raises UserError: what ONNX
    takes is not installed, or the model's chance is not exported.
    """
    try:
        import onnxscript  # noqa: F401
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    if (folder / EXPORT_RECORD).exists() and not _fault(folder, fingerprint):
        return
    prepare_folder(folder)
    (folder / EXPORT_RECORD).unlink(missing_ok=True)
    files = []
    for name, part, given, answers in _parts(model, grid):
        plain, small = (folder / f"{name}{form.end}" for form in EXPORT_FORMS.values())
        free = {key: dict.fromkeys((2, 4) if key == "memory" else (0,), torch.export.Dim.DYNAMIC) for key in given}
        with torch.no_grad():
            program = torch.export.export(part.eval(), (given,), dynamic_shapes=(free,))
            torch.onnx.export(
                program, (), plain, input_names=list(given), output_names=answers, external_data=False, verbose=False
            )
        # A weight behind a transpose would not be found: that is folded first.
        quant_pre_process(plain, small, skip_symbolic_shape=True)
        quantize_dynamic(small, small, weight_type=QuantType.QInt8)
        files += [plain.name, small.name]
    write_json(folder / EXPORT_RECORD, {"format": EXPORT_FORMAT, "fingerprint": fingerprint, "files": files})


def _fault(folder: Path, fingerprint: str) -> str:
    """Why a folder's files are not those of these weights; empty where they are."""
    record = read_json(folder / EXPORT_RECORD)
    if (record.get("format"), record.get("fingerprint")) != (EXPORT_FORMAT, fingerprint):
        return "was exported from other weights"
    lacking = [name for name in record["files"] if not (folder / name).is_file()]
    return f"lacks {lacking[0]}" if lacking else ""


def exported_files(folder: Path, form: str) -> list[Path]:
    """A model's files in one form."""
    end = EXPORT_FORMS[form].end
    return [each for each in sorted(folder.glob("*.onnx")) if each.name.partition(".")[2] == end[1:]]


def as_exported(model: Any, folder: Path, form: str, fingerprint: str) -> Any:
    """The same model, whose network computes by the files of this form.

    Raises UserError: they are not there, are those of other weights, or onnxruntime is not installed.
    """
    if not (folder / EXPORT_RECORD).exists():
        raise UserError(f"{folder}: no exported model there; `vidworld export RUN` writes it")
    if fault := _fault(folder, fingerprint):
        raise UserError(f"{folder}: {fault}, where {model.name} was to be; export it again")
    sessions = {path.name.split(".")[0]: OnnxFile(path) for path in exported_files(folder, form)}
    config = {key: value for key, value in model.network.config.items() if not key.startswith("_")}
    kind = ExportedDiffusion if isinstance(model.network, DiffusionTransformer) else ExportedPredictor
    with torch.device("meta"):  # its form, without weights
        network = kind(**config)
    network.sessions = sessions
    exported = copy.copy(model)
    exported.network = network.eval()
    if "decode" in sessions:
        exported.decoder = partial(_by_chunk, sessions["decode"], "embeddings")
    return exported


def _missing(error: ModuleNotFoundError) -> UserError:
    return UserError(f"exported models take {error.name}, which is not installed: pip install 'vidworld[export]'")


@dataclass
class OnnxFile:
    """One file, run on one core. Raises UserError: onnxruntime is not installed, or the file cannot be read."""

    path: Path
    _session: "InferenceSession" = field(init=False)
    _names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise UserError(f"{self.path}: cannot be read ({str(error).splitlines()[0]}); export it again") from error
        self._names = frozenset(each.name for each in self._session.get_inputs())

    def __call__(self, **given: Tensor) -> list[Tensor]:
        """Its answers, on the device of what it is given; what the file does not look at is left out."""
        device = next(iter(given.values())).device
        taken = {name: each.detach().float().cpu().numpy() for name, each in given.items() if name in self._names}
        return [torch.from_numpy(each).to(device) for each in self._session.run(None, taken)]


def _stepped(network: Any, caches: KVCaches | None, chunks: dict[str, Tensor], done: Actions | None) -> tuple[Any, Any]:
    """All chunks, one step after another, and the memory after them."""
    like = next(iter(chunks.values()))
    clips, count, width = *like.shape[:2], network.config.width
    stream = torch.empty(clips, count, 1, width, device="meta")
    with_actions(stream, network.embed_action, done)  # says what does not fit
    empty = torch.empty(_depth(network), 2, clips, network.heads, 0, width // network.heads, device=like.device)
    memory, answers = empty if caches is None else _stacked(caches), []
    given = chunks if done is None else {**chunks, "actions": done}
    for k in range(count):
        now = {name: each[:, k : k + 1] for name, each in given.items()}
        chunk, memory = network.sessions["step"](memory=memory, **now)
        answers.append(chunk)
    return torch.cat(answers, dim=1), _caches(memory)


def _by_chunk(session: Callable[..., list[Tensor]], name: str, chunks: Embeddings) -> Tensor:
    """The answer to each chunk alone: what encodes and decodes sees no other."""
    (found,) = session(**{name: chunks.flatten(0, 1)[:, None]})
    answer: Tensor = found[:, 0].unflatten(0, chunks.shape[:2])
    return answer


class ExportedDiffusion(DiffusionTransformer):
    """A `DiffusionTransformer` without weights, that computes by a file."""

    sessions: dict[str, OnnxFile]

    def forward(
        self,
        noisy: Tokens,
        noise_level: Tensor,
        previous: Tokens,
        kv_caches: KVCaches | None = None,
        towards: Tensor | None = None,
        actions: Actions | None = None,
        with_spread: bool = False,
    ) -> tuple[Tokens, KVCaches]:
        levels = {"noise_level": noise_level, "towards": noise_level if towards is None else towards}
        return _stepped(self, kv_caches, {"noisy": noisy, "previous": previous, **levels}, actions)


class ExportedPredictor(JointEmbeddingPredictor):
    """A `JointEmbeddingPredictor` without weights, that computes by files."""

    sessions: dict[str, OnnxFile]

    def embeddings(self, tokens: Tokens) -> Embeddings:
        return self._by_file("target" if self.target == "ema" else "encode", tokens)

    def context_embeddings(self, tokens: Tokens) -> Embeddings:
        return self._by_file("encode", tokens)

    def predict(
        self,
        embeddings: Embeddings,
        kv_caches: KVCaches | None = None,
        actions: Actions | None = None,
        drawn: Tensor | None = None,
    ) -> tuple[Embeddings, KVCaches]:
        """As `JointEmbeddingPredictor.predict`; nothing is drawn."""
        return _stepped(self, kv_caches, {"embeddings": embeddings}, actions)

    def _by_file(self, name: str, tokens: Tokens) -> Embeddings:
        return tokens if self.target == "frozen" else _by_chunk(self.sessions[name], "tokens", tokens)
