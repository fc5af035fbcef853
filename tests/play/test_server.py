"""The server: pages of this machine alone, strict messages, a bound on sessions, a thousand bad requests."""

import asyncio
import json
import pickle
import random
import resource
import struct

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from tiny_play import tiny_run

from vidworld.core.errors import UserError
from vidworld.play import server
from vidworld.play.cast import cast_of
from vidworld.play.command import truth_for
from vidworld.play.guard import check_loopback
from vidworld.play.messages import MOST_BYTES, Malformed, request_of
from vidworld.play.server import Playground, play_app, serve
from vidworld.play.session import Session
from vidworld.play.viewer import view_app

HOST = "127.0.0.1:8765"
OWN = {"host": HOST, "origin": f"http://{HOST}"}


@pytest.fixture(scope="module")
def cast(tmp_path_factory):
    return cast_of(tiny_run(tmp_path_factory.mktemp("run")), ["regression"])


@pytest.fixture
def ground(cast, tmp_path):
    return Playground(cast, ["puck", "hidden_goal"], lambda name: truth_for(cast, name), tmp_path / "out")


@pytest.fixture
def client(ground):
    with TestClient(play_app(ground, 8765), base_url=f"http://{HOST}") as client:
        yield client


def opened(client):
    return client.websocket_connect("/play", headers=OWN)


def head_of(data):
    (length,) = struct.unpack_from("<I", data)
    head = json.loads(data[4 : 4 + length])
    return head, data[4 + length :]


def asked(tab, **request):
    tab.send_text(json.dumps(request))
    return head_of(tab.receive_bytes())


def test_a_page_is_one_file_that_asks_nothing_of_others(client):
    page = client.get("/")
    assert page.status_code == 200 and "vidworld play" in page.text
    assert "http://" not in page.text.replace("http://www.w3.org", "") and "https://" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


def test_a_tab_plays(client):
    with opened(client) as tab:
        hello = json.loads(tab.receive_text())["hello"]
        assert hello["worlds"] == ["puck", "hidden_goal"] and hello["panels"] == ["truth", "regression", "copy_last"]
        head, pixels = asked(tab, do="step", id=1, action=[1.0, 0.0])
        assert (head["id"], head["chunk"], head["recorded"]) == (1, 1, 1)
        assert len(pixels) == 3 * 4 * 32 * 32 * 3
        assert asked(tab, do="step", id=2, towards=[5.0, 5.0])[0]["chunk"] == 2
        assert asked(tab, do="anchor", id=3)[0]["chunk"] == 2
        assert asked(tab, do="back", id=4)[0]["chunk"] == 1
        assert asked(tab, do="new", id=5)[0]["number"] == 1
        assert asked(tab, do="world", id=6, world="hidden_goal")[0]["can"]["hide"]
        assert asked(tab, do="hide", id=7)[0]["chunk"] == 1


def test_what_was_recorded_replays_to_the_pixel_and_is_saved(client, ground):
    with opened(client) as tab:
        tab.receive_text()
        played = [asked(tab, do="step", action=[x, 1.0])[1] for x in (1.0, -0.5)]
        assert asked(tab, do="replay")[0]["chunk"] == 0
        again = [asked(tab, do="step", action=[0.0, 0.0]) for _ in range(2)]
        assert [pixels for _, pixels in again] == played and [head["replaying"] for head, _ in again] == [1, 0]
        tab.send_text(json.dumps({"do": "save", "id": 9}))
        assert json.loads(tab.receive_text()) == {"saving": True}
        saved = json.loads(tab.receive_text())["saved"]
    assert [client.get(f"/recordings/{name}").status_code for name in saved] == [200] * 3
    assert client.get("/recordings/puck-0-7.json").status_code == 404
    (ground.out / "secret.txt").write_text("x")
    assert client.get("/recordings/secret.txt").status_code == 404


def test_a_fault_of_the_hand_is_a_line_and_play_goes_on(client):
    with opened(client) as tab:
        tab.receive_text()
        tab.send_text('{"do": "world", "id": 3, "world": "moon"}')
        said = json.loads(tab.receive_text())
        assert said == {"id": 3, "error": "there is no world 'moon'; there are puck, hidden_goal"}
        tab.send_text('{"do": "hide"}')
        assert "puck: has no screen" in tab.receive_text()
        assert asked(tab, do="step")[0]["chunk"] == 1


