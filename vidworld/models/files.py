"""Finished models on disk: safetensors and JSON, nothing unpickled. What is read of records waits for no torch."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from safetensors import SafetensorError

from vidworld.core.errors import UserError
from vidworld.core.records import clear_folder, publish_folder, read_json, write_json, writing

if TYPE_CHECKING:
    from diffusers.models.modeling_utils import ModelMixin
    from torch import Tensor, nn

    M = TypeVar("M", bound=ModelMixin)
else:
    M = TypeVar("M")

FORMAT = 5
"""Of saved models. One higher whenever the same weights come to mean another network."""

WEIGHTS, PACKED = "diffusion_pytorch_model.safetensors", "packed.safetensors"
"""The weights of a model, and those of a release in fewer bits."""


AGAIN = "remove the run's folder model/ and train it again"
"""What would do where a finished model is damaged."""


class ExportForm(NamedTuple):
    label: str
    end: str
    """Of its files' names."""


EXPORT_FORMS = {"onnx": ExportForm("ONNX", ".onnx"), "int8": ExportForm("8 bits", ".int8.onnx")}


def read_budget(run_folder: Path) -> dict[str, Any]:
    """What the finished model of a run folder cost, and from which tokenizer and configuration it came.

    Raises UserError: there is no finished model, or one whose weights mean another network today.
    """
    path = run_folder / "model" / "budget.json"
    if not path.exists():
        raise UserError(f"{run_folder}: no finished model there; train it first, or name another run folder")
    budget = read_object(path)
    if budget.get("format") != FORMAT:
        raise UserError(
            f"{run_folder}: its model is of format {budget.get('format', 1)}, and networks have changed since (format "
            f"{FORMAT}); train it again in another folder, or use the version of vidworld that made it"
        )
    return budget


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object of a model's file. Raises UserError: it is no such thing."""
    record = read_json(path)
    if not isinstance(record, dict):
        raise UserError(f"{path}: is damaged, as it holds no JSON object; {AGAIN}")
    return record


def check_whole(run_folder: Path) -> None:
    """Raise UserError where a file of a finished model is missing or cut off, which its weights' header tells."""
    folder = run_folder / "model"
    read_object(folder / "config.json")
    index = folder / f"{WEIGHTS}.index.json"  # where there are too many for one file
    if index.exists():
        named = read_object(index).get("weight_map")
        names = sorted(set(named.values())) if isinstance(named, dict) else []
    else:
        names = [PACKED if (folder / PACKED).exists() and not (folder / WEIGHTS).exists() else WEIGHTS]
    for path in (folder / name for name in names):
        if not path.exists():
            raise UserError(f"{path}: is missing; {AGAIN}")
        if not _has_its_length(path):
            raise UserError(f"{path}: is damaged, as it is not as long as it says; {AGAIN}")


def _has_its_length(path: Path) -> bool:
    """Whether a file of safetensors ends where the last of its tensors does."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size)) if size < path.stat().st_size else {}
        tensors = [value for name, value in header.items() if name != "__metadata__"]
        return path.stat().st_size == 8 + size + max(int(value["data_offsets"][1]) for value in tensors)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return False


def fingerprint_in(run_folder: Path) -> str:
    """The fingerprint of a run folder's model, recorded when it was written.

    Raises UserError: as `read_budget`, or none was recorded.
    """
    found = read_budget(run_folder).get("fingerprint")
    if not isinstance(found, str):
        raise UserError(f"{run_folder / 'model' / 'budget.json'}: is damaged, as it has no fingerprint; {AGAIN}")
    return found


def check_tokenizer(folder: Path | None, fingerprint: str | None) -> None:
    """Raise UserError where a run folder is named and its model was trained on another tokenizer's tokens."""
    if folder is None:
        return
    trained_on = read_budget(folder).get("tokenizer")
    if trained_on != fingerprint:
        raise UserError(
            f"{folder}: was trained on the tokens of tokenizer {trained_on}, and this one is {fingerprint}; "
            "train it again, or name its own tokenizer"
        )


def sampling_shift_of(run_folder: Path) -> float:
    """How far the sampling steps of a run folder's diffusion model lean to the noisy end: as in its training.

    A few-step model knows the jumps between those levels alone. Raises UserError: no model, or no record of it.
    """
    config = read_budget(run_folder).get("config")
    given = config if isinstance(config, dict) else {}
    shift = given.get("sampling_shift", given.get("shift"))
    if not isinstance(shift, (int, float)):
        raise UserError(f"{run_folder}: its model/budget.json lacks the shift of its training; train it again")
    return float(shift)


def save_model(model: "ModelMixin", run_folder: Path, record: dict[str, object]) -> None:
    """Writes RUN/model (weights and their config) and RUN/model/budget.json, both or neither."""
    final, temporary = run_folder / "model", run_folder / ".model.part"
    with writing(final):
        try:
            clear_folder(temporary)
            model.save_pretrained(str(temporary), safe_serialization=True)
            identity = {"format": FORMAT, "fingerprint": fingerprint_of(model)}
            write_json(temporary / "budget.json", record | identity)
            publish_folder(temporary, final)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def check_finite(model: "nn.Module", run_folder: Path) -> None:
    """Raise UserError where a weight, or a statistic that was measured, is no finite number."""
    broken = [name for name, value in model.state_dict().items() if not value.isfinite().all()]
    if broken:
        raise UserError(
            f"{run_folder}: no model is written, as its weights are not finite ({broken[0]}); a lower optimiser.lr may "
            "help, in another out=FOLDER, or other clips or another tokenizer, where theirs are not"
        )


def load_model(kind: type[M], run_folder: Path) -> M:
    """The finished model of a run folder, in evaluation mode. Raises UserError: none, or of another kind or format."""
    read_budget(run_folder)
    folder = run_folder / "model"
    found = read_object(folder / "config.json").get("_class_name")
    if found != kind.__name__:
        raise UserError(f"{run_folder}: holds a model of kind {found}, where one of kind {kind.__name__} is needed")
    if (folder / PACKED).exists() and not (folder / WEIGHTS).exists():
        unpacked = f"vidworld.models.pretrained.from_pretrained({str(run_folder.parent)!r})"
        raise UserError(
            f"{run_folder}: its weights are packed, as those of a release; {unpacked} makes run folders of it"
        )
    try:
        model: M = kind.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{folder}: cannot be read ({reason}); train it again") from error
    return model.eval()


def begin_with(network: "ModelMixin", folder: Path | None) -> None:
    """Give a network the weights of a finished model, if one is named. Raises UserError: none, or of another form."""
    if folder is None:
        return
    found = load_model(type(network), folder).state_dict()
    if {k: v.shape for k, v in found.items()} != {k: v.shape for k, v in network.state_dict().items()}:
        raise UserError(f"start={folder}: its network has another form; begin with one of this configuration's")
    network.load_state_dict(found)


def fingerprint_of(network: "nn.Module") -> str:
    """Twelve hexadecimal digits that differ when any weight of the network differs."""
    return fingerprint_of_weights(network.state_dict())


def fingerprint_of_weights(weights: "Mapping[str, Tensor]") -> str:
    """The same of its weights alone."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
