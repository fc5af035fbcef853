"""Configurations: a frozen dataclass says what there is, a YAML file and `key.path=value` overrides fill it.

The overrides lie over the file, and the file over the defaults of the schema, key by key; a dict, a list or a
scalar of the file replaces the default as a whole. Every fault is reported at once.
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
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, dataclass_transform

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from vidworld.core.errors import ArgumentParser, UserError

T = TypeVar("T")
Key = tuple[str | int, ...]

Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Precision = Literal["auto", "no", "bf16", "fp16"]


@dataclass_transform(frozen_default=True, kw_only_default=True)
def schema(cls: type[T]) -> type[T]:
    """The class as a frozen, keyword-only dataclass that coerces nothing and takes no unknown key.

    Limits belong to the field (`Annotated[int, Field(gt=0)]`); what concerns several fields is a ValueError
    of `__post_init__`.
    """
    strict = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    return cast(type[T], pydantic_dataclass(cls, frozen=True, kw_only=True, config=strict))


def load(
    schema: type[T], path: Path, overrides: Sequence[str] = (), select: Callable[[Any], type[T]] | None = None
) -> T:
    """The configuration of a YAML file with `key.path=value` overrides.

    `select` chooses the schema by what the file and the overrides say, where one of them says which it is.

    Raises:
        UserError: a line for each fault, of the file and of the overrides.
    """
    data = _read(path)
    if select is not None:
        given = copy.deepcopy(data)
        _apply(given, overrides, path)
        try:
            schema = select(given)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    data = _over_defaults(schema, data)
    faults, sources = _apply(data, overrides, path)
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
    schema: type[T],
    argv: Sequence[str] | None = None,
    description: str | None = None,
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
    select: Callable[[Any], type[T]] | None = None,
) -> tuple[T, argparse.Namespace]:
    """The configuration and the arguments (`config`, `resume`, `overrides`, any added) of a script's command line."""
    parser = ArgumentParser(
        description=description,
        epilog="keys and their defaults:\n" + "\n".join(f"  {line}" for line in _describe(schema)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="a YAML file of configs/")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint of the run")
    add_arguments(parser)
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="replaces the file's value")
    arguments = parser.parse_intermixed_args(argv)
    return load(schema, arguments.config, arguments.overrides, select), arguments


# --- YAML: the scalars of YAML 1.2, where 1e-3 is a number and `no` is a word -----------------------------


_SCALARS = {
    "null": (r"~|null|", "~n"),
    "bool": (r"true|false", "tf"),
    "int": (r"[-+]?(?:0|[1-9][0-9_]*)", "-+0123456789"),
    "float": (
        r"[-+]?(?:[0-9][0-9_]*\.[0-9]*|\.[0-9]+|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
        "-+.0123456789",
    ),
}


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """PyYAML's table: for a first character, the tags to try and what they match."""
    table = {"": [("tag:yaml.org,2002:null", re.compile("^$"))]}
    for name, (pattern, first_characters) in _SCALARS.items():
        rule = (f"tag:yaml.org,2002:{name}", re.compile(rf"^(?:{pattern})\Z"))
        for character in first_characters:
            table.setdefault(character, []).append(rule)
    return table


class _Loader(yaml.SafeLoader):
    """Reads YAML 1.2 scalars and refuses a key given twice."""

    yaml_implicit_resolvers = _resolvers()

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(problem=f"{key} is no key", problem_mark=key_node.start_mark)
            if key in mapping:
                raise yaml.MarkedYAMLError(problem=f"{key} is given twice", problem_mark=key_node.start_mark)
            mapping[key] = self.construct_object(value_node, deep=deep)
        return mapping


class _Dumper(yaml.SafeDumper):
    """Quotes the strings that `_Loader` would take for something else."""

    yaml_implicit_resolvers = _resolvers()

    def represent_str(self, text: str) -> yaml.ScalarNode:
        # In other quotes PyYAML folds a rare line break, such as U+0085, into a space.
        style = None if text.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


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
    if data is None:
        raise UserError(f"{path}: is empty; a configuration is lines of `key: value`")
    if not isinstance(data, dict):
        raise UserError(f"{path}: holds {_shown(data)}; a configuration is lines of `key: value`")
    return data


# --- overrides and defaults -------------------------------------------------------------------------------


