"""Finished models on disk: safetensors and JSON, nothing unpickled."""

import hashlib
import shutil
from pathlib import Path
from typing import TypeVar

from diffusers.models.modeling_utils import ModelMixin
from safetensors import SafetensorError
from torch import nn

from vidworld.core.errors import UserError
from vidworld.core.records import clear_folder, publish_folder, read_json, write_json, writing
from vidworld.models.budget import FORMAT, read_budget

M = TypeVar("M", bound=ModelMixin)


def save_model(model: ModelMixin, run_folder: Path, record: dict[str, object]) -> None:
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


def load_model(kind: type[M], run_folder: Path) -> M:
    """The finished model of a run folder, in evaluation mode. Raises UserError: none, or of another kind or format."""
    read_budget(run_folder)
    folder = run_folder / "model"
    found = read_json(folder / "config.json").get("_class_name")
    if found != kind.__name__:
        raise UserError(f"{run_folder}: holds a model of kind {found}, where one of kind {kind.__name__} is needed")
    try:
        model: M = kind.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{folder}: cannot be read ({reason}); train it again") from error
    return model.eval()


def fingerprint_of(network: nn.Module) -> str:
    """Twelve hexadecimal digits that differ when any weight of the network differs."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
