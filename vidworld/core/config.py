"""Configurations: a frozen dataclass says what there is, a YAML file and `key.path=value` overrides fill it.

The overrides lie over the file, and the file over the defaults of the schema, key by key; a dict, a list or a
scalar of the file replaces the default as a whole. Every error is reported at once.
"""

import argparse
import copy
import dataclasses
import difflib
import json
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, dataclass_transform

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from vidworld.core.errors import ArgumentParser, UserError

ConfigT = TypeVar("ConfigT")
KeyPath = tuple[str | int, ...]
PLAIN = (None, typing.Union, types.UnionType)
"""Origins of types that are no collections."""

Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Precision = Literal["auto", "no", "bf16", "fp16"]


@dataclass_transform(frozen_default=True, kw_only_default=True)
def schema(cls: type[ConfigT]) -> type[ConfigT]:
    """The class as a frozen, keyword-only dataclass that coerces nothing and takes no unknown key.

    Limits belong to the field (`Annotated[int, Field(gt=0)]`); what concerns several fields is a ValueError
    of `__post_init__`.
    """
    strict = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    return cast(type[ConfigT], pydantic_dataclass(cls, frozen=True, kw_only=True, config=strict))


def load(
    schema: type[ConfigT],
    path: Path,
    overrides: Sequence[str] = (),
    select: Callable[[Any], type[ConfigT]] | None = None,
) -> ConfigT:
    """The configuration of a YAML file with `key.path=value` overrides.

    `select` chooses the schema by what the file and the overrides say, where one of them says which it is.

    Raises: UserError with a line for each fault, of the file and of the overrides.
    """
    data = _read(path)
    faults: list[str] = []
    sources: dict[KeyPath, str] = {}
    if select is not None:
        given = copy.deepcopy(data)
        for override in overrides:
            with suppress(ValueError):  # said below
                _apply(given, override, path)
        try:
            schema = select(given)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    data = _over_defaults(schema, data)
    for override in overrides:
        try:
            sources[_apply(data, override, path)] = override
        except ValueError as error:
            faults.append(f"override {override!r}: {error}")
    try:
        # JSON mode: strict on scalars, while a list may become a tuple and a string a path.
        config = TypeAdapter(schema).validate_json(json.dumps(data))
    except ValidationError as error:
        faults += _faults(schema, data, error, sources, path)
    if faults:
        raise UserError("\n".join(faults))
    return config


def resolved(config: object) -> dict[str, Any]:
    """Every value of a configuration, defaults included, as plain dicts, lists and scalars."""
    return cast(dict[str, Any], TypeAdapter(type(config)).dump_python(config, mode="json"))


