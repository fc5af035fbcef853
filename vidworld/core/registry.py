"""Registries: what there is of one kind by name, ours and what other packages add, imported only when it is used."""

import difflib
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Generic, TypeVar

from vidworld.core.errors import UserError
from vidworld.core.records import file_digest

ItemT = TypeVar("ItemT")
NamesT = TypeVar("NamesT", bound=str | Iterable[str])


def _at(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


class Registry(Mapping[str, ItemT], Generic[ItemT]):
    """Things of one kind by name.

    `builtin` maps each name to `module:attribute`. Another package adds its own by an entry point of the group, in the
    same form:

        [project.entry-points."vidworld.scenarios"]
        pendulum = "their_package.pendulum:PENDULUM"

    `of` names the class (`module:Class`) that all of them are instances of, where there is one.

    `versions` holds those that are no longer 1: what was measured or made with another one is stale. Golden values
    in tests/golden fail where values change and the version does not.

    Names are known without importing anything, so that a misspelt one is found before torch is loaded.
    """

    def __init__(
        self, kind: str, group: str, builtin: Mapping[str, str], versions: Mapping[str, int] | None = None, of: str = ""
    ) -> None:
        self.kind, self.group, self.builtin, self._of = kind, group, builtin, of
        self._versions = versions or {}
        self._loaded: dict[str, ItemT] = {}

    @cached_property
    def _places(self) -> dict[str, str]:
        """`module:attribute` by name, ours first."""
        places = dict(self.builtin)
        for entry in sorted(metadata.entry_points(group=self.group)):
            if places.setdefault(entry.name, entry.value) != entry.value:
                raise UserError(
                    f"{entry.value}: adds a {self.kind} named {entry.name}, which is {places[entry.name]}; "
                    "one of them needs another name"
                )
        return places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __getitem__(self, name: str) -> ItemT:
        """The thing itself; UserError with the nearest name where there is none of that name."""
        if name not in self._loaded:
            self.check([name])
            self._loaded[name] = _at(self._places[name]) if name in self.builtin else self._others(name)
        return self._loaded[name]

    def _others(self, name: str) -> ItemT:
        """What another package adds. Raises UserError: it cannot be loaded, or is something else."""
        try:
            item: ItemT = _at(self._places[name])
            wrong = ""
            if self._of and not isinstance(item, _at(self._of)):
                wrong = f"is a {type(item).__name__}, where a {self._of.partition(':')[2]} is wanted"
            elif not self._of and not callable(item):
                wrong = f"is a {type(item).__name__}, which cannot be called"
        except (Exception, SystemExit) as error:  # of somebody else's module, which is run as it is loaded
            wrong = f"cannot be loaded ({type(error).__name__}: {error})".replace("\n", " ")
        if wrong:
            raise UserError(f"{self.kind} {name}: {self._places[name]} {wrong}; mend or remove its package")
        return item

    def get(self, name: str, default: Any = None) -> Any:
        """The thing itself, or the default for an unknown name."""
        return self[name] if name in self else default  # noqa: SIM401 (this is that `get`)

    def version(self, name: str) -> int:
        """What the values of a thing were made by: 1 unless said otherwise, by `versions` or by its own `version`."""
        return self._versions.get(name, 1) if name in self.builtin else getattr(self[name], "version", 1)

    def digests(self, names: Iterable[str]) -> list[str]:
        """Of the files that other packages' things among these come from: where they are registered, and defined."""
        found = []
        for name in names:
            if name not in self or name in self.builtin:
                continue
            modules = {
                self._places[name].partition(":")[0],
                getattr(self[name], "__module__", type(self[name]).__module__),
            }
            others = sorted(module for module in modules if module.partition(".")[0] != "vidworld")
            files = (getattr(sys.modules.get(module), "__file__", None) for module in others)
            found += [file_digest(Path(file)) for file in files if file and Path(file).is_file()]
        return found

    def check(self, names: Iterable[str]) -> None:
        """Raise a UserError with a line for each unknown name and the nearest known one; nothing is imported."""
        unknown = [name for name in names if name not in self._places]
        if unknown:
            raise UserError("\n".join(self._suggestion(name) for name in unknown))

    def known(self, names: NamesT) -> NamesT:
        """The name or names, which a key of a configuration holds; UserError as `check`."""
        self.check([names] if isinstance(names, str) else names)
        return names

    def _suggestion(self, name: str) -> str:
        near = difflib.get_close_matches(name, self, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(self)}"
        return f"there is no {self.kind} {name!r}; {hint}"