def _apply(data: dict[str, Any], overrides: Sequence[str], path: Path) -> tuple[list[str], dict[Key, str]]:
    """Writes the overrides into data; gives the faults, and for each key that was set the override."""
    faults: list[str] = []
    sources: dict[Key, str] = {}
    for override in overrides:
        dotted, equals, text = override.partition("=")
        names = dotted.split(".")
        if not equals or not all(names):
            faults.append(f"override {override!r}: an override is key.path=value")
            continue
        try:
            value = _parse(text)
        except ValueError as error:
            faults.append(f"override {override!r}: {text!r} is not a YAML value: {error}")
            continue
        target = data
        for depth, name in enumerate(names[:-1]):
            if target.get(name) is None:
                target[name] = {}
            if not isinstance(target[name], dict):
                there = f"{'.'.join(names[: depth + 1])} is {_shown(target[name])}"
                faults.append(f"override {override!r}: {there} in {path}, which has no keys")
                break
            target = target[name]
        else:
            target[names[-1]] = value
            sources[tuple(names)] = override
    return faults, sources


def _over_defaults(schema: type, data: dict[str, Any]) -> dict[str, Any]:
    """The data with what it leaves out, at any depth, as the schema has it by default."""
    filled = dict(data)
    for name, field in _fields(schema).items():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if name not in data and not field.is_required():
            filled[name] = to_jsonable_python(default)
        inner = _schema_in(field.annotation)
        given = data.get(name)
        if inner is not None and isinstance(given, dict) and not _is_container(field.annotation):
            beside = to_jsonable_python(default) if type(default) is inner else {}
            filled[name] = _over_defaults(inner, _merged(beside, given))
    return filled


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = {**below, **above}
    for name, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(name), dict):
            merged[name] = _merged(below[name], value)
    return merged


def _fields(schema: type) -> dict[str, FieldInfo]:
    return cast(dict[str, FieldInfo], vars(schema)["__pydantic_fields__"])


def _schema_in(annotation: Any) -> type | None:
    """The one schema that a type is, or that it is made of (`Schema | None`, `tuple[Schema, ...]`)."""
    kinds = [annotation, *typing.get_args(annotation)]
    schemas = [kind for kind in kinds if isinstance(kind, type) and dataclasses.is_dataclass(kind)]
    return schemas[0] if len(schemas) == 1 else None


def _is_container(annotation: Any) -> bool:
    return typing.get_origin(annotation) not in (None, typing.Union, types.UnionType)


def _describe(schema: type, above: str = "", given: object = None) -> Iterator[str]:
    """A line for every key: its name, its type and its default."""
    hints = typing.get_type_hints(schema)
    for name, field in _fields(schema).items():
        default = field.get_default(call_default_factory=True) if given is None else getattr(given, name)
        inner = _schema_in(field.annotation)
        if inner is not None:
            yield from _describe(inner, f"{above}{name}.", default if type(default) is inner else None)
        else:
            kind = hints[name].__name__ if type(hints[name]) is type else str(hints[name])
            kind = kind.replace("typing.", "").replace("pathlib.", "")
            shown = "" if field.is_required() else f" = {_shown(to_jsonable_python(default), 200)}"
            yield f"{above}{name}: {kind}{shown}"


# --- faults ------------------------------------------------------------------------------------------------


def _faults(
    schema: type, data: dict[str, Any], error: ValidationError, sources: Mapping[Key, str], path: Path
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
        wanted.setdefault((_source(key, sources, path), dotted), []).append(problem)
    return [f"{where}: {_joined(problems)}" for (where, _), problems in wanted.items()]


def _joined(problems: list[str]) -> str:
    """One line of what each type of a union says of the same value."""
    return " or ".join([problems[0], *(problem.partition(": ")[2] for problem in problems[1:])])


def _locate(data: Any, location: Key, missing: bool) -> tuple[Key, Any]:
    """The key and the value at a place of pydantic's, which also names the types of a union that it tried."""
    key: Key = ()
    for part in location:
        if part in (data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()):
            key, data = (*key, part), data[part]
    return ((*key, location[-1]), None) if missing else (key, data)


def _source(key: Key, sources: Mapping[Key, str], path: Path) -> str:
    overrides = [override for set_key, override in sources.items() if key[: len(set_key)] == set_key]
    return f"override {overrides[-1]!r}" if overrides else str(path)


def _suggestion(schema: type, key: Key) -> str:
    """The nearest valid name, here or else in the whole schema; where none is near, all of those here."""
    every = [line.partition(":")[0] for line in _describe(schema)]
    above = "".join(f"{part}." for part in key[:-1] if isinstance(part, str))
    here = list(dict.fromkeys(n.removeprefix(above).split(".")[0] for n in every if n.startswith(above)))
    if near := difflib.get_close_matches(str(key[-1]), here, n=1):
        return f"did you mean {'.'.join([*map(str, key[:-1]), near[0]])}?"
    leaves = {name.rpartition(".")[2]: name for name in reversed(every)}
    if near := difflib.get_close_matches(str(key[-1]), leaves, n=1, cutoff=0.8):
        return f"did you mean {leaves[near[0]]}?"
    return f"valid here: {', '.join(here)}"


def _shown(value: object, limit: int = 60) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
