"""`KIND:PATH`: which of other people's models are measured, and under which name."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from vidworld.core.errors import UserError
from vidworld.core.records import states_of
from vidworld.models.external.protocol import AdaptedWorld
from vidworld.models.tokenizers.tokenizer import Tokenizer

Load = Callable[[str, torch.device, int], Any]
"""The model at a path, on a device, with so many sampling steps."""


def _vjepa2(path: str, device: torch.device, steps: int) -> Any:
    from vidworld.models.external.vjepa2 import VJepa2

    return VJepa2(Path(path), device)


def _diffusers(path: str, device: torch.device, steps: int) -> Any:
    from vidworld.models.external.diffusers_video import DiffusersVideo

    return DiffusersVideo(Path(path), device, steps)


def _videos(path: str, device: torch.device, steps: int) -> Any:
    from vidworld.models.external.videos import Videos

    return Videos(Path(path))


def _python(path: str, device: torch.device, steps: int) -> Any:
    from vidworld.models.external.python_class import load_class

    return load_class(path)


KINDS: dict[str, Load] = {"vjepa2": _vjepa2, "diffusers": _diffusers, "videos": _videos, "python": _python}


class Spec(NamedTuple):
    """What `[NAME=]KIND:PATH` says."""

    name: str
    """In the results."""
    kind: str
    path: str


def parse(text: str) -> Spec:
    """The parts of `[NAME=]KIND:PATH`; without a name it is the last part of the path.

    Raises:
        UserError: it is not of that form, or of an unknown kind.
    """
    before, equals, after = text.partition("=")
    name, rest = (before, after) if equals and ":" not in before else ("", text)
    kind, colon, path = rest.partition(":")
    if not colon or not path:
        raise UserError(f"world {text!r}: is not KIND:PATH, with KIND one of {', '.join(KINDS)}")
    if kind not in KINDS:
        raise UserError(f"world {text!r}: there is no kind {kind!r}; there are {', '.join(KINDS)}")
    usual = path.rpartition(".")[2] if kind == "python" else Path(path).resolve().name
    return Spec(name or usual, kind, path)


def origin(text: str) -> list[Any]:
    """What tells that `[NAME=]KIND:PATH` names another model than before: its files' states (JSON).

    Raises:
        UserError: it is not of that form, or a class' module cannot be imported.
    """
    spec = parse(text)
    path = Path(spec.path)
    if spec.kind == "python":
        from vidworld.models.external.python_class import module_of

        path = Path(module_of(spec.path).__file__ or "")
    return [*spec, states_of(path)]


def adapted_worlds(
    texts: Iterable[str], tokenizer: Tokenizer, device: torch.device, steps: int, taken: Sequence[str] = ()
) -> list[AdaptedWorld]:
    """The worlds of `[NAME=]KIND:PATH` lines; `taken` are names that results already have.

    Raises:
        UserError: a line, or what it names, cannot be used, or two have one name.
    """
    worlds: list[AdaptedWorld] = []
    specs = [parse(text) for text in texts]
    names = [*taken, *(spec.name for spec in specs)]
    for spec in specs:
        if names.count(spec.name) > 1:
            raise UserError(
                f"there are two worlds named {spec.name}; say which is which: NAME={spec.kind}:{spec.path}"
            )
    for spec in specs:
        worlds.append(AdaptedWorld(spec.name, KINDS[spec.kind](spec.path, device, steps), tokenizer))
    return worlds
