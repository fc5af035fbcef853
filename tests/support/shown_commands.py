"""Commands that pages show, checked as far as they can be without running the work.

Arguments go through the real parsers, and a configuration is loaded with the overrides of the line. What a line needs
that a test has not, is said in it: `# needs a folder of videos`.
"""

import re
import runpy
import shlex
import sys
import tomllib
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts import ROOT

from vidworld import cli
from vidworld.core import config, errors
from vidworld.core.command import Command
from vidworld.core.config import load
from vidworld.evaluation.schema import PhysicsConfig

BLOCK = re.compile(r"^```(\w*).*?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MARK = re.compile(r"#.*\bneeds\b")
CASES = {"SCENARIO": "uniform", "ENVIRONMENT": "two_room", "KIND": "intphys"}
"""Words of pages that stand for one of several."""


class Parsed(Exception):
    """What a line says can be done; nothing is."""


def commands(page: str) -> Iterator[str]:
    """The lines of a page's blocks of commands: those in bash, and those that begin with a command."""
    for language, text in BLOCK.findall(page):
        lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
        if language in ("bash", "sh", "console") or (not language and program(lines[0])[0] in CHECKS):
            yield from lines


def program(line: str) -> tuple[str, list[str]]:
    """The command and its words, without the variables before it and the comment behind it."""
    words = shlex.split(line, comments=True)
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    name = words[0].removeprefix(".venv/bin/") if words else ""
    return (name if not name.startswith("slurm/") else "slurm"), words


def check(line: str, monkeypatch: Any) -> None:
    """Raise where a command of this line, its arguments, files or keys do not exist."""
    if MARK.search(line):
        return
    name, words = program(line)
    if name:
        assert name in CHECKS, f"{name}: no test knows this command; mark the line with `# needs ...`"
        CHECKS[name]([CASES.get(word, word) for word in words], monkeypatch)


def _vidworld(words: list[str], monkeypatch: Any) -> None:
    def run(arguments: Namespace) -> None:
        if words[1:3] == ["data", "contexts"]:
            load(PhysicsConfig, ROOT / arguments.config, arguments.overrides)
        raise Parsed

    for name in cli.COMMANDS:
        if " ".join(words[1:]).startswith(name):
            monkeypatch.setitem(cli.COMMANDS._loaded, name, Command(cli.COMMANDS[name].add_arguments, run))
    _until_parsed(lambda: cli.run(words[1:]))


def _python(words: list[str], monkeypatch: Any) -> None:
    if words[1] == "-m":
        assert words[2] in ("venv", "http.server"), words
        return
    script = ROOT / words[1]
    assert script.is_file(), script
    parse = errors.ArgumentParser.parse_args, errors.ArgumentParser.parse_intermixed_args

    def parsed(method: Any) -> Any:
        def then(self: Any, *given: Any, **named: Any) -> Namespace:
            found: Namespace = method(self, *given, **named)
            if getattr(found, "config", None) is None:
                raise Parsed
            return found

        return then

    def loaded(*given: Any, **named: Any) -> None:
        load(*given, **named)
        raise Parsed

    monkeypatch.setattr(errors.ArgumentParser, "parse_args", parsed(parse[0]))
    monkeypatch.setattr(errors.ArgumentParser, "parse_intermixed_args", parsed(parse[1]))
    monkeypatch.setattr(config, "load", loaded)
    monkeypatch.setattr(sys, "argv", words[1:])
    monkeypatch.syspath_prepend(script.parent)
    monkeypatch.chdir(ROOT)
    _until_parsed(runpy.run_path(str(script), run_name="shown")["main"])


def _until_parsed(run: Any) -> None:
    """Until the arguments are known to be good, or to the end of what says something at once (--help)."""
    try:
        run()
    except Parsed:
        pass
    except SystemExit as ended:
        assert ended.code == 0


def _accelerate(words: list[str], monkeypatch: Any) -> None:
    from accelerate.commands.launch import launch_command_parser

    assert words[1] == "launch"
    found = launch_command_parser().parse_args(words[2:])
    assert found.config_file is None or (ROOT / found.config_file).is_file(), found.config_file
    _python(["python", found.training_script, *found.training_script_args], monkeypatch)


def _torchrun(words: list[str], monkeypatch: Any) -> None:
    from torch.distributed.run import get_args_parser

    found = get_args_parser().parse_args(words[1:])
    _python(["python", found.training_script, *found.training_script_args], monkeypatch)


def _make(words: list[str], monkeypatch: Any) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words[1:]:
        name, equals, _ = word.partition("=")
        wanted = rf"^{name} [?:]?= ?" if equals else rf"^{word}:"
        assert re.search(wanted, makefile, re.MULTILINE), word


def _slurm(words: list[str], monkeypatch: Any) -> None:
    script, configurations = ROOT / words[0], ROOT / words[1]
    assert script.is_file() and configurations.exists(), words[:2]
    if words[0] == "slurm/submit":
        assert (configurations / "physics.yaml").is_file() and not Path(words[2]).is_absolute()


def _pip(words: list[str], monkeypatch: Any) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert words[1] == "install"
    for word in words[2:]:
        if named := re.search(r"\[(.*)\]", word):
            assert set(named[1].split(",")) <= extras.keys(), word


CHECKS = {
    "vidworld": _vidworld,
    "python": _python,
    "python3": _python,
    "accelerate": _accelerate,
    "torchrun": _torchrun,
    "make": _make,
    "slurm": _slurm,
    "pip": _pip,
    ".": lambda words, monkeypatch: None,  # . .venv/bin/activate
    "cd": lambda words, monkeypatch: None,
}
