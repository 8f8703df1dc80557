"""Calls of oned: what is sent, what answers mean, and what may have been done when none came."""

import contextlib
import logging
import time
import xmlrpc.client

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engines.opennebula.loopback import Loopback, Peer, until_closed
from tests.support.oned_recordings import exchanges

from econe.domain.engine_ports import EngineBusy, EngineLost, EngineRefused
from econe.domain.hidden import Hidden
from econe.engines.opennebula.errors import Failure, OnedBusy, OnedError, OnedLost, OnedRefused
from econe.engines.opennebula.login import Scheme, find_delegation
from econe.engines.opennebula.rpc import Oned, OnedChoked, OnedFault, read_answer, write_call

SESSION = Hidden("serveradmin:helen:c2Vzc2lvbg==")
READ, WRITE = "one.vm.info", "one.vm.allocate"


def answer(*values) -> bytes:
    return xmlrpc.client.dumps((values,), methodresponse=True).encode()


def failure(code, text) -> bytes:
    return answer(False, text, code, -1, -1)


def ask(script, method=READ, *args, within_s=5.0, **settings):
    with Loopback(script) as server:
        oned = Oned(server.url, timeout_s=within_s, **settings)
        try:
            return oned.call(SESSION, method, *args)
        finally:
            oned.close()


def saying(body: bytes, status: str = "200 OK"):
    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.answer(body, status=status)

    return script


def hanging_up(peer: Peer) -> None:
    peer.read_request()


def silent(peer: Peer) -> None:
    peer.read_request()
    peer.socket.recv(1)


# --- what is sent ------------------------------------------------------------------------

TEXT = st.text(
    st.characters(
        max_codepoint=0xFFFF, exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"
    )
    | st.sampled_from("\t\n\r<>&\"']")
)


@given(TEXT, st.integers(-(2**63), 2**63 - 1), st.booleans(), TEXT)
def test_the_official_reader_reads_what_is_sent(session, number, flag, text):
    body = write_call(Hidden(session), "one.vm.update", (number, flag, text))
    assert xmlrpc.client.loads(body) == ((session, number, flag, text), "one.vm.update")


def test_numbers_are_as_wide_as_they_must_be():
    assert b"<i4>-1</i4>" in write_call(SESSION, READ, (-1,))
    assert b"<i8>4294967296</i8>" in write_call(SESSION, READ, (2**32,))
    with pytest.raises(ValueError, match="cannot say"):
        write_call(SESSION, READ, (2**63,))


@pytest.mark.parametrize("text", ["a\x00b", "a\x1bb", "a\ud800b", "a\uffffb", "\x0b", "a😀b"])
def test_text_that_xml_cannot_say_is_refused(text):
    with pytest.raises(EngineRefused) as refused:
        write_call(SESSION, WRITE, (text,))
    assert refused.value.code == "InvalidParameterValue"


@pytest.mark.parametrize("method", ["", "vm.info", "one.vm.info</methodName>", "one.vm info"])
def test_what_is_no_method_is_our_mistake(method):
    with pytest.raises(ValueError, match="no method"):
        write_call(SESSION, method, ())


def test_recorded_requests_are_ours_in_other_words():
    compared = 0
    for exchange in exchanges():
        try:
            args, method = xmlrpc.client.loads(exchange["request"])
        except Exception:
            continue
        session, *rest = args
        if any(isinstance(argument, list | float) for argument in rest):
            continue  # made to be wrong, too
        ours = write_call(Hidden(session), method, tuple(rest))
        assert xmlrpc.client.loads(ours) == (args, method)
        compared += 1
    assert compared > 370


# --- what is answered --------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "7.0.2", "<VM>\n&amp;</VM>", 0, -1, True, False])
def test_values(value):
    outcome = read_answer(answer(True, value, 0))
    assert (outcome, type(outcome)) == (value, type(value))


def test_a_text_without_a_type_is_a_text():
    body = answer(True, "x", 0).replace(b"<string>", b"").replace(b"</string>", b"")
    assert read_answer(body) == "x"


def test_i8_is_a_number():
    """<i8> is not in XML-RPC's own list; oned uses it (facts/opennebula.md 2)."""
    body = failure(0x0400, "x").replace(b"<int>-1</int>", b"<i8>1099511627776</i8>")
    assert read_answer(body) == Failure(0x0400, "x", 2**40)


