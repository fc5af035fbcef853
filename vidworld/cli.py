"""The `vidworld` command: `vidworld data render`, `ingest`, `contexts`, `check`; `check-world` and `export`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol, runtime_checkable

from vidworld import __version__
from vidworld.core.errors import ArgumentParser, run_script


@runtime_checkable
class Command(Protocol):
    """A module that is one command."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        ...

    def run(self, arguments: argparse.Namespace) -> None:
        """Does it."""
        ...


# A command is imported when it is called for: `vidworld --help` need not wait for torch.


def _render() -> Command:
    from vidworld.simulation import render_command

    return render_command


def _ingest() -> Command:
    from vidworld.video import ingest_command

    return ingest_command


def _contexts() -> Command:
    from vidworld.evaluation import contexts_command

    return contexts_command


def _check_benchmark() -> Command:
    from vidworld.evaluation.benchmarks import check_command

    return check_command


def _check_world() -> Command:
    from vidworld.models.external import check_command

    return check_command


def _export() -> Command:
    from vidworld.evaluation import export_command

    return export_command


COMMANDS: dict[str, dict[str, tuple[Callable[[], Command], str]]] = {
    "data": {
        "render": (_render, "write a picture and an MP4 of a clip or a quad of a simulated world"),
        "ingest": (_ingest, "turn a folder of real videos into a data set"),
        "contexts": (_contexts, "write the clips that a world made elsewhere is to continue"),
        "check": (_check_benchmark, "say whether the folder of a benchmark is complete, and what is missing"),
    },
}
"""Group, name, and what the command does."""

ALONE: dict[str, tuple[Callable[[], Command], str]] = {
    "check-world": (_check_world, "say what is wrong with a model that is to be measured"),
    "export": (
        _export,
        "write trained worlds as torch.export and ONNX files, with weights of eight bits too",
    ),
}
"""Commands of no group."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Exit with 0, or 2 where the arguments or what they name cannot be used."""
    run_script(lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> None:
    """Runs the command of these arguments.

    Raises:
        UserError: the arguments, or what they name, cannot be used.
    """
    parser = ArgumentParser(
        prog="vidworld", description="Two families of world model on one bench of physics."
    )
    parser.add_argument("--version", action="version", version=f"vidworld {__version__}")
    groups = parser.add_subparsers(metavar="GROUP", required=True)
    for group, commands in COMMANDS.items():
        parser_of_group = groups.add_parser(group, help=" and ".join(commands))
        names = parser_of_group.add_subparsers(metavar="COMMAND", required=True)
        for name, (load, purpose) in commands.items():
            parser_of_command = names.add_parser(name, help=purpose, description=f"{purpose.capitalize()}.")
            if list(argv[:2]) == [group, name]:
                _fill(parser_of_command, load())
    for name, (load, purpose) in ALONE.items():
        parser_of_command = groups.add_parser(name, help=purpose, description=f"{purpose.capitalize()}.")
        if list(argv[:1]) == [name]:
            _fill(parser_of_command, load())
    arguments = parser.parse_args(argv or ["--help"])
    arguments.run(arguments)


def _fill(parser: argparse.ArgumentParser, command: Command) -> None:
    """Gives a command's parser its arguments and what it does."""
    command.add_arguments(parser)
    parser.set_defaults(run=command.run)
