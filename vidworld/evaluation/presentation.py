"""How clips are put before a model: it can know nothing of them but the frames that it is shown.

Names, places in a batch and seeds are digests of these very frames. So whatever they could tell, the frames tell; there
is no secret that could be found; and values remain a function of clips and models, whatever was measured before.
"""

import hashlib
import os
import secrets
from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from vidworld.core.clip import Frames
from vidworld.core.errors import UserError
from vidworld.core.records import prepare_folder, writing
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.simulation.quadruplets import Quadruplets

PRESENTATION_VERSION = 1  # of all that is here; raised when models see something else
NAME_DIGITS = 16  # hexadecimal, of a name


def names_of(frames: Frames) -> list[str]:
    """A name for each clip that says no more than its frames: equal frames have equal names."""
    return [hashlib.sha256(clip.cpu().numpy().tobytes()).hexdigest()[:NAME_DIGITS] for clip in frames]


def shared_names(quadruplets: Quadruplets) -> list[str]:
    """A name for each quadruplet, that of its two pasts and its two futures, which does not say what belongs together.

    Clips of a quadruplet share what is random by it.
    """
    cut, sides = quadruplets.splice_frame, (quadruplets.a.frames, quadruplets.b.frames)
    halves = [[names_of(side[:, part]) for side in sides] for part in (slice(cut), slice(cut, None))]
    pasts, futures = (zip(*half, strict=True) for half in halves)
    return ["".join((*sorted(past), *sorted(future))) for past, future in zip(pasts, futures, strict=True)]


def batches_of(names: Sequence[str], groups: Sequence[int] | None = None) -> list[list[int]]:
    """The places of clips in batches of which none has two clips of one group, each in the order of the names.

    groups: one number a clip; by default no two belong together, and all are one batch.
    """
    by_group: dict[int, list[int]] = defaultdict(list)
    for place in sorted(range(len(names)), key=names.__getitem__):
        by_group[place if groups is None else groups[place]].append(place)
    columns = zip_longest(*by_group.values())
    return [sorted((p for p in column if p is not None), key=names.__getitem__) for column in columns]


def clip_seed(config: PhysicsConfig) -> int | str:
    """What the evaluation's clips are drawn by: its seed, or that and the secret in the file `held_out`.

    The secret is drawn where there is no such file. Raises UserError: the file cannot be read or written, or is empty.
    """
    if config.held_out is None:
        return config.seed
    if not config.held_out.exists():
        _draw_secret(config.held_out)
    try:
        secret = config.held_out.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{config.held_out}: cannot be read as the secret of held-out clips ({error})") from error
    if not secret:
        raise UserError(f"{config.held_out}: is empty; a line that nobody can guess would do, or no file: one is drawn")
    return f"{config.seed}+{secret}"


def _draw_secret(path: Path) -> None:
    """Write a secret, whole or not at all; another process may have been faster."""
    temporary = prepare_folder(path.parent) / f".{path.name}.{os.getpid()}.part"
    with writing(path):
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secrets.token_hex(16) + "\n")
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink(missing_ok=True)