def test_every_recorded_answer_is_read():
    seen = 0
    for exchange in exchanges():
        outcome = read_answer(exchange["response"].encode())
        said = exchange["outcome"]
        if said.startswith("OK"):
            value = xmlrpc.client.loads(exchange["response"])[0][0][1]
            assert outcome == value
        elif said.startswith("ERR"):
            assert isinstance(outcome, Failure)
            assert said.startswith(f"ERR 0x{outcome.code:04x} {outcome.text}"[:60])
        else:
            assert said.startswith(f"FAULT {outcome.code} ")
        seen += 1
    assert seen > 370


RUBBISH = [
    b"",
    b"<html><body>It works!</body></html>",
    b"\x00\x01\x02",
    b"<methodResponse/>",
    answer(True, "x", 0)[:-20],
    answer(),
    answer(True),
    answer("yes", "x", 0),
    answer(False, "x"),
    answer(False, "x", "y"),
    answer(True, ["x"], 0),
    answer(True, {"a": "b"}, 0),
    answer(True, 1.5, 0),
    answer(True, 7, 0).replace(b"<int>7</int>", b"<int>seven</int>"),
    answer(True, 7, 0).replace(b"<int>7</int>", b"<int>7</int><int>8</int>"),
    answer(True, True, 0).replace(b"<boolean>1</boolean>", b"<boolean>2</boolean>"),
    b'<!DOCTYPE x [<!ENTITY a "aaa">]>' + answer(True, "x", 0),
    b'<?xml version="1.0"?><!-- --><methodResponse/>',
    answer(True, "x", 0).replace(b"x", b"&a;"),
    answer(True, "x", 0).replace(b"x", b"\xff\xfe"),
]


@pytest.mark.parametrize("body", RUBBISH)
def test_rubbish_delays_a_read_and_loses_a_write(body):
    with pytest.raises(EngineBusy, match="rubbish"):
        ask(saying(body))
    with pytest.raises(EngineLost, match="rubbish"):
        ask(saying(body), WRITE)


@given(st.binary(max_size=200) | st.sampled_from(RUBBISH), st.binary(max_size=3))
def test_no_rubbish_is_more_than_a_value_error(body, tail):
    with contextlib.suppress(ValueError):
        read_answer(body + tail)


@given(st.data())
def test_no_damaged_answer_is_more_than_a_value_error(data):
    body = bytearray(failure(0x0200, "limit of 4 reached for VMS quota in VM."))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=4))
    with contextlib.suppress(ValueError):
        read_answer(bytes(body))


def test_entities_do_not_swell():
    lol = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "' + b"a" * 1000 + b'">]><methodResponse>'
    with pytest.raises(ValueError, match="not XML"):
        read_answer(lol + b"&a;" * 1000 + b"</methodResponse>")


# --- what may have been done -------------------------------------------------------------


def test_text_and_number_insist_on_their_kind():
    with Loopback(lambda peer: until_closed(peer, answer(True, 7, 0))) as server:
        oned = Oned(server.url, timeout_s=5)
        assert oned.number(SESSION, WRITE, "x") == 7
        with pytest.raises(EngineBusy, match="no text"):
            oned.text(SESSION, READ, 7)
        oned.close()
    with Loopback(lambda peer: until_closed(peer, answer(True, True, 0))) as server:
        oned = Oned(server.url, timeout_s=5)
        with pytest.raises(EngineLost, match="no number"):
            oned.number(SESSION, WRITE, "x")
        oned.close()


def test_nobody_there_means_that_nothing_was_done():
    oned = Oned("http://127.0.0.1:1/RPC2", timeout_s=5)
    for method in (READ, WRITE):
        with pytest.raises(EngineBusy, match="not reached: Connection refused"):
            oned.call(SESSION, method)


@pytest.mark.parametrize("script", [hanging_up, lambda peer: (peer.read_request(), peer.reset())])
def test_a_connection_that_breaks_loses_a_write(script):
    with pytest.raises(EngineLost):
        ask(script, WRITE)
    with pytest.raises(EngineBusy):
        ask(script, READ)


