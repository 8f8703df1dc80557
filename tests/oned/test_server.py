"""The door: HTTP as oned's library serves it, faults on order, the log of calls."""

import http.client
import json
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from xml.parsers.expat import ExpatError
from xmlrpc.client import Fault, ResponseError

import pytest
from tests.oned.conftest import BadStatus, User
from tests.support.oned import Oned, Prepared
from tests.support.oned.errors import INTERNAL, Refused
from tests.support.oned.faults import (
    ELECTION,
    Body,
    Drop,
    Hang,
    Says,
    Slow,
    Status,
    Trouble,
    Truncated,
)

ROOT = Path(__file__).parents[2]


def connection(oned: Oned) -> http.client.HTTPConnection:
    host = oned.url.removeprefix("http://").removesuffix("/RPC2")
    return http.client.HTTPConnection(host, timeout=10)


def call_body(session: str) -> bytes:
    value = f"<value><string>{session}</string></value>"
    text = f"<methodCall><methodName>one.system.version</methodName><params><param>{value}"
    return f"<?xml version='1.0'?>{text}</param></params></methodCall>".encode()


@pytest.mark.parametrize("keep_alive", [False, True])
def test_connections_are_closed_unless_told_otherwise(prepared: Prepared, keep_alive: bool) -> None:
    with Oned(prepared.world, keep_alive=keep_alive) as oned:
        kept = connection(oned)
        for _ in range(3):
            kept.request("POST", "/RPC2", call_body(User(oned, "helen").session))
            socket_before = kept.sock
            with kept.getresponse() as answer:
                assert answer.getheader("Connection") == (None if keep_alive else "close")
                assert b"7.0.2" in answer.read()
            assert (kept.sock is socket_before) == keep_alive
        kept.close()


def test_no_more_are_served_at_once_than_oned_does(prepared: Prepared) -> None:
    with Oned(prepared.world, max_connections=2) as oned:
        helen = User(oned, "helen")
        oned.faults.fail("one.user.info", 2, with_=Hang(at_most_s=30))
        waiting = [threading.Thread(target=_ask_in_vain, args=(helen,)) for _ in range(2)]
        for thread in waiting:
            thread.start()
        while len(oned.faults.hanging) < 2:
            time.sleep(0.01)
        answered = threading.Event()

        def ask() -> None:
            helen.call("one.system.version")
            answered.set()

        last = threading.Thread(target=ask)
        last.start()
        assert not answered.wait(0.2)
        oned.faults.release()
        for thread in (*waiting, last):
            thread.join(10)
        assert answered.is_set()


def _ask_in_vain(helen: User) -> None:
    with pytest.raises((OSError, http.client.HTTPException)):
        helen.ask("one.user.info", -1)


@pytest.mark.parametrize(
    ("verb", "path", "body", "status"),
    [
        ("GET", "/RPC2", None, 405),
        ("GET", "/", None, 404),
        ("POST", "/x", b"x", 404),
        ("POST", "/RPC2", b"", 400),
    ],
)
def test_only_posts_to_one_path_are_calls(
    oned: Oned, verb: str, path: str, body: bytes | None, status: int
) -> None:
    kept = connection(oned)
    kept.request(verb, path, body)
    with kept.getresponse() as answer:
        assert answer.status == status
        answer.read()
    kept.close()


def test_what_the_model_lacks_is_told_apart_from_what_oned_lacks(helen: User) -> None:
    with pytest.raises(BadStatus, match="501"):
        helen.ask("one.vm.migrate", 0, 0, False, False, 0, 0)
    with pytest.raises(Fault, match="not defined"):
        helen.ask("one.nosuch.method")


def test_a_restarted_oned_is_on_its_port_with_all_it_had(
    prepared: Prepared, oned: Oned, helen: User
) -> None:
    image = prepared.world.add_image("ami", prepared.helen)
    url = oned.url
    oned.stop()
    with pytest.raises(ConnectionRefusedError):
        helen.ask("one.system.version")
    oned.start()
    assert oned.url == url
    assert helen.read("one.image.info", image.id).findtext("NAME") == "ami"


def test_calls_are_logged_with_who_acted(oned: Oned, helen: User) -> None:
    helen.call("one.user.info", -1)
    helen.ask("one.vm.info", 99)
    assert oned.calls.counts() == {"one.user.info": 1, "one.vm.info": 1}
    (asked,) = oned.calls.of("one.vm.info")
    assert (asked.user, asked.args) == ("helen", (99,))


UNDONE: list[Trouble] = [
    Drop(),
    Hang(at_most_s=0.05),
    Status(500),
    Status(503),
    Body(b"<html>a proxy</html>"),
    Truncated(keep=150),
]


