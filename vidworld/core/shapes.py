"""The axes that shapes are written with, and the few shapes that have a name.

clip     one of a batch of clips          time     frames
t        chunks (latent time steps)       h, w     cells of the latent grid, from the top, from the left
channel  of a picture                     latent   of a token
width    of a transformer's stream        sample   one of several futures of a stochastic model
quad     one of a batch of quadruplets          object   discs of a clip, in the order of its tracks
"""

from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

Frames = UInt8[Tensor, "clip time channel height width"]
VideoFrames = UInt8[ndarray, "time height width 3"]
"""A video as files and trackers have it, its colours last."""
Tokens = Float[Tensor, "clip t h w latent"]
"""Spacetime cells as the models see them: normalised per channel with the tokenizer's statistics."""
Embeddings = Float[Tensor, "clip t h w embedding"]
"""What a JEPA predicts; tokens, where these are its target."""
Stream = Float[Tensor, "clip t cell width"]
"""What runs through a transformer: the cells of each chunk in one axis."""
