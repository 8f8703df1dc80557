"""The story with unmodified boto3 and the AWS CLI: what a guest gets is what was asked for."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import leavings
from tests.e2e.guest import Guest
from tests.e2e.server import Account, Server
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.root]

USER_DATA = bytes(range(256)) * 64
"""16 KiB, the most there may be, with every byte; no script."""
TAGS = {"Name": "first <one> & öäü", "team": "e2e"}
TOKEN = "X-aws-ec2-metadata-token"


@pytest.fixture(scope="module")
def first(helen: Account, tiny: str, key: Path) -> Guest:
    """With everything that RunInstances takes here, and session tokens optional."""
    id_ = helen.launch(
        tiny,
        KeyName="mykey",
        UserData=USER_DATA,
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 2}}],
        MetadataOptions={"InstanceMetadataTags": "enabled"},
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": name, "Value": value} for name, value in TAGS.items()],
            }
        ],
    )
    return arrive(helen, id_, key)


@pytest.fixture(scope="module")
def guarded(helen: Account, tiny: str, key: Path) -> Guest:
    """One that insists on session tokens."""
    id_ = helen.launch(tiny, KeyName="mykey", MetadataOptions={"HttpTokens": "required"})
    return arrive(helen, id_, key)


def arrive(account: Account, id_: str, key: Path) -> Guest:
    account.ec2.get_waiter("instance_running").wait(
        InstanceIds=[id_], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    return account.guest(id_, key).until_there()


def ids_by(account: Account, **filters: str) -> list[str]:
    """Ids of the instances that pass all filters; two underlines stand for a colon."""
    asked = [
        {"Name": name.replace("__", ":").replace("_", "-"), "Values": [value]}
        for name, value in filters.items()
    ]
    answer = account.ec2.describe_instances(Filters=asked)
    return [i["InstanceId"] for r in answer["Reservations"] for i in r["Instances"]]


def test_waiters_see_an_instance_run_and_be_well(helen: Account, first: Guest):
    helen.ec2.get_waiter("instance_status_ok").wait(
        InstanceIds=[first.id], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )


def test_the_root_disk_has_the_size_that_was_asked_for(helen: Account, first: Guest):
    assert int(first.run("cat /sys/block/vda/size")) * 512 == 2 << 30
    (mapping,) = helen.describe(first.id)["BlockDeviceMappings"]
    (volume,) = helen.ec2.describe_volumes(VolumeIds=[mapping["Ebs"]["VolumeId"]])["Volumes"]
    assert (volume["Size"], volume["State"]) == (2, "in-use")
    assert first.run("cat /sys/block/vda/serial") == volume["VolumeId"].replace("-", "")


def test_a_root_disk_is_at_least_a_gibibyte(guarded: Guest):
    assert int(guarded.run("cat /sys/block/vda/size")) * 512 == 1 << 30


def test_the_guest_has_the_memory_and_cores_of_its_type(helen: Account, first: Guest):
    (kind,) = helen.ec2.describe_instance_types(InstanceTypes=["t1.micro"])["InstanceTypes"]
    assert int(first.run("nproc")) == kind["VCpuInfo"]["DefaultVCpus"]
    has_kib = int(first.run("grep MemTotal /proc/meminfo").split()[1])
    assert 0.8 < has_kib / 1024 / kind["MemoryInfo"]["SizeInMiB"] <= 1


def test_the_guest_has_the_address_name_and_router_that_are_told(helen: Account, first: Guest):
    told = helen.describe(first.id)
    address = told["PrivateIpAddress"]
    assert first.host == address
    assert f"inet {address}/20" in first.run("ip -4 address show eth0")
    assert (
        first.run("cat /sys/class/net/eth0/address") == told["NetworkInterfaces"][0]["MacAddress"]
    )
    assert first.run("hostname") == told["PrivateDnsName"]
    assert f"Address: {address}" in first.run(f"nslookup {told['PrivateDnsName']}")


def test_user_data_arrive_to_the_byte(helen: Account, first: Guest):
    there = first.run("imds user-data | sha256sum").split()[0]
    assert there == hashlib.sha256(USER_DATA).hexdigest()
    assert first.metadata("latest/user-data") == (200, USER_DATA)


def test_user_data_of_one_byte_more_are_refused(helen: Account, tiny: str):
    with pytest.raises(helen.ec2.exceptions.ClientError, match="16384 bytes") as refused:
        helen.launch(tiny, UserData=USER_DATA + b"x")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_metadata_of_the_first_version_tell_of_the_guest_itself(helen: Account, first: Guest):
    told = helen.describe(first.id)
    for path, value in {
        "instance-id": first.id,
        "ami-id": told["ImageId"],
        "instance-type": "t1.micro",
        "local-ipv4": told["PrivateIpAddress"],
        "mac": told["NetworkInterfaces"][0]["MacAddress"],
        "placement/availability-zone": told["Placement"]["AvailabilityZone"],
        "public-keys/": "0=mykey",
        "reservation-id": reservation_of(helen, first.id),
        "security-groups": told["SecurityGroups"][0]["GroupName"],
    }.items():
        assert first.metadata(f"latest/meta-data/{path}") == (200, value.encode()), path
    status, document = first.metadata("2009-04-04/dynamic/instance-identity/document")
    assert status == 200
    assert json.loads(document)["accountId"] == helen.number
    assert first.metadata("latest/meta-data/no-such-thing")[0] == 404


def reservation_of(account: Account, id_: str) -> str:
    (reservation,) = account.ec2.describe_instances(InstanceIds=[id_])["Reservations"]
    return str(reservation["ReservationId"])


def test_metadata_of_the_second_version_take_a_session_token(first: Guest, guarded: Guest):
    for guest in (first, guarded):
        token = session(guest)
        status, body = guest.metadata("latest/meta-data/instance-id", f"{TOKEN}: {token}")
        assert (status, body) == (200, guest.id.encode())
    of_another = session(first)
    assert guarded.metadata("latest/meta-data/", f"{TOKEN}: {of_another}")[0] == 401


def session(guest: Guest) -> str:
    status, token = guest.metadata(
        "latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 60", method="PUT"
    )
    assert status == 200
    return token.decode()


def test_where_tokens_are_required_the_first_version_is_refused(guarded: Guest):
    for path in ("latest/meta-data/instance-id", "latest/user-data", "latest/"):
        assert guarded.metadata(path)[0] == 401
    assert guarded.metadata("latest/meta-data/", f"{TOKEN}: made up")[0] == 401


def test_what_came_through_a_proxy_is_refused(first: Guest):
    assert first.metadata("latest/meta-data/", "X-Forwarded-For: 10.0.0.1")[0] == 403
    header = "X-aws-ec2-metadata-token-ttl-seconds: 60"
    proxied = first.metadata("latest/api/token", header, "X-Forwarded-For: 1.2.3.4", method="PUT")
    assert proxied[0] == 403


def test_tags_are_in_the_metadata_only_where_that_was_asked_for(
    helen: Account, first: Guest, guarded: Guest
):
    assert first.run("imds meta-data/tags/instance/").split("\n") == sorted(TAGS)
    assert first.read("imds meta-data/tags/instance/Name").decode() == TAGS["Name"]
    assert guarded.try_run("imds meta-data/tags/instance/").returncode != 0
    helen.ec2.create_tags(Resources=[first.id], Tags=[{"Key": "team", "Value": "other"}])
    assert first.run("imds meta-data/tags/instance/team") == "other"
    helen.ec2.create_tags(Resources=[first.id], Tags=[{"Key": "team", "Value": TAGS["team"]}])


def test_the_console_is_told_as_the_guest_wrote_it(helen: Account, first: Guest):
    mark = f"mark-{os.urandom(4).hex()} <&> end"
    first.run(f"echo '{mark}' >/dev/ttyS0")

    def shown() -> bool:
        answer = helen.ec2.get_console_output(InstanceId=first.id, Latest=True)
        return mark in answer.get("Output", "")

    eventually(shown, within_s=10)
    assert "tiny: ready" in helen.said("econe-get-console-output", first.id)


def test_instances_are_found_by_what_they_are(helen: Account, first: Guest, guarded: Guest):
    told = helen.describe(first.id)
    assert ids_by(helen, tag__team="e?e") == [first.id]
    assert ids_by(helen, tag__Name="*<one> & ö*") == [first.id]
    assert ids_by(helen, private_ip_address=told["PrivateIpAddress"]) == [first.id]
    running = ids_by(helen, instance_state_name="running", key_name="mykey")
    assert {first.id, guarded.id} <= set(running)
    assert ids_by(helen, instance_state_name="stopped", tag__team="e2e") == []
    options = "metadata_options.http_tokens"
    assert ids_by(helen, **{options: "required"}) == [guarded.id]


def test_the_tools_and_the_aws_cli_play_the_story(
    server: Server, helen: Account, tiny: str, key: Path
):
    script = helen.desk / "hello.sh"
    script.write_text("#!/bin/sh\necho hello from $(imds meta-data/instance-id)\n")
    ran = helen.said(
        *("econe-run-instances", "-H", "--wait", "-k", "mykey", "-f", str(script), tiny)
    )
    by_tool = re.search(r"^helen +ami-\S+ +(i-\S+) +m1.small$", ran, re.MULTILINE)[1]
    aws = ("aws", "ec2", "--output", "text")
    by_cli = helen.said(
        *aws, "run-instances", "--image-id", tiny, "--instance-type", "t2.micro",
        "--key-name", "mykey", "--user-data", f"file://{script}",
        "--query", "Instances[0].InstanceId",
    ).strip()  # fmt: skip
    both = (by_tool, by_cli)
    for id_ in both:
        helen.until(id_, "running")  # the CLI's own waiters look every 15 s
        guest = helen.guest(id_, key).until_there()
        assert guest.run("cat /var/log/user-data.log") == f"hello from {id_}"
    told = helen.said(*aws, "get-console-output", "--instance-id", by_cli, "--latest")
    assert f"user-data: hello from {by_cli}" in told
    ended = helen.said("econe-terminate-instances", "--wait", by_tool)
    assert ended == f"Success: Terminating {by_tool} in running state\n"
    helen.said(*aws, "terminate-instances", "--instance-ids", by_cli)
    helen.until(by_cli, "terminated")
    assert not [left for left in leavings.of_instances(server.state) if by_cli in left]


def test_termination_leaves_nothing_but_its_row_and_console(
    server: Server, helen: Account, first: Guest, guarded: Guest
):
    answer = helen.ec2.terminate_instances(InstanceIds=[first.id, guarded.id])
    assert {each["PreviousState"]["Name"] for each in answer["TerminatingInstances"]} == {"running"}
    waiter = helen.ec2.get_waiter("instance_terminated")
    waiter.wait(InstanceIds=[first.id, guarded.id], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    assert leavings.of_instances(server.state) == []
    assert helen.ec2.describe_volumes()["Volumes"] == []
    assert helen.ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    told: dict[str, Any] = helen.describe(first.id)
    assert told["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert "PrivateIpAddress" not in told
    assert "tiny: going down" in helen.said("econe-get-console-output", first.id)
