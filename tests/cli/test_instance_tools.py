"""econe-run-, -describe-, -start-, -stop-, -reboot-, -terminate-instances and the console."""

import base64
import io
import json
import sys

import pytest
from tests.support.cloud_double import error, xml

from econe.cli import waiting
from econe.cli.instances import (
    DESCRIBE_INSTANCES,
    GET_CONSOLE_OUTPUT,
    REBOOT_INSTANCES,
    RUN_INSTANCES,
    START_INSTANCES,
    STOP_INSTANCES,
    TERMINATE_INSTANCES,
    harmless,
)


def instance(id_="i-00000015", state="running", **more):
    fields = "".join(f"<{name}>{value}</{name}>" for name, value in more.items())
    return (
        f"<item><instanceId>{id_}</instanceId><imageId>ami-00000001</imageId>"
        f"<instanceState><code>0</code><name>{state}</name></instanceState>"
        f"<instanceType>m1.small</instanceType>{fields}</item>"
    )


def launched(*instances, alias="<ownerAlias>helen</ownerAlias>"):
    return xml(
        f"<RunInstancesResponse><ownerId>123456789012</ownerId>{alias}"
        f"<instancesSet>{''.join(instances)}</instancesSet></RunInstancesResponse>"
    )


def described(*instances, alias="<ownerAlias>helen</ownerAlias>"):
    return xml(
        "<DescribeInstancesResponse><reservationSet><item><ownerId>123456789012</ownerId>"
        f"{alias}<instancesSet>{''.join(instances)}</instancesSet></item></reservationSet>"
        "</DescribeInstancesResponse>"
    )


def changed(id_="i-00000015", before="running"):
    return (
        f"<item><instanceId>{id_}</instanceId><currentState><name>x</name></currentState>"
        f"<previousState><name>{before}</name></previousState></item>"
    )


def changes(*items):
    return xml(f"<R><instancesSet>{''.join(items)}</instancesSet></R>")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(waiting, "_FIRST_LOOK_S", 0.001)


# --- run ---------------------------------------------------------------------------------


def test_run_prints_one_row_an_instance(cloud, run):
    cloud.answers = [launched(instance(), instance("i-00000016", "pending"))]
    played = run(RUN_INSTANCES, "-H", "ami-00000001")
    assert played.out.splitlines() == [
        "Owner         ImageId         InstanceId     InstanceType",
        "-" * 78,
        "helen         ami-00000001    i-00000015     m1.small",
        "helen         ami-00000001    i-00000016     m1.small",
    ]
    assert (played.status, played.err) == (0, "")


def test_run_asks_for_what_its_options_say(cloud, run):
    cloud.answers = [launched(instance())]
    run(RUN_INSTANCES, "-t", "m1.large", "-k", "mykey", "-d", "#!/bin/sh\né", "-n", "2-3",
        "--client-token", "once", "ami-1")  # fmt: skip
    asked = cloud.asked[0]
    assert base64.b64decode(asked.pop("UserData")).decode() == "#!/bin/sh\né"
    assert asked == {
        "Action": "RunInstances",
        "Version": "2016-11-15",
        "ImageId": "ami-1",
        "InstanceType": "m1.large",
        "KeyName": "mykey",
        "MinCount": "2",
        "MaxCount": "3",
        "ClientToken": "once",
    }


def test_run_asks_for_one_and_leaves_the_rest_to_the_cloud(cloud, run):
    cloud.answers = [launched(instance())]
    run(RUN_INSTANCES, "ami-1")
    assert set(cloud.asked[0]) == {"Action", "Version", "ImageId", "MinCount", "MaxCount"}


def test_user_data_comes_from_a_file_byte_by_byte(cloud, run, tmp_path):
    content = bytes(range(256))
    (tmp_path / "data").write_bytes(content)
    cloud.answers = [launched(instance())]
    run(RUN_INSTANCES, "-f", str(tmp_path / "data"), "ami-1")
    assert base64.b64decode(cloud.asked[0]["UserData"]) == content


