import subprocess
import sys

import pytest

import vidworld
from vidworld import cli
from vidworld.core.command import Command
from vidworld.core.errors import UserError


@pytest.fixture
def spoken(monkeypatch):
    """What a planted `vidworld data render` was called with."""
    heard: list[str] = []

    def run(arguments):
        if arguments.scenario == "interrupt":
            raise KeyboardInterrupt
        if arguments.scenario == "swamp":
            raise UserError("there is no scenario swamp\nand no splice of it")
        heard.append(arguments.scenario)

    command = Command(lambda parser: parser.add_argument("scenario"), run)
    monkeypatch.setitem(cli.COMMANDS._loaded, "data render", command)
    return heard


def exit_code(*argv: str) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    return caught.value.code


def test_a_command_runs_with_its_arguments(spoken):
    assert exit_code("data", "render", "bounce") == 0
    assert spoken == ["bounce"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("data", "render", "swamp"), ["there is no scenario swamp", "and no splice of it"]),
        (("data", "rendr"), ["invalid choice: 'rendr' (choose from"]),
        (("dta",), ["invalid choice: 'dta' (choose from"]),
        (("data",), ["COMMAND"]),
        (("data", "render"), ["scenario"]),
        (("data", "render", "bounce", "--loud"), ["unrecognized arguments: --loud"]),
        (("--vers",), ["COMMAND"]),
    ],
)
def test_a_fault_is_a_line_on_stderr_and_exit_code_2(spoken, capsys, argv, said):
    assert exit_code(*argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == len(said)
    for line, part in zip(err.splitlines(), said, strict=True):
        assert line.startswith("error: ")
        assert part in line
    assert spoken == []


def test_an_interrupt_is_exit_code_130(spoken, capsys):
    assert exit_code("data", "render", "interrupt") == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_version_and_help(capsys):
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"vidworld {vidworld.__version__}\n"
    assert exit_code() == 0
    bare = capsys.readouterr().out
    assert exit_code("--help") == 0
    assert capsys.readouterr().out == bare
    assert "data" in bare


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_the_real_commands_describe_themselves(name, capsys):
    assert exit_code(*name.split(), "--help") == 0
    assert f"vidworld {name}" in capsys.readouterr().out


def test_help_does_not_wait_for_torch():
    script = "import sys, vidworld.cli; print(sorted({'torch', 'numpy', 'pydantic'} & set(sys.modules)))"
    command = [sys.executable, "-c", script]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_python_m_vidworld():
    command = [sys.executable, "-m", "vidworld", "--version"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.startswith("vidworld ")
