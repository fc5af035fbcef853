"""What the viewer shows of layers: what each knows of the discs, beside the truth, and where its heads look."""

import base64
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vidworld.analysis.ridge import Ridge, Spectrum
from vidworld.core.clip import Clips, Tracks
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.core.errors import UserError
from vidworld.inside.features import windows
from vidworld.inside.maps import attention_of
from vidworld.inside.probes import score
from vidworld.models.states import cells_of, hidden_states, layer_names
from vidworld.models.world_model import Encoded
from vidworld.play.cast import Cast, Player, clips_in
from vidworld.play.messages import rounded
from vidworld.play.viewed import Choice, clips_of, first_of_law, known

READ_CLIPS = 120
"""Clips of all worlds together; three of five are fitted to, a penalty is chosen on one and R2 told of another."""
FIRST = 50_000
"""The number of the first of them, in the split val."""
READ = ("velocity", "place")
SHOWING = 0.9
"""Share of a disc that is to show for it to be read."""
KEPT_LOOKS = 8
_AT_ONCE = 24


class _Discs(NamedTuple):
    """Of every chunk but the first, at its last frame, every disc that shows."""

    clip: Tensor
    chunk: Tensor
    disc: Tensor
    cell: Tensor
    middle: Float[Tensor, "sample 2"]
    answers: dict[str, Float[Tensor, "sample 2"]]
    """Velocity in units/s; place from the middle of the cell, in units."""


class _Reading(NamedTuple):
    """Of one layer."""

    ridge: Ridge
    r2: float


class Inner:
    """The layers of a cast's models. What is fitted is kept, and what is looked at for a while. For one thread."""

    def __init__(self, cast: Cast, video: Path | None = None) -> None:
        self.cast, self.video = cast, video
        self._fits: dict[str, dict[str, list[_Reading]]] = {}
        self._looks = lru_cache(KEPT_LOOKS)(self._all_looks)

    def attention(self, choice: Choice, model: str, layer: int) -> dict[str, Any]:
        """The layers that look back, and how the heads of one do, chunk by chunk; of a quadruplet, of its clip A.

        Raises UserError: there is no such clip, model or layer, or it plays by exported files.
        """
        self._player(choice, model)
        looks = self._looks(str(choice), model)
        names = list(looks)
        if not 0 <= layer < len(names):
            raise UserError(f"{model}: has no layer {layer} that looks back; it has {len(names)}")
        return {"layers": names, "layer": layer, "grid": list(self._grid), **looks[names[layer]]}

    def read_outs(self, choice: Choice, model: str) -> dict[str, Any]:
        """What a linear regression reads of the discs in every layer, beside the truth. Raises UserError: as above."""
        player = self._player(choice, model)
        seen = self._seen(choice)
        if seen.clips.tracks is None:
            raise UserError(f"{choice}: nobody knows what is true in it")
        if model not in self._fits:
            self._fits[model] = self._fit(player)
        return self._read(player, seen, seen.clips.tracks, self._fits[model])

    @property
    def _grid(self) -> tuple[int, int]:
        shape = self.cast.shape
        _, h, w = self.cast.evaluator.tokenizer.grid_of(self.cast.chunk_frames, shape.height_px, shape.width_px)
        return h, w

    def _player(self, choice: Choice, model: str) -> Player:
        known(self.cast, choice, self.video)
        player = next((each for each in self.cast.players if each.name == model), None)
        if player is None:
            names = ", ".join(each.name for each in self.cast.players)
            raise UserError(f"there is no model {model[:40]!r}; there are {names}")
        if hasattr(player.model.network, "sessions"):
            raise UserError(f"{model}: computes by exported files, which show no layers; view it without --exported")
        return player

    def _seen(self, choice: Choice) -> Encoded:
        clips = first_of_law(self.cast, choice) if choice.kind == "law" else clips_of(self.cast, choice, self.video)
        return self.cast.evaluator.encode(clips)

    def _all_looks(self, text: str, model: str) -> dict[str, Any]:
        choice = Choice.of(text)
        return _looks(self.cast, self._player(choice, model), self._seen(choice))

    def _read(self, player: Player, seen: Encoded, tracks: Tracks, fits: dict[str, list[_Reading]]) -> dict[str, Any]:
        with self.cast.evaluator.accelerator.autocast():
            states = hidden_states(player.model, seen)[0].float().cpu()  # (chunk, layer, h, w, channel)
        asked = _discs(tracks, self.cast, self._grid)
        features = windows(states, asked.chunk, asked.cell)
        found: dict[str, Any] = {"layers": layer_names(player.model, states.shape[1])}

        def laid(values: Tensor) -> Any:
            grid = torch.full((states.shape[0], tracks.mass.shape[1], 2), torch.nan)
            grid[asked.chunk, asked.disc] = values
            return rounded(grid, 2)

        for name in READ:
            base = asked.middle if name == "place" else torch.zeros_like(asked.middle)
            by_layer = [laid(base + each.ridge(features[:, number])) for number, each in enumerate(fits[name])]
            r2 = [round(each.r2, 2) for each in fits[name]]
            found[name] = {"true": laid(base + asked.answers[name]), "layers": by_layer, "r2": r2}
        return found

    def _fit(self, player: Player) -> dict[str, list[_Reading]]:
        """A ridge regression of each layer, of the window of cells about a disc; R2 on clips of their own."""
        told: dict[str, list[Tensor]] = {name: [] for name in READ}
        features, clip, first = [], [], 0
        for clips in _shown(self.cast):
            tracks, seen = clips.tracks, self.cast.evaluator.encode(clips)
            assert tracks is not None
            with self.cast.evaluator.accelerator.autocast():
                states = hidden_states(player.model, seen).float().cpu()
            asked = _discs(tracks, self.cast, self._grid)
            features.append(windows(states.flatten(0, 1), asked.clip * states.shape[1] + asked.chunk, asked.cell))
            clip.append(asked.clip + first)
            for name in READ:
                told[name].append(asked.answers[name])
            first += len(clips)
        whole, number = torch.cat(features), torch.cat(clip)
        fit, choose, test = number % 5 < 3, number % 5 == 3, number % 5 == 4
        found: dict[str, list[_Reading]] = {name: [] for name in READ}
        for layer in whole.unbind(dim=1):
            spectrum = Spectrum(layer[fit])
            for name in READ:
                true = torch.cat(told[name])
                ridge = spectrum.ridge(true[fit], layer[choose], true[choose])
                r2 = score(ridge(layer[test]), true[test], true[fit].mean(dim=0), number[test], False).value
                found[name].append(_Reading(ridge, r2))
        return found


