"""The server of the viewer, and its page for sharing."""

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from vidworld.core.errors import UserError
from vidworld.core.records import prepare_folder, write_text
from vidworld.play.cast import Cast
from vidworld.play.guard import Guard
from vidworld.play.inner import Inner
from vidworld.play.server import PAGES
from vidworld.play.viewed import Choice, choices, viewed

PLACE = '"the data of the page"'
KEPT = 16
"""Clips whose views are kept, the newest."""


def view_app(cast: Cast, port: int, video: Path | None = None) -> Any:
    """The ASGI app: the page at /, a clip's view at /clip?choice=KIND/NAME/SPLIT/NUMBER, a layer's at /inside."""
    inner = Inner(cast, video)
    cached = lru_cache(maxsize=KEPT)(lambda text: viewed(cast, Choice.of(text), video))
    lock = Lock()

    def alone(work: Callable[..., Any], *asked: Any) -> Any:
        """Hooks on a network see whatever passes through it: one request at a time computes."""
        with lock:
            return work(*asked)

    async def page(_: Request) -> Response:
        return HTMLResponse(page_with({"choices": choices(cast, video), "views": {}}))

    async def clip(request: Request) -> Response:
        names = request.query_params
        if list(names.keys()) != ["choice"]:
            return JSONResponse({"error": "/clip?choice=KIND/NAME/SPLIT/NUMBER is all that may be asked"}, 400)
        try:
            return JSONResponse(await run_in_threadpool(alone, cached, names["choice"]))
        except UserError as error:
            return JSONResponse({"error": str(error)}, 400)

    async def inside(request: Request) -> Response:
        names, number = request.query_params, re.compile(r"\d{1,3}", re.ASCII)
        attention = sorted(names.keys()) == ["choice", "layer", "model"] and number.fullmatch(names["layer"])
        if not attention and sorted(names.keys()) != ["choice", "model"]:
            return JSONResponse({"error": "/inside?choice=CHOICE&model=NAME, and &layer=NUMBER, may be asked"}, 400)
        try:
            asked = Choice.of(names["choice"]), names["model"]
            if attention:
                return JSONResponse(await run_in_threadpool(alone, inner.attention, *asked, int(names["layer"])))
            return JSONResponse(await run_in_threadpool(alone, inner.read_outs, *asked))
        except UserError as error:
            return JSONResponse({"error": str(error)}, 400)

    return Guard(Starlette(routes=[Route("/", page), Route("/clip", clip), Route("/inside", inside)]), port)


def page_with(data: dict[str, Any]) -> str:
    """The page with these data in it; it holds all that it needs."""
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")  # no word of the data ends the script
    return (PAGES / "view.html").read_text(encoding="utf-8").replace(PLACE, text)


def usual_choices(cast: Cast, video: Path | None = None) -> list[str]:
    """The first clip of each world, a quadruplet of each law, and the first of one's own video."""
    return [
        f"{kind}/{name}/{'id' if 'id' in splits else splits[0]}/0"
        for kind, names in choices(cast, video).items()
        for name, splits in names.items()
    ]


def write_static(path: Path, cast: Cast, wanted: Sequence[str], video: Path | None = None) -> Path:
    """The path of a page that needs no server, with the views of these choices.

    Raises UserError: there is no such clip, or nothing can be written there.
    """
    views = {text: viewed(cast, Choice.of(text), video) for text in wanted}
    prepare_folder(path.parent)
    write_text(path, page_with({"choices": None, "views": views}))
    return path