def test_a_silent_oned_loses_a_write_in_time():
    for method, kind in ((READ, EngineBusy), (WRITE, EngineLost)):
        began = time.monotonic()
        with pytest.raises(kind, match="timed out"):
            ask(silent, method, within_s=0.3)
        assert time.monotonic() - began < 1.5


def test_a_call_may_have_a_time_of_its_own():
    with Loopback(silent) as server:
        oned = Oned(server.url, timeout_s=60)
        began = time.monotonic()
        with pytest.raises(EngineBusy, match="timed out"):
            oned.call(SESSION, READ, 1, timeout_s=0.3)
        assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("method", ["one.vm.info", "one.vmpool.infoextended", "one.vmpool.infoset"])
def test_a_stale_connection_is_no_failure_of_a_read(method):
    def once(peer: Peer) -> None:
        peer.read_request()
        peer.answer(answer(True, "x", 0))
        peer.read_request()

    with Loopback(once) as server:
        oned = Oned(server.url, timeout_s=5)
        assert oned.call(SESSION, method) == "x"
        assert oned.call(SESSION, method) == "x"
        assert (server.connections, len(server.requests)) == (2, 3)
        oned.close()


def test_a_stale_connection_is_retried_once():
    def stale(peer: Peer) -> None:
        if peer.read_request():
            peer.answer(answer(True, "x", 0))
            peer.read_request()

    with Loopback(stale, hanging_up) as server:
        oned = Oned(server.url, timeout_s=5)
        oned.call(SESSION, READ)
        with pytest.raises(EngineBusy):
            oned.call(SESSION, READ)
        assert len(server.requests) == 3
        oned.close()


def test_a_write_is_never_sent_twice():
    def once(peer: Peer) -> None:
        peer.read_request()
        peer.answer(answer(True, 7, 0))
        peer.read_request()

    with Loopback(once) as server:
        oned = Oned(server.url, timeout_s=5)
        oned.call(SESSION, WRITE, "NAME=x")
        with pytest.raises(EngineLost):
            oned.call(SESSION, WRITE, "NAME=x")
        assert len(server.requests) == 2
        oned.close()


@pytest.mark.parametrize(
    ("status", "on_write"),
    [
        ("500 Oh", EngineLost),
        ("502 Bad Gateway", EngineLost),
        ("504 Timeout", EngineLost),
        ("302 Found", EngineLost),
        ("404 Not Found", EngineBusy),
        ("405 Not Allowed", EngineBusy),
        ("413 Too Large", EngineBusy),
    ],
)
def test_http_failures(status, on_write):
    with pytest.raises(on_write, match=status[:3]):
        ask(saying(b"<html/>", status), WRITE)
    with pytest.raises(EngineBusy, match=status[:3]):
        ask(saying(b"<html/>", status), READ)


def test_an_answer_that_is_too_large_is_not_taken():
    with pytest.raises(EngineBusy, match="too large"):
        ask(saying(answer(True, "x" * 5000, 0)), most_bytes=4000)
    assert ask(saying(answer(True, "x" * 5000, 0)), most_bytes=6000) == "x" * 5000


@pytest.mark.parametrize(
    "text",
    [
        "Cannot process request, oned cluster in election mode",
        "Cannot process request, no leader found",
        "Cannot process request, oned cluster is replicating log",
        "Cannot process request, zone disabled",
    ],
)
def test_oned_out_of_order_is_busy(text):
    """Request.cc, read."""
    for method in (READ, WRITE):
        with pytest.raises(OnedBusy):
            ask(saying(failure(0x2000, f"[{method}] {text}")), method)


def test_a_follower_that_gave_up_on_its_leader_loses_a_write():
    """A follower passes a call on and waits 10 s (Request::xmlrpc_timeout); read."""
    body = failure(0x2000, "[one.vm.allocate] RPC call timed out and aborted")
    with pytest.raises(OnedLost):
        ask(saying(body), WRITE)
    with pytest.raises(OnedBusy):
        ask(saying(body), READ)


def fault(code, text):
    return xmlrpc.client.dumps(xmlrpc.client.Fault(code, text), methodresponse=True).encode()


@pytest.mark.parametrize("code", [-501, -503, -506])
def test_what_oned_does_not_know_is_refused(code):
    """Recordings 25, 26, 327."""
    with pytest.raises(OnedFault) as refused:
        ask(saying(fault(code, "Method 'one.nosuch.method' not defined")), WRITE)
    assert refused.value.fault_code == code
    assert "nosuch" not in refused.value.said


