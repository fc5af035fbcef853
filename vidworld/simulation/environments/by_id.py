"""Gymnasium's environments by their ids (`Reacher-v5`, `module:Id-v0`): whether there is one, and how it is opened."""

import difflib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from vidworld.core.errors import UserError
from vidworld.core.records import file_digest
from vidworld.simulation.environments import ENVIRONMENTS

MOST_FRAMES = 200  # of an episode that nothing else ends earlier
UNSAID_FPS = 10.0  # of environments that do not say theirs
LEAST_FPS, MOST_FPS = 0.001, 1e4  # at which a video can be written
PICTURES_VERSION = 2  # raised when the same frames come to look otherwise
_FINER = 2  # times as many pixels are rendered as are kept, where that can be asked for
LONGEST_S = 60.0  # that an environment may take for a step, a reset or a picture
Drawn = Callable[[np.random.Generator], np.ndarray]
Given = Callable[[np.ndarray], Any]


def gymnasium_for(name: str) -> Any:
    """The package; UserError where it is not installed and an environment of this name needs it."""
    try:
        import gymnasium
    except ImportError:
        ours = f"{name}: is none of ours ({', '.join(ENVIRONMENTS)}), and gymnasium is not installed"
        raise UserError(f"{ours}; pip install 'vidworld[environments]' would do") from None
    return gymnasium


def spec_of(name: str) -> Any:
    """What Gymnasium knows of an id.

    UserError: there is none, its module cannot be imported, or Gymnasium is missing.
    """
    gymnasium = gymnasium_for(name)
    module, _, own = name.rpartition(":")
    try:
        if module:
            import_module(module)
        return gymnasium.spec(own)
    except ModuleNotFoundError as error:
        raise UserError(f"{name}: there is no module {error.name!r}; install it, or set PYTHONPATH") from None
    except gymnasium.error.Error:
        known = {each.casefold(): each for each in (*gymnasium.registry, *ENVIRONMENTS)}
        near = difflib.get_close_matches(own.casefold(), known, n=1)
        there = f"there are {', '.join(ENVIRONMENTS)}, and Gymnasium's ids"
        hint = f"did you mean {known[near[0]]}?" if near else there
        raise UserError(f"there is no environment {name!r}; {hint}") from None
    except Exception as error:
        raise UserError(f"{name}: importing {module!r} failed ({type(error).__name__}: {error})") from error


def made_with(name: str) -> str:
    """Of what an environment comes: the versions of Gymnasium, MuJoCo and its package, of those that are installed, and
    digests of modules that no package brought."""
    entry = spec_of(name).entry_point
    module = entry.partition(":")[0] if isinstance(entry, str) else entry.__module__
    tops = {"gymnasium", "mujoco", name.rpartition(":")[0].partition(".")[0], module.partition(".")[0]}
    installed = packages_distributions()
    packages = sorted({package for top in tops for package in installed.get(top, ())})
    own = {each for each in (name.rpartition(":")[0], module) if each and each.partition(".")[0] not in installed}
    places = {each: _place_of(each) for each in sorted(own)}
    digests = [f"{each} {file_digest(Path(place))[:12]}" for each, place in places.items() if place]
    return ", ".join([*(f"{package} {version(package)}" for package in packages), *digests])


def _place_of(module: str) -> str | None:
    """A module's file, if it has one."""
    if module in sys.modules:
        return getattr(sys.modules[module], "__file__", None)
    spec = find_spec(module)
    return spec.origin if spec is not None and spec.has_location else None


def open_world(name: str, size_px: int | None = None) -> Any:
    """An environment that renders for pictures of this size, or renders nothing (None).

    UserError: a package is missing. What else it raises is its own.
    """
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        os.environ.setdefault("MUJOCO_GL", "egl")  # MuJoCo would look for a screen
    gymnasium, spec = gymnasium_for(name), spec_of(name)
    asked: dict[str, Any] = {}
    try:
        if size_px is not None:
            asked["render_mode"] = "rgb_array"
            kind = spec.entry_point
            kind = kind if callable(kind) else gymnasium.envs.registration.load_env_creator(kind)
            if any(each.__name__ == "MujocoEnv" for each in getattr(kind, "__mro__", ())):
                asked |= {"width": _FINER * size_px, "height": _FINER * size_px}
        return gymnasium.make(name, **asked)
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(f"{name}: {error}") from None


@contextmanager
def in_time(name: str) -> Iterator[None]:
    """Raise TimeoutError where the environment takes longer than LONGEST_S.

    A signal ends what Python does; a call into C that never comes back is not ended, nor is anything outside the main
    thread or on Windows.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield
        return

    def end(*_: Any) -> None:
        raise TimeoutError(f"{name} took over {LONGEST_S:g} s")

    began, handler = time.monotonic(), signal.signal(signal.SIGALRM, end)
    left_s, every_s = signal.setitimer(signal.ITIMER_REAL, LONGEST_S, 1.0)  # again: it may have caught the first
    try:
        yield
    finally:
        left_s = max(1e-3, left_s - (time.monotonic() - began)) if left_s else 0.0  # of an alarm that was set before
        signal.setitimer(signal.ITIMER_REAL, left_s, every_s)
        signal.signal(signal.SIGALRM, handler)


def scaled_actions(name: str, space: Any) -> tuple[Drawn, Given]:
    """How an action's channels are drawn, and what the environment is given for them.

    Those of Box are from -1 to 1 by its bounds; of Discrete 1 for the one taken and 0 for the others.
    """
    gymnasium = gymnasium_for(name)
    if isinstance(space, gymnasium.spaces.Discrete):
        each = np.eye(int(space.n))
        return (lambda draws: each[draws.integers(len(each))]), (lambda action: space.start + int(action.argmax()))
    if not isinstance(space, gymnasium.spaces.Box):
        raise UserError(f"{name}: its actions are {type(space).__name__}; those of Box and Discrete would do")
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        raise UserError(f"{name}: its actions have no bounds; an environment whose Box has some would do")
    low, span = space.low.astype(np.float64), np.subtract(space.high, space.low, dtype=np.float64)

    def given(action: np.ndarray) -> np.ndarray:
        scaled = low + (action.reshape(low.shape) + 1) / 2 * span
        return np.asarray(np.clip(scaled, space.low, space.high), space.dtype)

    return (lambda draws: draws.uniform(-1, 1, space.low.size)), given


def fps_of(name: str, metadata: Mapping[str, Any]) -> float:
    """Frames a second by an environment's metadata. UserError: they say something else."""
    said = metadata.get("render_fps")
    try:
        fps = UNSAID_FPS if said is None else float(said)
    except (TypeError, ValueError):
        fps = 0.0
    if not LEAST_FPS <= fps <= MOST_FPS:
        would = f"{LEAST_FPS:g} to {MOST_FPS:g} frames a second would do, or none said ({UNSAID_FPS:g} then)"
        raise UserError(f"{name}: its metadata's render_fps is {said!r}; {would}")
    return fps


def picture_of(name: str, world: Any, size_px: int) -> UInt8[np.ndarray, "height width 3"]:
    """What it renders now, its shorter side so long. UserError: it renders no pictures, or a package is missing."""
    try:
        with in_time(name):
            picture = world.render()
    except gymnasium_for(name).error.DependencyNotInstalled as error:
        raise UserError(f"{name}: {error}") from None
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise UserError(f"{name}: renders no pictures; one with render_mode 'rgb_array' would do")
    height, width = picture.shape[:2]
    scale = size_px / min(height, width)
    size = (max(size_px, round(width * scale)), max(size_px, round(height * scale)))
    resized: np.ndarray = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return resized
