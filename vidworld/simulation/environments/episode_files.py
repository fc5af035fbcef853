"""Files of episodes that were played: where each began and what was done, which is all, as the simulator is exact."""

from dataclasses import asdict, dataclass
from pathlib import Path

from vidworld.core.errors import UserError
from vidworld.core.records import file_digest, read_json, write_json


@dataclass(frozen=True)
class PlayedEpisodes:
    """Episodes of one environment."""

    environment: str
    stream: str
    """What their starts are drawn by, with their numbers."""
    context_frames: int
    """Frames before the first action."""
    block_frames: int
    """Frames that an action is held for."""
    numbers: list[int]
    aimless: list[bool]
    """Of which ones all actions are random."""
    actions: list[list[list[float]]]
    """Of each episode's blocks."""

    def with_more(self, others: "PlayedEpisodes") -> "PlayedEpisodes":
        """These and others of the same kind."""
        lists = {name: getattr(self, name) + getattr(others, name) for name in ("numbers", "aimless", "actions")}
        return PlayedEpisodes(**vars(self) | lists)

    def write(self, path: Path) -> None:
        """The file, whole or not at all."""
        write_json(path, asdict(self))


def read_episodes(path: Path) -> PlayedEpisodes:
    """What a file holds. Raises UserError: there is none, or it is of something else."""
    try:
        return PlayedEpisodes(**read_json(path))
    except TypeError:
        raise UserError(f"{path}: holds no played episodes; eval/run_dreaming.py writes such files") from None


def digest_of_episodes(path: Path) -> str:
    """Twelve digits of what the file holds. Raises UserError: as `read_episodes`."""
    read_episodes(path)
    return file_digest(path)[:12]
