"""What all tools have in common: errors, exit statuses, credentials, start-up."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.support.cloud_double import ACCESS, SECRET, error, xml

from econe.cli.catalogue import TOOLS
from econe.cli.images import DESCRIBE_IMAGES
from econe.cli.play import play

BIN = Path(sys.executable).parent
EACH = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
EMPTY = xml("<R><reservationSet/></R>")


def environment(cloud):
    return {**os.environ, "EC2_URL": cloud.url, "EC2_ACCESS_KEY": ACCESS, "EC2_SECRET_KEY": SECRET}


@EACH
def test_an_unknown_option_is_one_line_and_status_2(tool, run):
    played = run(tool, "--nonsense")
    assert (played.status, played.out) == (2, "")
    assert played.err == f"{tool.name}: unknown option --nonsense (-h shows all)\n"


def test_a_refusal_is_one_line_whatever_the_server_says(cloud, run):
    cloud.answers = [error("Code", "first\nsecond \x1b[31m\t third".replace("\x1b", "&#x9b;"))]
    played = run(DESCRIBE_IMAGES)
    assert (played.status, played.out) == (1, "")
    assert played.err == "econe-describe-images: first second ?[31m third (Code)\n"


def test_keys_on_the_command_line_come_first(cloud, run):
    cloud.answers = [xml("<R><imagesSet/></R>")]
    assert run(DESCRIBE_IMAGES, "-K", "fred", "-S", SECRET).status == 0
    assert "Credential=fred/" in cloud.received[0].header("authorization")


def test_the_url_on_the_command_line_comes_first(cloud, run):
    assert "nothing answers" in run(DESCRIBE_IMAGES, "-U", "http://127.0.0.1:1").err
    assert cloud.received == []


@pytest.mark.parametrize("half", [("-K", "x"), ("-S", "x")])
def test_half_a_pair_of_keys_is_refused_and_not_ignored(run, half):
    played = run(DESCRIBE_IMAGES, *half)
    assert (played.status, played.err) == (
        2,
        "econe-describe-images: --access-key and --secret-key go together\n",
    )


def test_without_credentials_the_old_words_are_said(capsys):
    assert play(DESCRIBE_IMAGES, [], {}) == 1
    assert capsys.readouterr().err.startswith(
        "econe-describe-images: No authorization data present"
    )


def test_one_auth_is_taken(cloud, tmp_path, capsys):
    (tmp_path / "auth").write_text("helen:hello\n")
    cloud.prove = False
    cloud.answers = [xml("<R><imagesSet/></R>")]
    environ = {"EC2_URL": cloud.url, "ONE_AUTH": str(tmp_path / "auth")}
    assert play(DESCRIBE_IMAGES, [], environ) == 0
    assert cloud.received[0].is_proven_by(hashlib.sha256(b"hello").hexdigest())


# --- as processes ------------------------------------------------------------------------

LOADED = """
import sys
import {module}
from econe.cli import play
def leave(status):
    sys.stderr.write(" ".join(sys.modules))
    raise SystemExit(status)
play.leave = leave
{module}.{name}()
"""
HEAVY = {
    "argparse", "asyncio", "boto3", "botocore", "dataclasses", "email", "http.client", "inspect",
    "json", "logging", "pathlib", "sqlalchemy", "ssl", "subprocess", "tempfile", "textwrap",
    "threading", "typing", "xml.etree.ElementTree", "encodings.idna", "importlib.metadata",
}  # fmt: skip


@EACH
def test_a_tool_loads_little_even_with_a_request(tool, cloud, tmp_path):
    """Each of HEAVY costs milliseconds; a start has about twenty."""
    cloud.answers = [xml("<R><imageId>x</imageId><keyMaterial>x</keyMaterial></R>")]
    (tmp_path / "file").write_text("x")
    words = {
        "econe-import-keypair": ["a", str(tmp_path / "file")],
        "econe-upload": [str(tmp_path / "file")],
    }.get(tool.name, [] if tool.arguments.startswith("[") else ["i-1"])
    module = tool.act.__module__
    names = vars(sys.modules[module])
    name = next(key for key, value in names.items() if value is tool)
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(module=module, name=name), *words],
        env=environment(cloud), check=True, capture_output=True, text=True,
    )  # fmt: skip
    loaded = set(done.stderr.split())
    assert not HEAVY & loaded
    allowed = ("econe.cli", "econe.client", "econe.wire")
    econe = {each for each in loaded if each.startswith("econe.")}
    assert {each for each in econe if not each.startswith(allowed)} == set()
    assert {each for each in econe if each.startswith("econe.wire.")} <= {"econe.wire.signing"}
    assert len(cloud.received) == 1


def test_the_installed_command_prints_and_exits(cloud):
    cloud.answers = [EMPTY]
    done = subprocess.run(
        [BIN / "econe-describe-instances", "-H"],
        env=environment(cloud),
        check=False,
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 2
    refused = subprocess.run(
        [BIN / "econe-describe-instances", "--no"], check=False, capture_output=True
    )
    assert refused.returncode == 2
    assert refused.stderr.startswith(b"econe-describe-instances: ")


def test_a_reader_that_has_enough_is_no_error_message(cloud):
    row = "<item><instanceId>i-1</instanceId></item>" * 20_000
    cloud.answers = [
        xml(
            f"<R><reservationSet><item><instancesSet>{row}</instancesSet></item></reservationSet></R>"
        )
    ]
    done = subprocess.run(
        ["sh", "-c", f"{BIN}/econe-describe-instances | head -1"],
        env=environment(cloud), check=False, capture_output=True,
    )  # fmt: skip
    assert done.stderr == b""
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize(("word", "status"), [("", 0), ("--no", 2)])
def test_closed_streams_are_no_crash(cloud, closed, word, status):
    cloud.answers = [EMPTY]
    done = subprocess.run(
        ["sh", "-c", f"exec {BIN}/econe-describe-instances -H {word} {closed}"],
        env=environment(cloud),
        check=False,
        capture_output=True,
    )
    assert done.returncode == status
    assert b"Traceback" not in done.stderr
    assert b"unknown" not in done.stdout


def test_a_terminal_that_cannot_show_a_name_shows_question_marks(cloud):
    item = "<item><imageId>ami-1</imageId><imageOwnerAlias>hélène</imageOwnerAlias></item>"
    cloud.answers = [xml(f"<R><imagesSet>{item}</imagesSet></R>")]
    done = subprocess.run(
        [BIN / "econe-describe-images"],
        env={**environment(cloud), "PYTHONIOENCODING": "ascii"},
        check=True,
        capture_output=True,
    )
    assert done.stdout.startswith(b"h?l?ne ")


def test_a_full_disk_is_told(cloud):
    cloud.answers = [EMPTY]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [BIN / "econe-describe-instances", "-H"],
            env={**environment(cloud), "PYTHONUNBUFFERED": ""},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == (
        b"econe-describe-instances: cannot write the answer: No space left on device\n"
    )


def test_an_interrupt_ends_it_with_one_line(cloud):
    asked, ended = threading.Event(), threading.Event()

    def wait(connection: socket.socket) -> None:
        connection.recv(1)
        asked.set()
        ended.wait(20)

    cloud.instead = wait
    with subprocess.Popen(
        # What runs the tests in the background has SIGINT ignored, and that is inherited.
        ["env", "--default-signal=INT", BIN / "econe-describe-instances"],
        env=environment(cloud),
        stderr=subprocess.PIPE,
    ) as child:
        assert asked.wait(10)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=10)
        ended.set()
    assert (child.returncode, err) == (130, b"econe-describe-instances: interrupted\n")
