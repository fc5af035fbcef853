"""Other people's models as worlds."""
