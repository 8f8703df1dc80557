"""econe-admin as an operator uses it."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from econe.cli import admin
from econe.cli.admin_manual import MANUAL
from econe.domain.accounts import Account, Limits
from econe.domain.images import DiskFormat, Image, ImageState
from econe.domain.instances import Instance, InstanceState
from econe.domain.queries import Query
from econe.settings import default_state
from econe.store import open_store

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)


class Operator:
    """Runs econe-admin in this process on one state directory."""

    def __init__(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.state, self._capsys = state, capsys

    def __call__(self, *words: str, status: int = 0) -> str:
        """What it printed; what it said of its failure, if `status` is not 0."""
        self._capsys.readouterr()
        try:
            ended = admin.main(["--state", str(self.state), *words])
        except SystemExit as end:
            ended = int(end.code or 0)
        out, err = self._capsys.readouterr()
        assert ended == status, err
        if status:
            assert out == ""
            assert err.startswith("econe-admin: ")
            assert err.count("\n") == 1
            return err
        assert err == ""
        return out

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))


@pytest.fixture
def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Operator:
    monkeypatch.setattr(admin, "host_networks", tuple)  # whatever this machine reaches
    return Operator(tmp_path / "state", capsys)


def test_the_first_account_founds_the_cloud(run: Operator) -> None:
    shown = dict(line.split(maxsplit=1) for line in run("account", "create", "helen").splitlines())
    assert list(shown) == ["name", "number", "access_key", "secret_key"]
    store = open_store(run.state)
    with store.reading() as tx:
        key = tx.access_keys.get(shown["access_key"])
        account = tx.accounts.named("helen")
    store.close()
    assert key is not None
    assert account is not None
    assert account.number == key.account == shown["number"]
    assert [secret.reveal() for secret in key.secrets] == [shown["secret_key"]]


def test_json_is_all_that_is_printed(run: Operator) -> None:
    made = run.json("account", "create", "helen")
    assert set(made) == {"name", "number", "access_key", "secret_key"}
    made = run.json("account", "create", "john", "--password", "pw")
    assert made["password_access_key"] == "john"
    assert made["access_key"].startswith("AKIA")


@pytest.mark.parametrize("words", [["--json", "account", "list"], ["account", "--json", "list"]])
def test_options_may_stand_anywhere(run: Operator, words: list[str]) -> None:
    run("account", "create", "helen")
    assert json.loads(run(*words))["accounts"][0]["name"] == "helen"


def test_a_password_from_a_file_or_from_standard_input(
    run: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pw").write_text("sésame\n", "utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO("sésame"))
    run("account", "create", "a", "--password-file", str(tmp_path / "pw"))
    run("account", "create", "b", "--password-file", "-")
    run("account", "create", "c")
    assert "ONE_AUTH c:" in run("account", "password", "c", "--password", "sésame")
    store = open_store(run.state)
    with store.reading() as tx:
        keys = [tx.access_keys.get(name) for name in "abc"]
    store.close()
    assert len({key.secrets for key in keys if key}) == 1


def test_no_secret_is_shown_but_once(run: Operator) -> None:
    made = run.json("account", "create", "helen", "--password", "very secret")
    more = run.json("key", "create", "helen")
    for words in (["account", "list"], ["key", "list", "helen"], ["status"]):
        for shown in (run(*words), run(*words, "--json")):
            for secret in (made["secret_key"], more["secret_key"], "very secret"):
                assert secret not in shown


def test_accounts_are_listed_disabled_and_enabled(run: Operator) -> None:
    run("account", "create", "helen")
    run("account", "create", "j")
    assert run("account", "disable", "j") == "j is disabled\n"
    lines = run("account", "list").splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "helen", "j"]
    assert [line.split()[2] for line in lines] == ["STATE", "enabled", "disabled"]
    assert run.json("account", "enable", "j")["enabled"] is True
    assert [a["enabled"] for a in run.json("account", "list")["accounts"]] == [True, True]


def test_keys_are_made_listed_disabled_enabled_and_deleted(run: Operator) -> None:
    first = run.json("account", "create", "helen")["access_key"]
    second = run.json("key", "create", "helen")["access_key"]
    assert run("key", "disable", second) == f"{second} is disabled\n"
    listed = {
        k["access_key"]: k["enabled"] for k in run.json("key", "list", "helen")["access_keys"]
    }
    assert listed == {first: True, second: False}
    assert run.json("key", "enable", second)["enabled"] is True
    assert run.json("key", "delete", first) == {"deleted": first}
    assert first not in run("key", "list", "helen")


def test_when_a_key_was_last_used_is_listed(run: Operator) -> None:
    first = run.json("account", "create", "helen")["access_key"]
    second = run.json("key", "create", "helen")["access_key"]
    store = open_store(run.state)
    with store.writing() as tx:
        tx.access_keys.used(first, NOW)
    store.close()
    listed = run.json("key", "list", "helen")["access_keys"]
    used = {key["access_key"]: key["last_used_at"] for key in listed}
    assert used == {first: "2026-11-23T16:00:00Z", second: None}
    shown = {line.split()[0]: line.split()[-1] for line in run("key", "list", "helen").splitlines()}
    assert (shown[first], shown[second]) == ("2026-11-23T16:00:00Z", "-")


def test_the_pair_of_a_password_is_listed_as_such(run: Operator) -> None:
    made = run.json("account", "create", "helen", "--password", "pw")
    kinds = {k["access_key"]: k["kind"] for k in run.json("key", "list", "helen")["access_keys"]}
    assert kinds == {"helen": "password", made["access_key"]: "key"}
    shown = [line.split()[:2] for line in run("key", "list", "helen").splitlines()[1:]]
    assert sorted(shown) == sorted([["helen", "password"], [made["access_key"], "key"]])


def test_where_accounts_are_opennebulas_users_none_is_made_here(
    run: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECONE_ENGINE", "opennebula")
    assert "oneuser create" in run("account", "create", "helen", status=1)
    monkeypatch.delenv("ECONE_ENGINE")
    store = open_store(run.state)
    with store.writing() as tx:
        tx.accounts.add(Account("100000000005", "helen", NOW, engine_ref="5"))
    store.close()
    assert "oneuser create" in run("account", "create", "john", status=1)
    assert "change it there" in run("account", "disable", "helen", status=1)
    assert run.json("account", "list")["accounts"][0]["engine_ref"] == "5"
    made = run.json("key", "create", "helen")
    assert run("key", "delete", made["access_key"])


def test_without_a_cloud_the_first_thing_to_do_is_named(
    run: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "create an account" in run("account", "list", status=1)
    monkeypatch.setenv("ECONE_ENGINE", "opennebula")
    assert "start econe-server" in run("account", "list", status=1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["account", "create", "helen"], "an account helen already"),
        (["account", "create", "a:b"], "name is 1 to 63"),
        (["account", "create", "x", "--password", ""], "A password"),
        (["account", "create", "x", "--password-file", "/nonexistent"], "No such file"),
        (["account", "disable", "nobody"], "There is no account nobody"),
        (["account", "password", "helen"], "--password"),
        (["key", "create", "nobody"], "There is no account nobody"),
        (["key", "delete", "AKIAX"], "There is no access key AKIAX"),
        (["--config", "/nonexistent", "status"], "/nonexistent"),
    ],
)
def test_a_failure_is_one_line_and_status_1(run: Operator, words: list[str], said: str) -> None:
    run("account", "create", "helen")
    assert said in run(*words, status=1)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["account"],
        ["key"],
        ["account", "create"],
        ["account", "explode", "x"],
        ["account", "list", "x"],
        ["nonsense"],
        ["status", "--nonsense"],
        ["account", "create", "x", "--password", "a", "--password-file", "b"],
    ],
)
def test_a_command_line_that_cannot_be_meant_is_status_2(run: Operator, words: list[str]) -> None:
    run(*words, status=2)
    assert not run.state.exists()


@pytest.mark.parametrize("words", [["account", "list"], ["status"], ["key", "list", "helen"]])
def test_a_mistyped_state_directory_is_not_made(run: Operator, words: list[str]) -> None:
    assert str(run.state) in run(*words, status=1)
    assert not run.state.exists()


def test_what_is_wrong_with_the_state_directory_is_said(run: Operator) -> None:
    run("account", "create", "helen")
    (run.state / "secret.key").chmod(0o644)
    assert "chmod 600" in run("account", "list", status=1)


def test_addresses_and_zone_come_from_the_servers_settings(run: Operator, tmp_path: Path) -> None:
    config = tmp_path / "econe.toml"
    config.write_text('[cloud]\nzone = "paris-1a"\ndefault_vpc_cidrs = ["192.168.0.0/16"]\n')
    run("account", "create", "helen", "--config", str(config))
    store = open_store(run.state)
    with store.reading() as tx:
        assert [vpc.cidr for vpc in tx.vpcs.find(Query()).items] == ["192.168.0.0/16"]
        assert [subnet.zone for subnet in tx.subnets.find(Query()).items] == ["paris-1a"]
    store.close()
    assert "address range" in run("account", "create", "j", "--config", str(config), status=1)


def test_the_state_directory_comes_from_the_environment(
    run: Operator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("account", "create", "helen")
    monkeypatch.setenv("ECONE_STATE", str(run.state))
    assert admin.main(["account", "list"]) == 0
    assert "helen" in capsys.readouterr().out


def test_without_anything_the_state_directory_is_the_systems_or_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ECONE_STATE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_state() == Path("/var/lib/econe")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert admin.main(["account", "create", "helen"]) == 0
    assert (tmp_path / ".local/share/econe/econe.db").exists()


def test_addresses_that_this_machine_reaches_elsewhere_are_left_alone(
    run: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "host_networks", lambda: (IPv4Network("172.16.0.0/12"),))
    run("account", "create", "helen")
    store = open_store(run.state)
    with store.reading() as tx:
        assert [vpc.cidr for vpc in tx.vpcs.find(Query()).items] == ["10.128.0.0/16"]
    store.close()


# --- status


def wait(run: Operator, **fields: Any) -> None:
    store = open_store(run.state)
    with store.writing() as tx:
        account = tx.accounts.named("helen")
        assert account is not None
        (row_id,) = tx.next_ids("i")
        row = Instance(
            id=row_id,
            account=account.number,
            reservation_id="r-00000001",
            launch_index=0,
            image_id="ami-00000001",
            image_location="x",
            instance_type="m1.small",
            vpc_id="vpc-00000001",
            subnet_id="subnet-00000001",
            zone="us-east-1a",
            launched_at=NOW,
        )
        tx.instances.add(replace(row, **fields))
    store.close()


def test_status_tells_what_waits_and_why(run: Operator) -> None:
    run("account", "create", "helen")
    assert "Nothing waits." in run("status")
    later = NOW + timedelta(seconds=30)
    wait(run, attempts=3, retry_at=later, problem="no space\nleft")
    wait(run, state=InstanceState.RUNNING)
    wait(run, state=InstanceState.RUNNING, reboots_asked=1, asked_at=later)
    wait(run, state=InstanceState.SHUTTING_DOWN, asked_at=later + timedelta(1))
    text = run("status")
    assert "server     not running" in text
    assert "1 pending, 2 running, 1 shutting-down" in text
    rows = [line.split(maxsplit=6) for line in text.splitlines() if line.startswith("i-")]
    assert rows == [
        ["i-00000001", "helen", "pending", "run", "3", "2026-11-23T16:00:30Z", "no space left"],
        ["i-00000003", "helen", "running", "reboot", "0", "now", "-"],
        ["i-00000004", "helen", "shutting-down", "terminate", "0", "now", "-"],
    ]
    facts = run.json("status")
    assert facts["server"] is None
    assert facts["instances"]["running"] == 2
    assert facts["waiting"][0] == {
        "id": "i-00000001",
        "account": "helen",
        "state": "pending",
        "intent": "run",
        "reboot": False,
        "attempts": 3,
        "next_try": "2026-11-23T16:00:30Z",
        "problem": "no space\nleft",
    }


def keep_image(run: Operator, **fields: Any) -> None:
    store = open_store(run.state)
    with store.writing() as tx:
        account = tx.accounts.named("helen")
        assert account is not None
        (row_id,) = tx.next_ids("ami")
        row = Image(row_id, account.number, row_id, "x", DiskFormat.RAW, 1, NOW)
        tx.images.add(replace(row, **fields))
    store.close()


def test_status_tells_which_images_wait_and_why(run: Operator) -> None:
    run("account", "create", "helen")
    keep_image(run)
    keep_image(run, state=ImageState.FAILED, problem="it never will")
    assert "Nothing waits." in run("status")
    keep_image(run, state=ImageState.PENDING, problem="oned is\naway", attempts=2, retry_at=NOW)
    keep_image(run, state=ImageState.PENDING)
    keep_image(run, state=ImageState.DEREGISTERED, problem="in use", attempts=1, retry_at=NOW)
    text = run("status")
    assert "Nothing waits." not in text
    rows = [line.split(maxsplit=5) for line in text.splitlines() if line.startswith("ami-")]
    assert rows == [
        ["ami-00000003", "helen", "pending", "2", "2026-11-23T16:00:00Z", "oned is away"],
        ["ami-00000004", "helen", "pending", "0", "now", "-"],
        ["ami-00000005", "helen", "deregistered", "1", "2026-11-23T16:00:00Z", "in use"],
    ]
    assert run.json("status")["waiting_images"][0] == {
        "id": "ami-00000003",
        "account": "helen",
        "state": "pending",
        "attempts": 2,
        "next_try": "2026-11-23T16:00:00Z",
        "problem": "oned is\naway",
    }


# --- help, and the real process


@pytest.mark.parametrize(
    "words", [["-h"], ["--help"], ["account", "-h"], ["account", "create", "-h"]]
)
def test_help_is_the_manual(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        admin.main(words)
    assert end.value.code == 0
    assert capsys.readouterr().out == MANUAL
    assert max(len(line) for line in MANUAL.splitlines()) <= 98


def test_the_manual_names_every_command() -> None:
    for noun, verbs in admin.COMMANDS.items():
        for verb, command in verbs.items():
            line = " ".join(part for part in (noun, verb, command.subject) if part)
            assert f"     {line}" in MANUAL


def test_the_real_process_founds_a_cloud_and_says_its_version(tmp_path: Path) -> None:
    def call(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "econe.cli.admin", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout

    assert call("-V").startswith("econe-admin ")
    state = ["--state", str(tmp_path / "state")]
    assert json.loads(call(*state, "account", "create", "helen", "--json"))["name"] == "helen"
    assert "helen" in call(*state, "account", "list")


def limits(run: Operator, *words: str) -> dict[str, tuple[object, object]]:
    told = run.json("account", "limits", "helen", *words)["limits"]
    return {name: (each["most"], each["set_by"]) for name, each in told.items()}


def test_limits_are_shown_set_and_taken_back(run: Operator) -> None:
    run("account", "create", "helen")
    usual = limits(run)
    assert usual["instances"] == (1000, "default")
    assert usual["vcpus"] == usual["storage_gib"] == (None, "default")
    told = limits(run, "--instances", "unlimited", "--vcpus", "8", "--memory-gib", "2")
    assert told["instances"] == (None, "operator")
    assert (told["vcpus"], told["memory_mib"]) == ((8, "operator"), (2048, "operator"))
    assert limits(run) == told
    told = limits(run, "--instances=default", "--memory-gib=default", "--vcpus=default")
    assert told == usual
    shown = run("account", "limits", "helen", "--images", "0").splitlines()
    assert [line.split()[0] for line in shown] == [
        "LIMIT",
        "instances",
        "vcpus",
        "memory-mib",
        "images",
        "storage-gib",
    ]
    assert shown[4].split() == ["images", "0", "0", "operator"]


def test_what_is_usual_is_the_settings(run: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    run("account", "create", "helen")
    monkeypatch.setenv("ECONE_CLOUD_MAX_VCPUS", "4")
    monkeypatch.setenv("ECONE_CLOUD_MAX_MEMORY_GIB", "3")
    told = limits(run)
    assert (told["vcpus"], told["memory_mib"]) == ((4, "default"), (3072, "default"))


@pytest.mark.parametrize("said", ["-1", "1.5", "", "many", "9" * 30, "\u0663"])
def test_a_limit_is_a_number_or_a_word(run: Operator, said: str) -> None:
    run("account", "create", "helen")
    run("account", "limits", "helen", f"--vcpus={said}", status=2)
    run("account", "limits", "helen", "--memory-mib=1", "--memory-gib=1", status=2)
    run("account", "limits", "nobody", "--vcpus=1", status=1)


def test_an_engines_users_have_the_engines_limits(run: Operator) -> None:
    store = open_store(run.state)
    with store.writing() as tx:
        tx.accounts.add(
            Account("100000000005", "helen", NOW, engine_ref="5", limits=Limits(instances=3))
        )
    store.close()
    assert limits(run)["instances"] == (3, "engine")
    assert "change it there" in run("account", "limits", "helen", "--vcpus", "1", status=1)