def test_a_session_that_fails_ends_with_a_code_and_frees_its_place(client, ground, monkeypatch):
    def fails(session, action=()):
        raise RuntimeError("a fault of ours")

    with opened(client) as tab:
        tab.receive_text()
        monkeypatch.setattr(Session, "act", fails)
        tab.send_text(json.dumps({"do": "step", "id": 1, "action": [0.0, 0.0]}))
        with pytest.raises(WebSocketDisconnect) as ended:
            tab.receive_text()
    assert ended.value.code == 1011
    assert ground.playing == 0


def test_what_would_end_a_replay_is_refused_and_loses_nothing(client):
    with opened(client) as tab:
        tab.receive_text()
        for number in range(3):
            tab.send_text(json.dumps({"do": "step", "id": number, "action": [1.0, 0.0]}))
            tab.receive_bytes()
        tab.send_text(json.dumps({"do": "replay", "id": 3}))
        tab.receive_bytes()
        tab.send_text(json.dumps({"do": "back", "id": 4}))
        assert "being replayed" in json.loads(tab.receive_text())["error"]
        for left in (2, 1, 0):
            tab.send_text(json.dumps({"do": "step", "id": 5, "action": [0.0, 0.0]}))
            assert head_of(tab.receive_bytes())[0]["replaying"] == left


def test_two_tabs_are_two_sessions_and_there_is_a_bound(client, monkeypatch, ground):
    monkeypatch.setattr(server, "MOST_SESSIONS", 2)
    with opened(client) as one, opened(client) as other:
        one.receive_text(), other.receive_text()
        assert [asked(tab, do="step")[0]["chunk"] for tab in (one, one, other)] == [1, 2, 1]
        with opened(client) as third, pytest.raises(WebSocketDisconnect) as refused:
            third.receive_text()
        assert refused.value.code == 1013
    assert ground.playing == 0
    with opened(client) as tab:
        assert "hello" in tab.receive_text()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\x00\x01", 1003),
        ("x" * (MOST_BYTES + 1), 1009),
        ("", 1007),
        ("[]", 1007),
        ('{"do": "fly"}', 1007),
        ('{"do": "step", "action": [2, 0]}', 1007),
        ('{"do": "step", "action": [NaN, 0]}', 1007),
        ('{"do": "step", "towards": [1]}', 1007),
        ('{"do": "step", "shell": "x"}', 1007),
    ],
)
def test_a_message_that_is_none_ends_the_session_with_a_code(client, message, code):
    with opened(client) as tab:
        tab.receive_text()
        tab.send_bytes(message) if isinstance(message, bytes) else tab.send_text(message)
        with pytest.raises(WebSocketDisconnect) as closed:
            tab.receive_text()
    assert closed.value.code == code and closed.value.reason


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1:1"}, 421),
        ({"host": HOST, "origin": "http://evil.example"}, 403),
        ({"host": HOST, "origin": "null"}, 403),
        ({"host": HOST, "content-length": "9"}, 413),
        ({"host": HOST, "transfer-encoding": "chunked"}, 413),
        ({"host": "localhost:8765"}, 200),
        ({"host": "[::1]:8765", "origin": "http://[::1]:8765"}, 200),
    ],
)
def test_who_may_ask(client, headers, status):
    assert client.get("/", headers=headers).status_code == status


def test_a_page_of_another_origin_opens_no_session(client):
    for headers in ({"host": HOST}, OWN | {"origin": "http://evil.example"}, {"host": "evil", "origin": "http://evil"}):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/play", headers=headers):
            pass