def _shown(cast: Cast) -> list[Clips]:
    """Clips of all worlds."""
    each = -(-READ_CLIPS // len(cast.worlds))
    numbers = torch.arange(FIRST, FIRST + each).split(_AT_ONCE)
    sources = [clips_in(name, "val", cast.shape) for name in cast.worlds]
    return [source.clips(some.tolist()) for source in sources for some in numbers]


def _discs(tracks: Tracks, cast: Cast, grid: tuple[int, int]) -> _Discs:
    last = slice(2 * cast.chunk_frames - 1, None, cast.chunk_frames)
    position, velocity = tracks.position[:, last].float(), tracks.velocity[:, last].float()
    shows: Bool[Tensor, "clip chunk object"] = tracks.present[:, last] & (tracks.visible[:, last] > SHOWING)
    inside = ((position >= 0) & (position < WORLD_SIZE)).all(dim=-1)
    clip, chunk, disc = (shows & inside & ~velocity.isnan().any(dim=-1)).nonzero(as_tuple=True)
    place = position[clip, chunk, disc]
    cell = cells_of(place, grid, cast.shape.height_px / cast.shape.width_px)
    size = torch.tensor([WORLD_SIZE / grid[1], cast.shape.height / grid[0]])
    middle = (cell.flip(1) + 0.5) * size
    answers = {"velocity": velocity[clip, chunk, disc], "place": place - middle}
    return _Discs(clip, chunk + 1, disc, cell, middle, answers)


def _looks(cast: Cast, player: Player, seen: Encoded) -> dict[str, Any]:
    """Of each layer that looks back: for each chunk but the first, how its cells attend to all cells up to it.

    `bytes` is head by cell by cell seen in base64, of 255 at the most of each head and cell, which `most` holds.
    """
    found: dict[str, list[Any]] = {}
    for k in range(1, seen.tokens.shape[1]):
        with cast.evaluator.accelerator.autocast():
            weights = attention_of(player.model.network, seen.chunks(0, k + 1))
        for name, each in weights.items():
            most = each[0].amax(dim=-1, keepdim=True).clamp_min(1e-9)
            levels = (each[0] / most * 255).round().to(torch.uint8)
            told = base64.b64encode(levels.contiguous().numpy().tobytes()).decode()
            found.setdefault(name, [None]).append({"bytes": told, "most": rounded(most[..., 0], 4)})
    return {name: {"heads": len(chunks[1]["most"]), "chunks": chunks} for name, chunks in found.items()}