def test_user_data_comes_from_standard_input(cloud, run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from stdin")))
    cloud.answers = [launched(instance())]
    run(RUN_INSTANCES, "-f", "-", "ami-1")
    assert base64.b64decode(cloud.asked[0]["UserData"]) == b"from stdin"


def test_user_data_that_is_too_large_or_missing_is_told_and_not_sent(cloud, run, tmp_path):
    (tmp_path / "large").write_bytes(b"x" * 16385)
    played = run(RUN_INSTANCES, "-f", str(tmp_path / "large"), "ami-1")
    assert (played.status, played.out) == (1, "")
    assert "larger than 16384 bytes" in played.err
    assert "cannot read the user data" in run(RUN_INSTANCES, "-f", "/none", "ami-1").err
    assert cloud.received == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "missing IMAGE-ID parameter"),
        ([""], "missing IMAGE-ID parameter"),
        (["ami-1", "ami-2"], "unexpected argument 'ami-2'"),
        (["-n", "0", "ami-1"], "--instance-count must be"),
        (["-d", "x", "-f", "y", "ami-1"], "exclude each other"),
    ],
)
def test_run_refuses_what_cannot_be_meant(cloud, run, words, message):
    played = run(RUN_INSTANCES, *words)
    assert played.status == 2
    assert played.err.startswith("econe-run-instances: ")
    assert message in played.err
    assert cloud.received == []


def test_run_waits_until_all_are_running(cloud, run):
    cloud.answers = [
        launched(instance("i-1", "pending"), instance("i-2", "pending")),
        described(instance("i-1", "running"), instance("i-2", "pending")),
        described(instance("i-2", "running")),
    ]
    played = run(RUN_INSTANCES, "-n", "2", "--wait", "ami-1")
    assert played.status == 0
    assert len(played.out.splitlines()) == 2
    ids = [sorted(v for k, v in asked.items() if k.startswith("Inst")) for asked in cloud.asked[1:]]
    assert ids == [["i-1", "i-2"], ["i-2"]]


def test_run_that_fails_while_waited_for_says_why_after_the_row(cloud, run):
    reason = "<code>Server.InternalError</code><message>no room</message>"
    cloud.answers = [
        launched(instance("i-1", "pending")),
        described(instance("i-1", "terminated", stateReason=reason)),
    ]
    played = run(RUN_INSTANCES, "--wait", "ami-1")
    assert played.status == 1
    assert "i-1" in played.out
    assert played.err == "econe-run-instances: i-1 is terminated: no room\n"


def test_waiting_has_an_end(cloud, run, monkeypatch):
    monkeypatch.setattr(waiting, "LONGEST_S", 0.01)
    cloud.answers = [launched(instance("i-1", "pending")), described(instance("i-1", "pending"))]
    played = run(RUN_INSTANCES, "--wait", "ami-1")
    assert played.status == 1
    assert "i-1 not running after" in played.err


def test_run_as_json_after_waiting_shows_the_instances_as_they_then_are(cloud, run):
    cloud.answers = [
        launched(instance("i-1", "pending")),
        described(instance("i-1", "running", privateIpAddress="172.31.0.5")),
    ]
    told = json.loads(run(RUN_INSTANCES, "--json", "--wait", "ami-1").out)
    assert told["ownerAlias"] == "helen"
    assert told["instancesSet"][0]["privateIpAddress"] == "172.31.0.5"


# --- describe ----------------------------------------------------------------------------


def test_describe_prints_the_guides_table(cloud, run):
    cloud.answers = [described(instance(privateIpAddress="172.31.0.5"))]
    assert run(DESCRIBE_INSTANCES, "-H").out.splitlines() == [
        "Owner       Id           ImageId        State       IP              Type      ",
        "-" * 83,
        "helen       i-00000015   ami-00000001   running     172.31.0.5      m1.small  ",
    ]
    assert cloud.asked[0]["MaxResults"] == "1000"


def test_describe_takes_ids_and_then_asks_for_no_page(cloud, run):
    cloud.answers = [described(instance())]
    run(DESCRIBE_INSTANCES, "i-15,i-16", "i-17")
    assert {name: value for name, value in cloud.asked[0].items() if "." in name} == {
        "InstanceId.1": "i-15",
        "InstanceId.2": "i-16",
        "InstanceId.3": "i-17",
    }
    assert "MaxResults" not in cloud.asked[0]


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, ""),
        ({"privateIpAddress": "10.0.0.4"}, "10.0.0.4"),
        ({"privateIpAddress": "10.0.0.4", "ipAddress": "147.96.80.33"}, "147.96.80.33"),
        ({"privateIpAddress": "10.0.0.4", "sshAddress": "127.0.0.1:40022"}, "127.0.0.1:40022"),
    ],
)
def test_the_address_is_the_one_that_ssh_reaches(cloud, run, fields, shown):
    cloud.answers = [described(instance(**fields))]
    assert run(DESCRIBE_INSTANCES).out[52:68].strip() == shown


def test_without_a_name_the_owner_is_the_number(cloud, run):
    cloud.answers = [described(instance(), alias="")]
    assert run(DESCRIBE_INSTANCES).out.startswith("123456789012 ")


def test_no_instances_print_nothing_or_headers_only(cloud, run):
    cloud.answers = [xml("<R><reservationSet/></R>")]
    assert run(DESCRIBE_INSTANCES).out == ""
    assert len(run(DESCRIBE_INSTANCES, "-H").out.splitlines()) == 2


