"""What models know: states by layer, concepts read out of them and steered, maps, a dictionary."""
