"""One spacetime-patch tokenizer, three families of world model, one bench for their physics."""

__version__ = "0.1.0"
