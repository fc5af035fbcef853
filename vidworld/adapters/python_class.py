"""A class of the user's own as a model."""

import importlib
import sys
from pathlib import Path
from typing import Any

from vidworld.errors import UserError


def load_class(path: str) -> Any:
    """An instance of `module.ClassName`, made without arguments; modules of the current folder are found.

    Raises:
        UserError: there is no such module or class, or it cannot be made.
    """
    module_name, _, class_name = path.rpartition(".")
    if not module_name:
        raise UserError(f"python:{path}: is no module.ClassName")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        kind = getattr(importlib.import_module(module_name), class_name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"python:{path}: there is no module {error.name}; it is looked for in this folder and on PYTHONPATH"
        ) from error
    except AttributeError as error:
        raise UserError(f"python:{path}: the module {module_name} has no {class_name}") from error
    except Exception as error:  # whatever somebody else's module raises
        raise UserError(f"python:{path}: importing {module_name} failed ({_first_line(error)})") from error
    try:
        return kind()
    except Exception as error:
        raise UserError(f"python:{path}: {class_name}() failed ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
