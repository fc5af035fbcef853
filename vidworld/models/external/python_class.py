"""A class of the user's own as a model."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from vidworld.core.errors import UserError


def load_python(path: str, device: torch.device, steps: int) -> Any:
    """An instance of `module.ClassName`, made without arguments; modules of the current folder are found.

    Raises UserError: there is no such module or class, or it cannot be made.
    """
    class_name = path.rpartition(".")[2]
    kind = getattr(module_of(path), class_name, None)
    if kind is None:
        raise UserError(f"python:{path}: the module {path.rpartition('.')[0]} has no {class_name}")
    try:
        return kind()
    except Exception as error:
        raise UserError(f"python:{path}: {class_name}() failed ({_first_line(error)})") from error


def module_of(path: str) -> ModuleType:
    """The module of `module.ClassName`. Raises UserError: there is none, or it cannot be imported."""
    module_name = path.rpartition(".")[0]
    if not module_name:
        raise UserError(f"python:{path}: is no module.ClassName")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"python:{path}: there is no module {error.name}; it is looked for in this folder and on PYTHONPATH"
        ) from error
    except Exception as error:  # whatever somebody else's module raises
        raise UserError(f"python:{path}: importing {module_name} failed ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