async def raw(app, method, path, query, headers):
    """The status and body that an app gives to what no client would send."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query}
    scope |= {
        "headers": headers,
        "root_path": "",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8765),
    }
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def test_a_thousand_bad_requests_are_refused_and_play_goes_on(client, ground, monkeypatch):
    def never(*_):
        raise AssertionError("a bad request began a session")

    monkeypatch.setattr(Playground, "new_session", never)
    draw, statuses = random.Random(0), set()
    letters = "abc/.%2e\\..//;?&=<>'\"{}~:@é\x7f\x00\n 0"
    methods = ("GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW")
    own = f"http://{HOST}".encode()

    async def all_of_them():
        for _ in range(800):
            path = draw.choice(("/x", "/recordings/", "/play", "/../", "/clip", "//"))
            path += "".join(draw.choices(letters, k=draw.choice((0, 1, 8, 40, 900))))
            query = bytes(draw.choices(range(256), k=draw.choice((0, 5, 600))))
            headers = [(b"host", draw.choice((HOST, HOST, HOST, "evil.example", "127.0.0.1", HOST + "0")).encode())]
            headers += draw.choice(([], [(b"origin", b"http://evil.example")], [(b"origin", own)], headers))
            headers += draw.choice(
                ([], [], [(b"content-length", b"7")], [(b"x", bytes(draw.choices(range(256), k=9)))])
            )
            method = draw.choice(methods)
            status, body = await raw(client.app, method, path, query, headers)
            statuses.add(status)
            assert status in (307, 403, 404, 405, 413, 414, 421) and len(body) < 200, (method, path, status)

    asyncio.run(all_of_them())
    assert {403, 404, 405, 413, 414, 421} <= statuses
    good = '{"do": "step", "id": 1, "action": [0.5, -0.5]}'
    for _ in range(200):
        text = list(good)
        for _ in range(draw.randint(1, 4)):
            text[draw.randrange(len(text))] = chr(draw.choice((0, 34, 44, 57, 91, 123, 125, 233, 0xD800, 0x1F600)))
        try:
            request = request_of("".join(text))
        except Malformed as error:
            assert str(error)
            continue
        assert all(-1 <= each <= 1 for each in request.action)
    monkeypatch.undo()
    with opened(client) as tab:
        assert "hello" in tab.receive_text()


def test_only_loopback_is_listened_on(cast):
    for host in ("0.0.0.0", "::", "192.168.0.1", "example.org"):
        with pytest.raises(UserError, match="only this machine may connect"):
            serve(lambda port: None, host, 0, "play")
    for host in ("127.0.0.1", "::1"):
        check_loopback(host)
    with pytest.raises(UserError, match=r"--port 99999999: cannot be used \(ports are numbers up to 65535\)"):
        serve(lambda port: None, "127.0.0.1", 99999999, "play")


def kept_bytes(session):
    """Of all that a session keeps of what was played."""
    kept = [session.steps, [m.panels for m in session.moments], [m.recent.frames.clone() for m in session.moments]]
    lives = [live for stretch in session._stretches for live in stretch.live.values()]
    return len(pickle.dumps([kept, [[each._taken, each._caches] for each in lives]]))


@pytest.mark.thorough
def test_what_a_session_keeps_is_bounded(cast, monkeypatch):
    monkeypatch.setattr("vidworld.play.session.LONGEST", 20)
    monkeypatch.setattr("vidworld.play.session.BACK", 4)
    monkeypatch.setattr("vidworld.models.live.HISTORY", 8)
    session = Session(cast, truth_for(cast, "puck"))
    sizes = []
    for number in range(40):
        session.act((0.5, 0.1))
        if number % 12 == 4:
            session.anchor()
        sizes.append(kept_bytes(session))
    assert max(sizes[24:]) <= max(sizes[:24]) * 1.01
    assert (len(session.moments), len(session.steps), session.now.chunk) == (4, 20, 40)
    assert len(session._stretches) == 1


@pytest.mark.slow
def test_memory_does_not_grow_in_three_thousand_chunks(ground):
    """Twenty minutes of play."""
    session, sizes = ground.new_session("puck"), []
    for number in range(3000):
        session.act((1.0 - number % 3, 1.0 - number % 2))
        if number % 100 == 0:
            session.anchor()
        if number % 500 == 499:
            sizes.append((kept_bytes(session), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
    assert sizes[-1][0] < 1.05 * sizes[1][0]
    assert sizes[-1][1] < 1.05 * sizes[1][1] + 20_000  # KiB


def test_the_viewer_answers_clips_and_says_what_is_none(cast):
    with TestClient(view_app(cast, 8765), base_url=f"http://{HOST}") as client:
        assert '"puck":["train","val","id"]' in client.get("/").text
        view = client.get("/clip", params={"choice": "clip/puck/id/3"}).json()
        assert [panel["name"] for panel in view["panels"]] == ["truth", "regression", "copy_last"]
        for query in (
            "choice=clip/moon/id/0",
            "choice=../../etc/passwd",
            "",
            "choice=clip/puck/id/1&x=1",
            "choice=%00",
        ):
            bad = client.get("/clip?" + query)
            assert bad.status_code == 400 and bad.json()["error"]
