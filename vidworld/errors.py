"""The one error that is meant for people, and how scripts say it."""

import sys
from collections.abc import Callable
from typing import NoReturn


class UserError(ValueError):
    """Something the user gave cannot be used: one line that names the thing and says what would do.

    Several faults that were found together are one error with a line each. Scripts and the command line
    print it without a traceback and exit with code 2.
    """


def run_script(function: Callable[[], object]) -> NoReturn:
    """Exit as a script should: 0, or 2 with each fault on a line of stderr, or 130 after Ctrl-C."""
    try:
        function()
    except UserError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