def to_yaml(config: object) -> str:
    """The text of a file that `load` reads back as an equal configuration."""
    return yaml.dump(resolved(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def parse_command_line(
    schema: type[ConfigT],
    argv: Sequence[str] | None = None,
    description: str | None = None,
    select: Callable[[Any], type[ConfigT]] | None = None,
    kinds: Mapping[str, type[ConfigT]] = types.MappingProxyType({}),
) -> tuple[ConfigT, argparse.Namespace]:
    """The configuration and the arguments (`config`, `resume`, `overrides`) of a script's command line.

    `kinds` are the schemas that `select` may give, for the help, which says what each adds to `schema`.
    """
    shared = list(_describe(schema))
    keys = ["keys and their defaults:", *(f"  {line}" for line in shared)]
    for kind, own in kinds.items():
        keys += [f"{kind} besides:", *(f"  {line}" for line in _describe(own) if line not in shared)]
    parser = ArgumentParser(
        description=description, epilog="\n".join(keys), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="a YAML file of configs/")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint of the run")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="replaces the file's value")
    arguments = parser.parse_intermixed_args(argv)
    return load(schema, arguments.config, arguments.overrides, select), arguments


# --- YAML: the scalars of YAML 1.2, where 1e-3 is a number and `no` is a word -----------------------------

_SCALARS = {
    "null": r"~|null|",
    "bool": r"true|false",
    "int": r"[-+]?(?:0|[1-9][0-9_]*)",
    "float": r"[-+]?(?:[0-9][0-9_]*\.[0-9]*|\.[0-9]+|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
}
_RESOLVERS: Any = {  # PyYAML's table, of which None holds for every first character
    None: [(f"tag:yaml.org,2002:{kind}", re.compile(rf"(?:{text})\Z")) for kind, text in _SCALARS.items()]
}


class _Loader(yaml.SafeLoader):
    """Reads YAML 1.2 scalars and refuses a key given twice."""

    yaml_implicit_resolvers = _RESOLVERS

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in mapping:
                fault = "is given twice" if isinstance(key, str) else "is no key"
                raise yaml.MarkedYAMLError(problem=f"{key} {fault}", problem_mark=key_node.start_mark)
            mapping[key] = self.construct_object(value_node, deep=deep)
        return mapping


class _Dumper(yaml.SafeDumper):
    """Quotes the strings that `_Loader` would take for something else."""

    yaml_implicit_resolvers = _RESOLVERS


# In other quotes PyYAML folds a rare line break, such as U+0085, into a space.
_TEXT = "tag:yaml.org,2002:str"
_Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar(_TEXT, text, style=None if text.isprintable() else '"')
)


def _parse(text: str) -> Any:
    """The value of a YAML text; ValueError with one line where it is not YAML, or more than JSON can say."""
    try:
        return json.loads(json.dumps(yaml.load(text, Loader=_Loader)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}: " if mark is not None else ""
        raise ValueError(f"{place}{error.problem}") from error
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(str(error).splitlines()[0]) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        data = _parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; --config wants a YAML file of configs/") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not a text file; a configuration is YAML in UTF-8") from None
    except ValueError as error:
        raise UserError(f"{path}: is not the YAML of a configuration: {error}") from error
    if not isinstance(data, dict):
        what = "is empty" if data is None else f"holds {_shown(data)}"
        raise UserError(f"{path}: {what}; a configuration is lines of `key: value`")
    return data


# --- overrides and defaults -------------------------------------------------------------------------------


def _apply(data: dict[str, Any], override: str, path: Path) -> KeyPath:
    """Write the override into data; return its key. Raises: ValueError, whose text goes on from the override."""
    dotted, equals, text = override.partition("=")
    names = dotted.split(".")
    if not equals or not all(names):
        raise ValueError("an override is key.path=value")
    try:
        value = _parse(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a YAML value: {error}") from error
    for depth, name in enumerate(names[:-1], start=1):
        if data.get(name) is None:
            data[name] = {}
        if not isinstance(data[name], dict):
            there = ".".join(names[:depth])
            raise ValueError(f"{there} is {_shown(data[name])} in {path}, which has no keys")
        data = data[name]
    data[names[-1]] = value
    return tuple(names)


def _over_defaults(schema: type, data: dict[str, Any], above: object = None) -> dict[str, Any]:
    """The data with what it leaves out, at any depth, as the schema (or a default of it, `above`) has it."""
    filled = dict(data)
    for name, field in _fields(schema).items():
        default = _default(field, name, above)
        inner, given = _schema_in(field.annotation), data.get(name)
        if name not in data and default is not PydanticUndefined:
            filled[name] = to_jsonable_python(default)
        elif inner is not None and isinstance(given, dict) and typing.get_origin(field.annotation) in PLAIN:
            filled[name] = _over_defaults(inner, given, default if type(default) is inner else None)
    return filled


def _default(field: FieldInfo, name: str, above: object) -> Any:
    return field.get_default(call_default_factory=True) if above is None else getattr(above, name)


def _fields(schema: type) -> dict[str, FieldInfo]:
    return cast(dict[str, FieldInfo], vars(schema)["__pydantic_fields__"])


def _schema_in(annotation: Any) -> type | None:
    """The one schema that a type is, or that it is made of (`Schema | None`, `tuple[Schema, ...]`)."""
    kinds = [annotation, *typing.get_args(annotation)]
    schemas = [kind for kind in kinds if isinstance(kind, type) and dataclasses.is_dataclass(kind)]
    return schemas[0] if len(schemas) == 1 else None


def _describe(schema: type, prefix: str = "", above: object = None) -> Iterator[str]:
    """A line for every key: its name, its type and its default."""
    hints = typing.get_type_hints(schema)
    for name, field in _fields(schema).items():
        default, inner = _default(field, name, above), _schema_in(field.annotation)
        if inner is not None:
            yield from _describe(inner, f"{prefix}{name}.", default if type(default) is inner else None)
        else:
            kind = hints[name].__name__ if type(hints[name]) is type else str(hints[name])
            kind = kind.replace("typing.", "").replace("pathlib.", "")
            shown = "" if field.is_required() else f" = {_shown(to_jsonable_python(default), 200)}"
            yield f"{prefix}{name}: {kind}{shown}"


# --- faults ------------------------------------------------------------------------------------------------


def _faults(
    schema: type, data: dict[str, Any], error: ValidationError, sources: Mapping[KeyPath, str], path: Path
) -> list[str]:
    """One line a key that is wrong: where it was given, its name, its value and what would do."""
    wanted: dict[tuple[str, str], list[str]] = {}
    for detail in error.errors():
        key, value = _locate(data, detail["loc"], missing=detail["type"] == "missing")
        dotted = ".".join(map(str, key))
        if detail["type"] == "missing":
            problem = f"{dotted} is missing; it has no default"
        elif detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            problem = f"there is no key {dotted} (given {_shown(value)}); {_suggestion(schema, key)}"
        else:
            message = detail["msg"].removeprefix("Value error, ")
            problem = message[:1].lower() + message[1:]
            if key:
                problem = f"{dotted} is {_shown(value)}: {problem.removeprefix('input ')}"
        given_by = [override for place, override in sources.items() if key[: len(place)] == place]
        where = f"override {given_by[-1]!r}" if given_by else str(path)
        said = wanted.setdefault((where, dotted), [])  # by each type of a union
        said.append(problem.partition(": ")[2] if said else problem)
    return [f"{where}: {' or '.join(problems)}" for (where, _), problems in wanted.items()]


def _locate(data: Any, location: KeyPath, missing: bool) -> tuple[KeyPath, Any]:
    """The key and the value at a place of pydantic's, which also names the types of a union that it tried."""
    key: KeyPath = ()
    for part in location:
        if part in (data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()):
            key, data = (*key, part), data[part]
    return ((*key, location[-1]), None) if missing else (key, data)


RENAMED = {
    "batch_clips": "global_batch_size", "accumulation": "grad_accum_steps", "clip_norm": "max_grad_norm",
    "decay_share": "warmdown_ratio", "pure_share": "p_full_noise", "collapse_deviation": "collapse_std",
    "worlds": "models", "diffusion": "models.diffusion", "jepa": "models.jepa",
    "readout": "probe", "jepa_readout": "probes.jepa", "at_once": "clips_at_once and quadruplets_at_once",
    "quads": "quadruplets", "further_quads": "further_quadruplets", "ood_quads": "ood_quadruplets",
}  # fmt: skip
"""Keys of version 0.1 and what they are called now."""


def _suggestion(schema: type, key: KeyPath) -> str:
    """The nearest valid name, here or else in the whole schema; where none is near, all of those here."""
    every = [line.partition(":")[0] for line in _describe(schema)]
    above = "".join(f"{part}." for part in key[:-1] if isinstance(part, str))
    here = list(dict.fromkeys(n.removeprefix(above).split(".")[0] for n in every if n.startswith(above)))
    if (now := RENAMED.get(str(key[-1]))) and now.split(".")[0].split(" ")[0] in here:
        return f"it is {'.'.join([*map(str, key[:-1]), now])} now"
    if near := difflib.get_close_matches(str(key[-1]), here, n=1):
        return f"did you mean {'.'.join([*map(str, key[:-1]), near[0]])}?"
    leaves = {name.rpartition(".")[2]: name for name in reversed(every)}
    if near := difflib.get_close_matches(str(key[-1]), leaves, n=1, cutoff=0.8):
        return f"did you mean {leaves[near[0]]}?"
    return f"valid here: {', '.join(here)}"


def _shown(value: object, limit: int = 60) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
