"""The one error that is meant for people."""


class UserError(ValueError):
    """Something the user gave cannot be used: one line that names the thing and says what would do.

    Scripts and the command line print it without a traceback and exit with code 2.
    """
