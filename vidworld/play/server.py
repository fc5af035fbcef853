"""The server of play: a page, and a session for each tab that has it open."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from vidworld.core.errors import UserError
from vidworld.core.hardware import one_core_pool
from vidworld.play.cast import Cast
from vidworld.play.guard import Guard, check_loopback
from vidworld.play.messages import MOST_BYTES, Malformed, Request, answer, request_of
from vidworld.play.recording import EXPORTED, FILE_NAME, PANEL_LABELS, export_played
from vidworld.play.session import COPY_LAST, TRUTH, PlayedStep, Session
from vidworld.play.truths import Truth

MOST_SESSIONS = 4
"""Tabs that play at once: each takes about a third of two cores."""
PAGES = Path(__file__).parent / "pages"
HINTS = {
    "two_room": "Go through the door into the other room.",
    "puck": "Run into the green puck to kick it.",
    "hidden_goal": "A disc went behind one of the two screens. Steer into that screen first: it lifts.",
    "heavy_or_light": "Knock a disc up to the grey strip. One of the two is ten times heavier, and their first meeting "
    "shows which. You have one blow; after it you only coast (n: a new scene).",
}


@dataclass
class Playground:
    """What every session of a server shares."""

    cast: Cast
    worlds: Sequence[str]
    truth_of: Callable[[str], Truth]
    out: Path
    number: int = 0
    players: ThreadPoolExecutor = field(default_factory=lambda: one_core_pool(2, "players"))
    """In which models step, one beside another."""
    sessions: ThreadPoolExecutor = field(default_factory=lambda: one_core_pool(1, "sessions"))
    """In which sessions take turns."""
    playing: int = 0

    def new_session(self, world: str) -> Session:
        return Session(self.cast, self.truth_of(world), self.number, over=self.players.map)

    @property
    def hello(self) -> dict[str, Any]:
        """What a page is told first."""
        names = [player.name for player in self.cast.players]
        labels = PANEL_LABELS | {player.name: player.label for player in self.cast.players}
        labels |= {world: world.replace("_", " ").capitalize() for world in self.worlds}
        return {"worlds": list(self.worlds), "panels": [TRUTH, *names, COPY_LAST], "labels": labels, "hints": HINTS}


def play_app(ground: Playground, port: int) -> Any:
    """The ASGI app."""

    async def page(_: HttpRequest) -> Response:
        return HTMLResponse((PAGES / "play.html").read_text(encoding="utf-8"))

    async def recording(request: HttpRequest) -> Response:
        name = request.path_params["name"]
        path = ground.out / name
        if not FILE_NAME.fullmatch(name) or not path.is_file():
            return PlainTextResponse("there is no such recording\n", 404)
        return FileResponse(path)

    async def play(websocket: WebSocket) -> None:
        await websocket.accept()
        if ground.playing >= MOST_SESSIONS:
            await websocket.close(1013, f"{MOST_SESSIONS} tabs play already")
            return
        ground.playing += 1
        try:
            await _Tab(ground, websocket).serve()
        except WebSocketDisconnect:
            pass
        except Exception:
            logging.getLogger(__name__).exception("a session failed")
            with contextlib.suppress(RuntimeError):  # closed already
                await websocket.close(1011)
        finally:
            ground.playing -= 1

    routes = [Route("/", page), Route("/recordings/{name}", recording), WebSocketRoute("/play", play)]
    return Guard(Starlette(routes=routes), port)


class _Tab:
    """One tab's session."""

    def __init__(self, ground: Playground, websocket: WebSocket) -> None:
        self.ground, self.websocket = ground, websocket
        self.session: Session | None = None
        self.replayed: list[PlayedStep] = []  # what is still to be played again, the last first
        self.saving: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Answer until the tab goes; a message that is none ends the session with a code and a reason.

        1003: bytes. 1009: too long. 1007: not what a page of ours would say.
        """
        self.session = await self._in_turn(self.ground.new_session, self.ground.worlds[0])
        await self.websocket.send_text(json.dumps({"hello": self.ground.hello}))
        while True:
            message = await self.websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                await self.websocket.close(1003, "messages are text")
                return
            if len(text) > MOST_BYTES:
                await self.websocket.close(1009, f"a message has at most {MOST_BYTES} bytes")
                return
            try:
                request = request_of(text)
            except Malformed as error:
                await self.websocket.close(1007, str(error)[:100])
                return
            try:
                await self._answer(request)
            except UserError as error:
                await self.websocket.send_text(json.dumps({"id": request.id, "error": str(error)}))

    async def _in_turn(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.ground.sessions, function, *arguments)

    async def _answer(self, request: Request) -> None:
        if request.do == "save":
            if self.saving is None or self.saving.done():
                session = self.session
                assert session is not None
                taken = await self._in_turn(lambda: (session.truth, session.number, self._recorded(session)))
                self.saving = asyncio.create_task(self._save(request, *taken))
            else:
                await self.websocket.send_text(json.dumps({"id": request.id, "error": "a recording is being written"}))
            return
        await self.websocket.send_bytes(await self._in_turn(self._done, request))

    def _done(self, request: Request) -> bytes:
        session, more = self.session, {}
        assert session is not None
        if request.do != "step":
            moment = self._commanded(session, request)
        elif self.replayed:
            moment = session.take(self.replayed.pop())
            more["replaying"] = len(self.replayed)
        elif request.towards is not None:
            moment = session.towards((request.towards[0], request.towards[1]))
        else:
            moment = session.act(tuple(request.action))
        assert self.session is not None
        return answer(self.session, moment, request, **more)

    def _commanded(self, session: Session, request: Request) -> Any:
        if self.replayed and request.do in ("back", "anchor", "hide"):
            raise UserError("a recording is being replayed: wait for its end, or begin a new scene")
        steps = self._recorded(session)
        moment = self._moved_on(session, request)
        self.replayed = steps[::-1] if request.do == "replay" else self.replayed if request.do == "look" else []
        return moment

    def _moved_on(self, session: Session, request: Request) -> Any:
        if request.do == "world":
            if request.world not in self.ground.worlds:
                raise UserError(f"there is no world {request.world!r}; there are {', '.join(self.ground.worlds)}")
            self.session = self.ground.new_session(request.world)
            return self.session.now
        if request.do == "new":
            return session.new((session.number + 1) % 100_000 if request.number is None else request.number)
        if request.do == "replay":
            return session.new(session.number)
        if request.do == "look":
            return session.now
        return {"back": session.back, "anchor": session.anchor, "hide": session.hide}[request.do]()

    def _recorded(self, session: Session) -> list[PlayedStep]:
        """What was played, with what a replay has still to play."""
        return [*session.steps, *reversed(self.replayed)]

    async def _save(self, request: Request, truth: Truth, number: int, steps: list[PlayedStep]) -> None:
        ground = self.ground
        try:
            await self.websocket.send_text(json.dumps({"saving": True}))
            again = Session(ground.cast, truth, number, over=ground.players.map)
            files = await asyncio.to_thread(export_played, again, steps, ground.out)
            names = [file.name for file in files]
            done = {"id": request.id, "saved": names, "folder": str(ground.out), "whole": len(steps) <= EXPORTED}
        except UserError as error:
            done = {"id": request.id, "error": str(error)}
        await self.websocket.send_text(json.dumps(done))


def serve(app_at: Callable[[int], Any], host: str, port: int, what: str) -> None:
    """Answer on this machine alone until Ctrl-C. Raises UserError: another host, or the port is taken."""
    import uvicorn

    check_loopback(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "ports are numbers up to 65535"
            raise UserError(f"--port {port}: cannot be used ({reason}); --port 0 takes a free one") from None
        bound = listening.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        print(f"{what}: http://{name}:{bound}/ (Ctrl-C ends it)", flush=True)
        config = uvicorn.Config(
            app_at(bound), log_level="warning", access_log=False, server_header=False, lifespan="off",
            ws_max_size=4 * MOST_BYTES, ws_per_message_deflate=False, limit_concurrency=64, timeout_keep_alive=5,
            timeout_graceful_shutdown=2,
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listening])