def test_a_fault_from_inside_loses_a_write():
    for method, kind in ((READ, EngineBusy), (WRITE, EngineLost)):
        with pytest.raises(kind, match="fault -500"):
            ask(saying(fault(-500, "internal")), method)


# What 7.0.2 answers to one.userpool.info when a user has an emoji in her template.
CHOKED = (
    "Unexpected error executing code for particular method, detected by Xmlrpc-c method registry "
    "code.  Method did not fail; rather, it did not complete at all.  1012-byte supposed UTF-8 "
    "string is not valid UTF-8.  UTF-8 string contains a character not in the Basic Multilingual "
    "Plane (first byte 0xfffffff0)"
)


def test_an_answer_that_oned_cannot_write_is_busy_and_tells_why():
    with pytest.raises(OnedChoked, match="such as an emoji"):
        ask(saying(fault(-500, CHOKED)), "one.userpool.info")
    with pytest.raises(EngineLost):  # the machine may have been made
        ask(saying(fault(-500, CHOKED)), WRITE)


def test_a_refusal_carries_what_oned_said():
    text = "[one.vm.info] Error getting virtual machine [7]."
    with pytest.raises(OnedRefused) as refused:
        ask(saying(answer(False, text, 0x0400, 7, -1)))
    assert refused.value.failure.text == text
    assert refused.value.failure.object_id == 7
    assert refused.value.method == READ
    assert isinstance(refused.value, OnedError)
    assert text in refused.value.hidden


def test_nothing_shows_the_session(caplog):
    caplog.set_level(logging.DEBUG)
    scripts = [
        saying(b"rubbish"),
        saying(b"", "500 x"),
        saying(b"", "404 x"),
        saying(failure(0x0100, "[x] User couldn't be authenticated, aborting call.")),
        saying(fault(-506, "no")),
        hanging_up,
        silent,
    ]
    for script in scripts:
        with pytest.raises((EngineBusy, EngineLost, EngineRefused)) as caught:
            ask(script, WRITE, "x", within_s=0.3)
        texts = [str(caught.value), repr(caught.value), caplog.text]
        cause = caught.value.__context__
        while cause is not None:
            texts += [str(cause), repr(cause)]
            cause = cause.__context__
        assert not any("c2Vzc2lvbg" in text for text in texts)


# --- the login ---------------------------------------------------------------------------


def oned_of(version: str, scheme: Scheme):
    """Takes tokens of one scheme only."""
    from econe.engines.opennebula.login import Delegation

    good = Delegation("serveradmin", Hidden("x"), scheme).session_for("serveradmin", 0).reveal()

    def script(peer: Peer) -> None:
        while request := peer.read_request():
            (session,), _ = xmlrpc.client.loads(request)
            if session == good:
                peer.answer(answer(True, version, 0))
            else:
                peer.answer(failure(0x0100, "User couldn't be authenticated, aborting call."))

    return script


@pytest.mark.parametrize(
    ("version", "scheme"),
    [
        ("7.0.2", Scheme.SHA256_KEY_IV),
        ("5.12.0", Scheme.SHA256_ZERO_IV),
        ("5.4.0", Scheme.SHA1_ZERO_IV),
    ],
)
def test_the_login_that_this_oned_wants_is_found(version, scheme):
    with Loopback(oned_of(version, scheme)) as server:
        oned = Oned(server.url, timeout_s=5)
        delegation, found = find_delegation(oned, "serveradmin", Hidden("x"), 0)
        assert (delegation.scheme, found) == (scheme, version)
        oned.close()


def test_a_login_that_oned_refuses_is_told_to_the_operator():
    with Loopback(oned_of("7.0.2", Scheme.SHA256_KEY_IV)) as server:
        oned = Oned(server.url, timeout_s=5)
        with pytest.raises(EngineBusy, match="refuses the login of our service account"):
            find_delegation(oned, "serveradmin", Hidden("y"), 0)
        oned.close()


def test_a_oned_that_is_away_is_no_refused_login():
    with pytest.raises(EngineBusy, match="not reached"):
        oned = Oned("http://127.0.0.1:1/RPC2", timeout_s=5)
        find_delegation(oned, "serveradmin", Hidden("y"), 0)
