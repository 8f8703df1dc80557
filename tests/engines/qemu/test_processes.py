import os
import signal
from pathlib import Path

import pytest
from tests.support.eventually import eventually

from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.engines.qemu import processes
from econe.engines.qemu.processes import Children, Launch

UUID = "ec2aaaaa-1111-4222-8333-444444444444"


def launch(tmp_path: Path, script: str, **changes) -> Launch:
    binary = tmp_path / "emulator"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    given = {
        "binary": str(binary),
        "arguments": ["-uuid", UUID],
        "directory": tmp_path,
        "log": tmp_path / "log",
        "fds": (),
        "owner": None,
    }
    return Launch(**{**given, **changes})


def fake_process(proc: Path, pid: int, *words: str) -> None:
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "cmdline").write_bytes(b"".join(w.encode() + b"\0" for w in words))


def test_a_process_is_known_by_the_uuid_on_its_command_line(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "PROC", tmp_path)
    fake_process(tmp_path, 10, "qemu", "-uuid", UUID)
    fake_process(tmp_path, 11, "qemu", "-uuid", UUID.replace("a", "b"))
    fake_process(tmp_path, 12, "grep", UUID)
    fake_process(tmp_path, 13)  # a zombie
    assert [pid for pid in (10, 11, 12, 13, 14) if processes.carries(pid, "-uuid", UUID)] == [10]


def test_a_process_outlives_its_session_and_is_found_with_and_without_its_pid(tmp_path):
    process = processes.spawn(launch(tmp_path, "sleep 30; :"))
    try:
        assert os.getsid(process.pid) == process.pid
        # The kernel shows the command line a moment after exec has begun.
        eventually(lambda: processes.carries(process.pid, "-uuid", UUID), within_s=5)
        assert processes.find(UUID, process.pid).pid == process.pid
        assert processes.find(UUID, None).pid == process.pid
        assert processes.find(UUID, os.getpid()) is None
        assert not process.ended_within(0)
    finally:
        process.signal(signal.SIGKILL)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.ended_within(5)
    assert processes.find(UUID, process.pid) is None
    children = Children()
    children.add(process.pid)
    assert os.WTERMSIG(children.bury(process.pid)) == signal.SIGKILL
    assert children.bury(process.pid) is None
    process.signal(signal.SIGTERM)  # nobody is hit


def test_children_of_others_are_never_waited_for():
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert Children().bury(child) is None
    assert os.waitpid(child, 0) == (child, 0)


def test_the_servers_environment_stays_with_the_server(tmp_path, monkeypatch):
    monkeypatch.setenv("ECONE_SECRET", "hush")
    process = processes.spawn(launch(tmp_path, "env"))
    assert process.ended_within(5)
    os.waitpid(process.pid, 0)
    assert "hush" not in (tmp_path / "log").read_text()


def test_an_emulator_that_is_not_installed_is_refused(tmp_path):
    with pytest.raises(EngineRefused, match="'no-such-emulator' is not installed"):
        processes.spawn(launch(tmp_path, "", binary="no-such-emulator"))


def test_an_emulator_that_cannot_be_executed_is_refused(tmp_path):
    given = launch(tmp_path, "")
    Path(given.binary).write_bytes(b"\x7fELF, or so")
    with pytest.raises(EngineRefused, match="cannot be run"):
        processes.spawn(given)


@pytest.mark.parametrize(
    "said",
    [
        "cannot set up guest memory 'pc.ram': Cannot allocate memory",
        'Failed to get "write" lock\nIs another process using the image?',
        "Could not open: Too many open files",
        "Could not set up host forwarding rule 'tcp:127.0.0.1:22433-172.31.0.11:22'",
    ],
)
def test_what_may_pass_is_tried_again(said):
    assert isinstance(processes.why_it_ended(256, said), EngineBusy)


def test_an_emulator_that_was_killed_is_tried_again():
    assert isinstance(processes.why_it_ended(signal.SIGKILL, ""), EngineBusy)


def test_what_will_not_pass_is_refused_and_its_words_are_for_the_log():
    refused = processes.why_it_ended(256, "-device: 'virtio-foo' is not a valid device name")
    assert isinstance(refused, EngineRefused)
    assert "virtio-foo" not in refused.said
    assert "virtio-foo" in refused.hidden
