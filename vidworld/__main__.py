"""`python -m vidworld` is the `vidworld` command."""

from vidworld.cli import main

main()