def test_describe_as_json_is_the_answers_structure(cloud, run):
    cloud.answers = [described(instance())]
    told = json.loads(run(DESCRIBE_INSTANCES, "--json").out)
    assert told["reservationSet"][0]["instancesSet"][0]["instanceState"]["name"] == "running"


# --- start, stop, terminate, reboot ------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "action", "doing"),
    [
        (START_INSTANCES, "StartInstances", "Starting"),
        (STOP_INSTANCES, "StopInstances", "Stopping"),
        (TERMINATE_INSTANCES, "TerminateInstances", "Terminating"),
    ],
)
def test_changes_are_told_with_the_state_before(cloud, run, tool, action, doing):
    cloud.answers = [changes(changed("i-00000001"), changed("i-00000002", "stopped"))]
    played = run(tool, "i-1,i-2")
    assert played.out.splitlines() == [
        f"Success: {doing} i-00000001 in running state",
        f"Success: {doing} i-00000002 in stopped state",
    ]
    assert cloud.asked == [
        {
            "Action": action,
            "Version": "2016-11-15",
            "InstanceId.1": "i-1",
            "InstanceId.2": "i-2",
        }
    ]


def test_reboot_is_told_alike(cloud, run):
    cloud.answers = [xml("<R><return>true</return></R>")]
    assert run(REBOOT_INSTANCES, "i-1").out == "Success: Rebooting i-00000001 in running state\n"


def test_stop_can_cut_the_power(cloud, run):
    cloud.answers = [changes(changed())]
    run(STOP_INSTANCES, "--force", "i-15")
    assert cloud.asked[0]["SkipOsShutdown"] == "true"


@pytest.mark.parametrize(
    "tool", [START_INSTANCES, STOP_INSTANCES, TERMINATE_INSTANCES, REBOOT_INSTANCES]
)
def test_changes_need_an_instance(cloud, run, tool):
    played = run(tool, ",")
    assert played.status == 2
    assert played.err == f"{tool.name}: missing INSTANCE-ID parameter\n"


def test_stop_waits_until_stopped(cloud, run):
    cloud.answers = [
        changes(changed("i-1")),
        described(instance("i-1", "stopping")),
        described(instance("i-1", "stopped")),
    ]
    assert run(STOP_INSTANCES, "--wait", "i-1").status == 0
    assert len(cloud.received) == 3


def test_an_instance_that_is_not_listed_any_more_is_terminated(cloud, run):
    gone = error("InvalidInstanceID.NotFound", "no i-1")
    cloud.answers = [
        changes(changed("i-1"), changed("i-2")),
        gone,
        gone,
        described(instance("i-2", "terminated")),
    ]
    assert run(TERMINATE_INSTANCES, "--wait", "i-1", "i-2").status == 0


def test_an_instance_that_vanishes_while_it_should_start_is_an_error(cloud, run):
    cloud.answers = [
        changes(changed("i-1", "stopped")),
        error("InvalidInstanceID.NotFound", "no i-1"),
    ]
    played = run(START_INSTANCES, "--wait", "i-1")
    assert played.status == 1
    assert played.out == "Success: Starting i-1 in stopped state\n"
    assert played.err == "econe-start-instances: no i-1 (InvalidInstanceID.NotFound)\n"


# --- console -----------------------------------------------------------------------------


def console(text: bytes) -> bytes:
    encoded = base64.b64encode(text).decode()
    return xml(f"<R><instanceId>i-1</instanceId><output>{encoded}</output></R>")


def test_the_console_is_printed_byte_by_byte(cloud, run, monkeypatch):
    cloud.answers = [console(b"\x1b[31mred\xff\r\nlast line")]
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", out)
    assert run(GET_CONSOLE_OUTPUT, "i-1").status == 0
    assert out.buffer.getvalue() == b"\x1b[31mred\xff\r\nlast line\n"


def test_a_console_before_its_first_byte_prints_nothing(cloud, run):
    cloud.answers = [xml("<R><instanceId>i-1</instanceId><output/></R>")]
    played = run(GET_CONSOLE_OUTPUT, "i-1")
    assert (played.status, played.out) == (0, "")


def test_on_a_terminal_a_console_cannot_steer_it():
    assert harmless("\x1b[31m\x00\x7f\r\n\ré\t漢\x9b") == "^[[31m^@^?\n^Mé\t漢?"


def test_a_console_that_is_not_base64_is_told(cloud, run):
    cloud.answers = [xml("<R><output>a</output></R>")]
    assert run(GET_CONSOLE_OUTPUT, "i-1").status == 1
