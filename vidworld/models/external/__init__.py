"""Other people's models as world models."""