@pytest.mark.parametrize("trouble", UNDONE, ids=lambda trouble: type(trouble).__name__)
def test_trouble_after_the_effect_hides_that_it_happened(
    prepared: Prepared, oned: Oned, helen: User, trouble: Trouble
) -> None:
    oned.faults.fail("one.template.instantiate", with_=trouble, before=False)
    with pytest.raises((OSError, http.client.HTTPException, BadStatus, ResponseError, ExpatError)):
        helen.ask("one.template.instantiate", 0, "i-1", False, "", False)
    assert [machine.name for machine in prepared.world.vms()] == ["i-1"]
    assert helen.call("one.template.instantiate", 0, "i-2", False, "", False) == 1


def test_trouble_before_the_effect_leaves_nothing(
    prepared: Prepared, oned: Oned, helen: User
) -> None:
    oned.faults.fail("*", 2, with_=Status(500))
    for _ in range(2):
        with pytest.raises(BadStatus, match="500"):
            helen.ask("one.template.instantiate", 0, "i-1", False, "", False)
    assert prepared.world.vms() == []
    helen.call("one.template.instantiate", 0, "i-1", False, "", False)


def test_oned_says_what_is_ordered(oned: Oned, helen: User) -> None:
    oned.faults.fail("one.vm.info", with_=ELECTION)
    oned.faults.fail("one.vm.info", with_=Says(Refused(INTERNAL, "odd")))
    assert "election" in str(helen.ask("one.vm.info", 0)[1])
    assert helen.ask("one.vm.info", 0)[1] == "[one.vm.info] odd"


def test_a_slow_answer_comes_late(oned: Oned, helen: User) -> None:
    oned.faults.fail("one.system.version", with_=Slow(0.2))
    began = time.monotonic()
    helen.call("one.system.version")
    assert time.monotonic() - began >= 0.2


def test_what_hangs_is_let_go(oned: Oned, helen: User) -> None:
    oned.faults.fail("one.system.version", with_=Hang(at_most_s=30))
    failed = threading.Event()

    def ask() -> None:
        with pytest.raises((OSError, http.client.HTTPException)):
            helen.ask("one.system.version")
        failed.set()

    thread = threading.Thread(target=ask)
    thread.start()
    assert not failed.wait(0.1)
    oned.faults.release()
    thread.join(10)
    assert failed.is_set()


def test_boundaries_are_told_and_may_cut_the_power(
    prepared: Prepared, oned: Oned, helen: User
) -> None:
    seen: list[tuple[str, str]] = []

    def boundary(method: str, when: str) -> None:
        seen.append((method, when))
        if when == "after":
            raise RuntimeError("power cut")

    oned.faults.boundaries.append(boundary)
    with pytest.raises((OSError, http.client.HTTPException)):
        helen.ask("one.template.instantiate", 0, "i-1", False, "", False)
    assert seen == [
        ("one.template.instantiate", "before"),
        ("one.template.instantiate", "after"),
    ]
    assert len(prepared.world.vms()) == 1


def test_fixed_bytes_are_served_to_anyone(oned: Oned) -> None:
    oned.serve_bytes("one.system.version", b"<fixed/>")
    kept = connection(oned)
    kept.request("POST", "/RPC2", call_body("nobody"))
    with kept.getresponse() as answer:
        assert answer.read() == b"<fixed/>"
    kept.close()


@pytest.fixture
def process() -> Callable[..., subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.support.oned", "--stage-s", "0.01"]

    def start(*more: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen([*command, *more], cwd=ROOT, stdin=pipe, stdout=pipe, text=True)

    return start


@pytest.mark.parametrize("how", ["signal", "eof"])
def test_it_runs_as_a_process(
    process: Callable[..., subprocess.Popen[str]], tmp_path: Path, how: str
) -> None:
    more = ["--until-eof"] if how == "eof" else []
    with process("--upload-dir", str(tmp_path), *more) as running:
        assert running.stdout is not None
        assert select.select([running.stdout], [], [], 30)[0]
        ready = json.loads(running.stdout.readline())
        assert ready["serveradmin"].startswith("serveradmin:")
        host = ready["url"].removeprefix("http://").removesuffix("/RPC2")
        kept = http.client.HTTPConnection(host, timeout=10)
        kept.request("POST", "/RPC2", call_body(f"helen:{ready['users']['helen']}"))
        with kept.getresponse() as answer:
            assert b"7.0.2" in answer.read()
        kept.close()
        if how == "signal":
            running.send_signal(signal.SIGTERM)
        else:
            assert running.stdin is not None
            running.stdin.close()
        assert running.wait(10) == 0
