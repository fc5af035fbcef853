"""What a command of `vidworld` is."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import NamedTuple


class Command(NamedTuple):
    """A command: what it takes, and what it does."""

    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], None]
