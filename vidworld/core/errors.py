"""The one error that is meant for people, and how scripts say it."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn


class UserError(ValueError):
    """Something the user gave cannot be used: one line that names the thing and says what would do.

    Several faults that were found together are one error with a line each. Scripts and the command line
    print it without a traceback and exit with code 2.
    """


class ArgumentParser(argparse.ArgumentParser):
    """argparse's, but a wrong argument is a UserError and no option may be shortened."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False, **options})  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; {self.prog} --help says what there is")


def run_script(function: Callable[[], object]) -> NoReturn:
    """Exit as a script should: 0, or 2 with each error on a line of stderr, or 130 after Ctrl-C."""
    try:
        function()
    except UserError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # whoever read the output has enough, as `| head` has
        sys.stdout = None
        sys.exit(0)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
