"""A module of environments that cannot be imported, for tests."""

raise ValueError("no licence")
