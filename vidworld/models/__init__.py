"""World models: ours by family, other people's by kind, baselines and controls, and what all of them share.

One grammar names models: a run folder of ours, or `KIND:PATH` for other people's.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vidworld.core.errors import UserError
from vidworld.core.records import file_digest, fingerprint
from vidworld.core.registry import Registry
from vidworld.models.files import read_budget

if TYPE_CHECKING:
    from torch import device

KINDS: "Registry[Callable[[str, device, int], Any]]" = Registry(
    "kind of model",
    "vidworld.model_kinds",
    {
        "vjepa2": "vidworld.models.external.networks:VJepa2",
        "diffusers": "vidworld.models.external.networks:DiffusersVideo",
        "videos": "vidworld.models.external.videos:Videos",
        "python": "vidworld.models.external:load_python",
        "videos_from_context": "vidworld.models.external.videos:FROM_CONTEXT",
        "videos_from_last_frame": "vidworld.models.external.videos:FROM_LAST_FRAME",
        "videos_from_future": "vidworld.models.external.videos:FROM_FUTURE",
    },
)
"""How other people's models are loaded, by the KIND of KIND:PATH: from a path, to a device, with sampling steps."""

RUN = "run"  # the kind of a run folder


class Spec(NamedTuple):
    """Which model is meant."""

    name: str  # in the results
    kind: str
    path: str

    @staticmethod
    def of(name: str, text: str) -> "Spec":
        """The model of this SPEC under this name; nothing is imported. Raises UserError: the kind is unknown."""
        if not text:
            raise UserError(f"model {name or '?'}: names nothing; a run folder or KIND:PATH would do")
        kind, colon, path = text.partition(":")
        if not colon or "/" in kind:
            return Spec(name, RUN, text)
        KINDS.check([kind])
        if not path:
            raise UserError(f"{text!r}: names no path; a model is a run folder or KIND:PATH")
        return Spec(name, kind, path)

    @staticmethod
    def parse(text: str) -> "Spec":
        """The model of `[NAME=]SPEC`, usually named by the last part of the path. Raises UserError: as `of`."""
        before, equals, after = text.partition("=")
        named = bool(equals) and ":" not in before
        spec = Spec.of(before, after) if named else Spec.of("", text)
        usual = spec.path.rpartition(".")[2] if spec.kind == "python" else Path(spec.path).resolve().name
        return spec if named else spec._replace(name=usual)

    @property
    def label(self) -> str:
        return self.path if self.kind == RUN else f"{self.kind}:{self.path}"

    def fingerprint(self) -> str:
        """Differs when another model is meant: by what it holds and how it is read. Raises UserError: none is there."""
        if self.kind == RUN:
            from vidworld.models.families import FAMILIES

            budget = read_budget(Path(self.path))
            return fingerprint(budget["fingerprint"], FAMILIES.version(budget["family"]))
        return fingerprint(self.kind, KINDS.version(self.kind), _content(self.kind, self.path))


def _content(kind: str, path: str) -> str:
    """A digest of the file, or of every file below the folder, with its place there."""
    place = Path(path)
    if kind == "python":
        from vidworld.models.external import module_of

        place = Path(module_of(path).__file__ or "")
    files = [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file())
    if not files:
        raise UserError(f"{path}: there is nothing there; a model is a run folder or KIND:PATH")
    digest = hashlib.sha256(path.rpartition(".")[2].encode() if kind == "python" else b"")
    for file in files:
        digest.update(str(file.relative_to(place)).encode())
        digest.update(bytes.fromhex(file_digest(file)))
    return digest.hexdigest()
