"""econe-server as people and scripts use it: as a process."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from tests.support.eventually import eventually

from econe.app import Health
from econe.cli import admin
from econe.cli import server as command
from econe.configuration import load
from econe.domain.accounts import Account
from econe.domain.engine_ports import Capabilities
from econe.statedir import running
from econe.store import open_store

PROGRAM = [sys.executable, "-m", "econe.cli.server"]
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("ECONE_")}


def run(*words: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*PROGRAM, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=ENVIRONMENT | environment,
    )


@contextmanager
def in_front(state: Path, *more: str) -> Iterator[Any]:
    """A server in front; its `url` once it is ready."""
    words = ["run", "--state", str(state), "--listen", "127.0.0.1:0", "--engine", "simulator"]
    child: Any = subprocess.Popen(
        [*PROGRAM, *words, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    with child:
        try:
            line = child.stdout.readline()
            assert line.startswith("econe-server: ready on http://127.0.0.1:"), child.stderr.read()
            child.url = line.split()[-1]
            yield child
        finally:
            child.kill()


def health(url: str) -> Any:
    with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
        return json.load(answer)


def test_it_answers_when_it_says_ready(tmp_path: Path) -> None:
    with in_front(tmp_path / "new" / "state") as server:
        assert health(server.url) == {
            "ok": True,
            "engine": "simulator",
            "network": "none",
            "rounds": True,
        }


def test_its_region_is_where_it_answers_even_on_a_port_that_the_system_chose(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert admin.main(["--state", str(tmp_path), "account", "create", "helen", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    with in_front(tmp_path) as server:
        client = boto3.client(
            "ec2",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id=made["access_key"],
            aws_secret_access_key=made["secret_key"],
        )
        (region,) = client.describe_regions()["Regions"]
        assert f"http://{region['Endpoint']}" == server.url


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: int) -> None:
    with in_front(tmp_path) as server:
        server.send_signal(number)
        assert server.wait(10) == 0
        assert server.stderr.read() == ""
    assert running(tmp_path) is None
    assert not (tmp_path / "server.pid").exists()
    assert "Stopped." in (tmp_path / "server.log").read_text()


def test_a_connection_that_idles_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    with in_front(tmp_path) as server:
        host, port = server.url.split("//")[1].split(":")
        with socket.create_connection((host, int(port))):
            time.sleep(0.1)
            server.terminate()
            assert server.wait(10) == 0


def test_a_second_server_on_the_same_state_is_refused(tmp_path: Path) -> None:
    with in_front(tmp_path) as server:
        second = run("run", "--state", tmp_path, "--listen", "127.0.0.1:0", "--engine", "simulator")
        assert second.returncode == 1
        assert second.stdout == ""
        assert second.stderr == (
            f"econe-server: another econe-server (process {server.pid}) runs on {tmp_path}\n"
        )
        assert health(server.url)["ok"]


def test_a_state_whose_server_was_killed_is_free_again(tmp_path: Path) -> None:
    with in_front(tmp_path) as server:
        server.kill()
        server.wait(10)
    assert (tmp_path / "server.pid").exists()
    assert run("status", "--state", tmp_path).returncode == command.NOT_RUNNING
    with in_front(tmp_path) as server:
        assert health(server.url)["ok"]


def test_a_state_directory_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o1777)
    told = run("run", "--state", state, "--listen", "127.0.0.1:0", "--engine", "simulator")
    assert told.returncode == 1
    assert "everybody may write" in told.stderr
    assert list(state.iterdir()) == []


def test_a_busy_port_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for word in ("run", "start"):
            refused = run(word, "--state", tmp_path, "--listen", address, "--engine", "simulator")
            assert refused.returncode == 1
            assert refused.stderr == (
                f"econe-server: cannot listen on {address}: Address already in use\n"
            )


def test_a_missing_service_account_is_one_line(tmp_path: Path) -> None:
    words = ("--state", tmp_path, "--listen", "127.0.0.1:0", "--engine", "opennebula")
    refused = run("run", *words, ECONE_OPENNEBULA_CREDENTIALS="/nonexistent/ec2_auth")
    assert refused.returncode == 1
    assert refused.stderr == (
        "econe-server: /nonexistent/ec2_auth cannot be read: No such file or directory.\n"
    )


def test_a_daemon_is_started_looked_at_and_ended(tmp_path: Path) -> None:
    words = ("--state", tmp_path, "--listen", "127.0.0.1:0", "--engine", "simulator")
    assert run("status", "--state", tmp_path).returncode == command.NOT_RUNNING
    started = run("start", *words)
    try:
        assert started.returncode == 0, started.stderr
        held = running(tmp_path)
        assert held is not None
        assert held.pid is not None
        assert started.stdout == f"econe-server: ready on {held.url}\n"
        assert health(held.url)["ok"]
        assert os.getsid(held.pid) == held.pid
        status = run("status", "--state", tmp_path)
        assert (status.returncode, status.stdout) == (
            0,
            f"econe-server: running, process {held.pid}, on {held.url}\n",
        )
        again = run("start", *words)
        assert (again.returncode, again.stdout) == (
            0,
            f"econe-server: already running, process {held.pid}, on {held.url}\n",
        )
    finally:
        stopped = run("stop", "--state", tmp_path)
    assert (stopped.returncode, stopped.stdout) == (0, "econe-server: stopped\n")
    assert running(tmp_path) is None
    eventually(lambda: _is_gone(held.pid), within_s=5)
    assert run("stop", "--state", tmp_path).stdout == "econe-server: not running\n"


def test_a_daemon_runs_nothing_that_lies_where_it_is_started(tmp_path: Path) -> None:
    """`python -m` looks for modules in the working directory first, where others may have put
    them: /tmp, say, and econe-server is started by root."""
    for name in ("six", "botocore", "sqlalchemy", "uvicorn"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('somebody else')")
    state = tmp_path / "state"
    words = ("--state", state, "--listen", "127.0.0.1:0", "--engine", "simulator")
    try:
        started = subprocess.run(
            [sys.executable, "-P", "-m", "econe.cli.server", "start", *map(str, words)],
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert started.returncode == 0, started.stderr
    finally:
        run("stop", "--state", state)


def test_json_tells_the_same_to_programs(tmp_path: Path) -> None:
    words = ("--state", tmp_path, "--listen", "127.0.0.1:0", "--engine", "simulator", "--json")
    none = {"ready": False, "pid": None, "url": None}
    before = run("status", *words)
    assert (before.returncode, json.loads(before.stdout)) == (command.NOT_RUNNING, none)
    try:
        started = json.loads(run("start", *words).stdout)
        held = running(tmp_path)
        assert held is not None
        assert started == {"ready": True, "pid": held.pid, "url": held.url}
        assert json.loads(run("status", *words).stdout) == started
    finally:
        stopped = run("stop", *words)
    assert json.loads(stopped.stdout) == none
    assert json.loads(run("config", *words).stdout)["state"] == str(tmp_path)
    assert {"name", "ok", "said"} == set(json.loads(run("check", *words).stdout)[0])


def _is_gone(pid: int | None) -> bool:
    try:
        return f"{Path(f'/proc/{pid}/stat').read_text()}".split()[2] == "Z"
    except OSError:
        return True


def test_the_log_goes_where_it_is_told(tmp_path: Path) -> None:
    with in_front(tmp_path / "state", "--log", str(tmp_path / "else.log")) as server:
        health(server.url)
    assert "Ready." in (tmp_path / "else.log").read_text()
    assert not (tmp_path / "state" / "server.log").exists()
    with in_front(tmp_path / "state", "--log", "-") as server:
        assert "Ready." in server.stderr.readline()


def test_config_prints_what_is_in_force_and_can_be_read_back(tmp_path: Path) -> None:
    file = tmp_path / "econe.toml"
    file.write_text('[cloud]\nregion = "eu-north-7"\n')
    said = run("config", "--config", file, "--state", tmp_path, ECONE_SERVER_THREADS="7")
    assert said.returncode == 0
    file.write_text(said.stdout)
    settings = load(file)
    assert (settings.cloud.region, settings.server.threads) == ("eu-north-7", 7)
    assert settings.state == tmp_path


def test_a_setting_that_is_unknown_is_said_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "econe.toml"
    file.write_text("[server]\nthread = 1\n")
    refused = run("run", "--config", file)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"econe-server: {file}: unknown setting server.thread; did you mean server.threads?\n"
    )


@pytest.mark.parametrize(
    "words", [[], ["fly"], ["run", "--colour", "red"], ["run", "--state"], ["run", "run"]]
)
def test_a_command_line_that_cannot_be_meant_is_status_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("econe-server: ")
    assert said.count("\n") == 1


def test_help_is_a_manual_page_that_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("-h", "--help"):
        with pytest.raises(SystemExit) as ended:
            command.main([word])
        assert ended.value.code == 0
    said = capsys.readouterr().out
    for name in command.COMMANDS:
        assert f"\n     {name} " in said
    assert max(map(len, said.splitlines())) <= 80


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["-V"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("econe-server 0")


def test_check_says_what_this_machine_can_do(tmp_path: Path) -> None:
    said = run("check", "--state", tmp_path)
    assert said.returncode == 0
    assert " kvm: " in said.stdout
    assert {line[:3] for line in said.stdout.splitlines()} <= {"yes", "no "}


@pytest.mark.parametrize("engine_ref", ["", "5"])
def test_a_state_directory_is_not_used_by_another_kind_of_engine(
    tmp_path: Path, engine_ref: str
) -> None:
    store = open_store(tmp_path)
    with store.writing() as tx:
        made_at = datetime(2026, 11, 23, tzinfo=UTC)
        tx.accounts.add(Account("100000000005", "helen", made_at, engine_ref=engine_ref))
    store.close()
    engine = "simulator" if engine_ref else "opennebula"
    ended = run("run", "--state", tmp_path, "--listen", "127.0.0.1:0", "--engine", engine)
    assert ended.returncode == 1
    assert "has the account helen" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_machines_of_a_cluster_are_not_taken_down(tmp_path: Path) -> None:
    ended = run("down", "--state", tmp_path, "--engine", "opennebula")
    assert ended.returncode == 1
    assert "not this machine's to stop" in ended.stderr


@pytest.mark.parametrize(
    ("goes_on", "sees", "ok"), [(True, True, True), (False, False, True), (False, None, False)]
)
def test_health_of_a_shared_engine_says_whether_it_answers(
    goes_on: bool, sees: bool | None, ok: bool
) -> None:
    """The server does what it can while its engine is away: that is no reason to restart it."""
    loop: Any = SimpleNamespace(goes_on=goes_on, sees=sees)
    said = Health(Capabilities("opennebula", "none", shared=True), loop)()
    assert (said["ok"], said["rounds"], said["oned"]) == (ok, goes_on, sees)


def test_check_looks_at_opennebula_where_that_is_the_engine(tmp_path: Path) -> None:
    """Without a state directory, and without QEMU."""
    environment = {
        "ECONE_OPENNEBULA_ENDPOINT": "http://127.0.0.1:1/RPC2",
        "ECONE_OPENNEBULA_CREDENTIALS": str(tmp_path / "none"),
        "PATH": str(tmp_path),
    }
    told = run("check", "--state", tmp_path / "new", "--engine", "opennebula", **environment)
    assert told.returncode == 0, told.stderr
    assert [line[:20] for line in told.stdout.splitlines()] == [
        "no   service account",
        "no   oned: one.syste",
    ]
    assert not (tmp_path / "new").exists()
