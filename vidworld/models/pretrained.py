"""Releases of trained models: their weights in few bits, and run folders again from them.

A release is a folder with one folder a model, as `make demo` leaves them: `jepa/model` with `config.json`,
`budget.json` and the weights. In 32 bits these are files that diffusers' `from_pretrained` reads; in 16 or 8 they are
one file of safetensors, `packed.safetensors`, from which `from_pretrained` here makes run folders.
"""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vidworld.core.errors import UserError
from vidworld.core.records import (
    clear_folder,
    fingerprint,
    prepare_folder,
    publish_folder,
    read_json,
    write_json,
    writing,
)
from vidworld.models.files import PACKED, WEIGHTS, fingerprint_of_weights, read_budget

Bits = Literal[8, 16, 32]

HUB = "hub:"
RECORD = "release.json"
ROW_SCALE = "@scale"  # after a tensor's name: what the whole numbers of each of its rows are multiplied with
MADE_FROM = ("tokenizer", "jepa")  # keys of budget.json that hold another model's fingerprint
MIN_PACKED = 4096  # numbers of a tensor from which eight bits pay; smaller ones stay as they are
KEPT_WHOLE = "changes.basis"  # must stay orthonormal


def models_in(runs: Path) -> dict[str, Path]:
    """The folders of finished models below a folder, by name, each after what it was made from.

    Raises UserError: there are none.
    """
    found = {path.parents[1].name: path.parents[1] for path in sorted(runs.glob("*/model/budget.json"))}
    if not found:
        raise UserError(f"{runs}: no folder in it holds a finished model; name the folder of a demo, such as runs/demo")
    return dict(sorted(found.items(), key=lambda item: len(set(MADE_FROM) & set(read_budget(item[1])))))


def write_release(runs: Path, to: Path, bits: Bits, names: Iterable[str] = ()) -> dict[str, Path]:
    """Write the models (of these names, or all) of a folder of runs to another, and return where each lies.

    Fewer bits make other weights: their fingerprints are those of what is read back, and budget.json says of which
    model they are (`rounded_from`). Raises UserError: no model of a name, or what cannot be read or written.
    """
    models, fingerprints = models_in(runs), {}
    for name in names:
        if name not in models:
            raise UserError(f"{runs}: holds no finished model {name!r}; there are {', '.join(models)}")
    chosen = {name: models[name] for name in (tuple(names) or models)}
    for name, folder in chosen.items():
        target, budget = to / name / "model", read_budget(folder)
        clear_folder(target)  # of an earlier release
        weights = _weights(folder / "model" / WEIGHTS)
        packed = _packed(weights, bits)
        rounded = fingerprint_of_weights(_unpacked(packed))
        fingerprints[budget["fingerprint"]] = rounded
        record = budget | {"fingerprint": rounded}
        if bits < 32:
            record |= {"rounded_from": budget["fingerprint"], "bits": bits}
        for key in set(MADE_FROM) & set(budget):
            record[key] = fingerprints.get(budget[key], budget[key])
        with writing(target):
            shutil.copyfile(folder / "model" / "config.json", target / "config.json")
            save_file(packed, target / (WEIGHTS if bits == 32 else PACKED), {"format": "pt"})
        write_json(target / "budget.json", record)
    write_json(to / RECORD, {"bits": bits, "models": list(chosen)})
    return {name: to / name for name in chosen}


def from_pretrained(place: str | Path, cache: Path = Path("runs/pretrained")) -> Path:
    """A folder of runs from a release: a local folder, or `hub:OWNER/NAME` on the Hugging Face Hub.

    A release of 32 bits, or a folder of runs, is given back as it is; of others the run folders are made in `cache`,
    once. Every command that takes the folder of a demo takes the result. Raises UserError: there is no release, or it
    cannot be read or fetched.
    """
    release = _fetched(str(place).removeprefix(HUB)) if str(place).startswith(HUB) else Path(place)
    if not release.is_dir():
        raise UserError(f"{release}: there is no such folder; name a release, a folder of runs, or hub:OWNER/NAME")
    packed = {path.parents[1].name: path for path in sorted(release.glob(f"*/model/{PACKED}"))}
    if not packed:
        models_in(release)
        return release
    budgets = [read_json(path.with_name("budget.json")) for path in packed.values()]
    runs = cache / fingerprint([budget["fingerprint"] for budget in budgets])
    for name, path in packed.items():
        if not (runs / name / "model" / WEIGHTS).exists():
            part = prepare_folder(runs / name / ".model.part")
            with writing(part):
                for file in ("config.json", "budget.json"):
                    shutil.copyfile(path.with_name(file), part / file)
                save_file(_unpacked(_weights(path)), part / WEIGHTS, {"format": "pt"})
                publish_folder(part, runs / name / "model")
    return runs


def _weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be read ({str(error).splitlines()[0]}); publish or fetch it again") from error


def _packed(weights: Mapping[str, Tensor], bits: Bits) -> dict[str, Tensor]:
    if bits == 32:
        return {name: value.contiguous() for name, value in weights.items()}
    if bits == 16:
        return {name: value.half().contiguous() for name, value in weights.items()}
    packed = {}
    for name, value in weights.items():
        if value.ndim < 2 or value.numel() < MIN_PACKED or name.endswith(KEPT_WHOLE):
            packed[name] = value.contiguous()
            continue
        largest = value.flatten(1).abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
        scale = (largest / 127).float()
        by_row = scale.reshape(-1, *[1] * (value.ndim - 1))
        packed[name], packed[name + ROW_SCALE] = (value / by_row).round().to(torch.int8).contiguous(), scale
    return packed


def _unpacked(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weights = {}
    for name, value in packed.items():
        if name.endswith(ROW_SCALE):
            continue
        full = value.float() if value.is_floating_point() or value.dtype == torch.int8 else value
        if name + ROW_SCALE in packed:
            full = full * packed[name + ROW_SCALE].reshape(-1, *[1] * (value.ndim - 1))
        weights[name] = full
    return weights


def _fetched(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(snapshot_download(name))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise UserError(f"{HUB}{name}: cannot be fetched ({str(error).strip().splitlines()[0]})") from error
