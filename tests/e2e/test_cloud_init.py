"""A stock Debian: its cloud-init finds out for itself that this is EC2, and is the judge of it."""

import gzip
import hashlib
import json
import re
import secrets
import subprocess
from base64 import b64encode
from dataclasses import dataclass, replace
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.guest import METADATA, Guest
from tests.e2e.server import Account
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.root]

BOOT_S = 420.0
"""Emulated, a boot takes a minute and a half on an idle machine of two cores."""
DISK_GIB = 3
TAGS = {"Name": "web one", "team:e2e": "a=b"}
LOAD = secrets.token_bytes(12_000)
CONFIG = f"""\
#cloud-config
write_files:
  - path: /srv/load
    encoding: b64
    content: {b64encode(LOAD).decode()}
  - path: /var/lib/cloud/scripts/per-boot/count
    permissions: "0755"
    content: |
      #!/bin/sh
      echo boot >>/srv/ran
groups: [elephants]
"""
SCRIPT = "#!/bin/sh\necho instance >>/srv/ran\n"
TOKEN = f"""\
token=$(curl -sS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {METADATA}/latest/api/token)
"""


def parcel() -> bytes:
    """User data as cloud-init takes them of several parts; packed, or EC2 would not take them."""
    parts = MIMEMultipart()
    parts.attach(MIMEText(CONFIG, "cloud-config"))
    parts.attach(MIMEText(SCRIPT, "x-shellscript"))
    plain = parts.as_bytes()
    assert len(plain) > 16_384
    return gzip.compress(plain)


@pytest.fixture(scope="module")
def rsa(helen: Account) -> Path:
    return helen.key_pair("rsakey", "rsa")


@pytest.fixture(scope="module")
def guest(helen: Account, debian_image: Path, rsa: Path) -> Guest:
    id_ = helen.launch(
        helen.image(debian_image),
        KeyName="rsakey",
        InstanceType="t3.micro",
        UserData=parcel(),
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": DISK_GIB}}],
        MetadataOptions={"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": key, "Value": value} for key, value in TAGS.items()],
            }
        ],
    )
    helen.ec2.get_waiter("instance_status_ok").wait(
        InstanceIds=[id_], WaiterConfig={"Delay": 1, "MaxAttempts": int(BOOT_S)}
    )
    return until_done(helen.guest(id_, rsa, "debian"))


def until_done(guest: Guest) -> Guest:
    """The key's owner can log in, and cloud-init says that it has come to its end."""
    eventually(lambda: guest.try_run("true").returncode == 0, within_s=BOOT_S, every_s=1)
    done = guest.try_run("cloud-init status --wait --long", within_s=BOOT_S)
    assert "status: done" in done.stdout.decode(), done.stdout
    return guest


@dataclass(frozen=True)
class Known:
    """What cloud-init knows, and what it wrote about getting to know it."""

    data: dict[str, Any]
    log: str
    ran: list[str]

    @classmethod
    def of(cls, guest: Guest) -> "Known":
        data, log, ran = guest.run_each(
            "cat /run/cloud-init/instance-data.json",
            "sudo cat /var/log/cloud-init.log",
            "cat /srv/ran",
        )
        return cls(json.loads(data), log, ran.split())

    @property
    def found(self) -> dict[str, Any]:
        """By names that are the same for all clouds."""
        return dict(self.data["v1"])

    @property
    def meta_data(self) -> dict[str, Any]:
        return dict(self.data["ds"]["meta-data"])

    @property
    def complaints(self) -> list[str]:
        return re.findall(r".*\[(?:WARNING|ERROR|CRITICAL)\].*", self.log)


@pytest.fixture(scope="module")
def known(guest: Guest) -> Known:
    return Known.of(guest)


def host_keys(guest: Guest) -> set[str]:
    scan = ["ssh-keyscan", guest.host]
    lines = subprocess.run(scan, check=True, capture_output=True, text=True).stdout.splitlines()
    return {" ".join(line.split()[1:]) for line in lines if not line.startswith("#")}


def test_cloud_init_knows_ec2_without_being_told(guest: Guest, known: Known):
    name, search = guest.run_each("cloud-id", "cat /run/cloud-init/ds-identify.log")
    assert name == "aws"
    assert "Found single datasource: Ec2" in search
    assert known.found["platform"] == "ec2"
    assert known.found["subplatform"] == f"metadata (http://{METADATA})"


def test_it_has_read_the_whole_tree_at_the_first_attempt_and_complains_of_nothing(
    guest: Guest, known: Known
):
    assert known.complaints == []
    reads = re.findall(r"Read from http://\S+ \((\d+), \d+b\) after (\d+) attempts", known.log)
    assert len(reads) > 40
    assert set(reads) == {("200", "1")}
    assert known.data["ds"]["_metadata_api_version"] == "2021-03-23"
    assert guest.run("systemctl list-units --failed --plain --no-legend") == ""


def test_it_knows_the_instance_as_the_api_does(helen: Account, guest: Guest, known: Known):
    told, data = helen.describe(guest.id), known.meta_data
    zone = told["Placement"]["AvailabilityZone"]
    assert known.found["instance_id"] == told["InstanceId"]
    assert known.found["availability_zone"] == data["placement"]["availability-zone"] == zone
    assert known.found["region"] == helen.ec2.meta.region_name
    assert data["ami-id"] == told["ImageId"]
    assert data["instance-type"] == told["InstanceType"]
    assert data["local-hostname"] == told["PrivateDnsName"]
    (interface,) = told["NetworkInterfaces"]
    seen = data["network"]["interfaces"]["macs"][interface["MacAddress"]]
    assert seen["interface-id"] == interface["NetworkInterfaceId"]
    assert seen["local-ipv4s"] == told["PrivateIpAddress"]
    document = known.data["ds"]["dynamic"]["instance-identity"]["document"]
    assert document["accountId"] == helen.number
    assert document["privateIp"] == told["PrivateIpAddress"]


def test_the_guest_bears_its_name_and_is_found_by_it(helen: Account, guest: Guest):
    told = helen.describe(guest.id)
    name, found, links = guest.run_each(
        "hostname", f"getent ahostsv4 {told['PrivateDnsName']}", "ip -o -4 address show"
    )
    assert name == told["PrivateDnsName"].partition(".")[0]
    assert found.split()[0] == told["PrivateIpAddress"]
    assert f" inet {told['PrivateIpAddress']}/20 " in links


def test_the_keys_owner_is_the_only_one_who_can_log_in(helen: Account, guest: Guest, rsa: Path):
    (pair,) = helen.ec2.describe_key_pairs(KeyNames=["rsakey"], IncludePublicKey=True)["KeyPairs"]
    assert guest.run("cat .ssh/authorized_keys").split()[:2] == pair["PublicKey"].split()[:2]
    stranger = replace(guest, key=helen.key_pair("other")).try_run("true")
    assert b"Permission denied" in stranger.stderr
    root = replace(guest, user="root").try_run("true")
    assert b'Please login as the user "debian"' in root.stdout


def test_the_root_disk_has_grown_to_what_was_asked_for(guest: Guest):
    sizes = guest.run_each(
        "lsblk -bdno SIZE /dev/vda", "lsblk -bno SIZE /dev/vda1", "df -B1 --output=size / | tail -1"
    )
    disk, partition, files = map(int, sizes)
    assert disk == DISK_GIB << 30
    assert partition > disk - (8 << 20)
    assert files > 0.9 * disk


def test_all_parts_of_the_user_data_have_had_their_effect(guest: Guest, known: Known):
    load, group = guest.run_each("sha256sum </srv/load", "getent group elephants")
    assert load.split()[0] == hashlib.sha256(LOAD).hexdigest()
    assert group.startswith("elephants:")
    assert sorted(known.ran) == ["boot", "instance"]


def test_the_console_vouches_for_the_host_keys(helen: Account, guest: Guest):
    """As scripts for EC2 learn whom they talk to."""

    def output() -> str:
        return str(helen.ec2.get_console_output(InstanceId=guest.id, Latest=True)["Output"])

    eventually(lambda: "Cloud-init v. " in output() and "finished at" in output(), within_s=30)
    said = output()
    assert "Datasource DataSourceEc2Local" in said
    assert "-----BEGIN SSH HOST KEY FINGERPRINTS-----" in said
    (told,) = re.findall("BEGIN SSH HOST KEY KEYS(.*?)END SSH HOST KEY KEYS", said, re.DOTALL)
    assert set(re.findall(r"^((?:ssh|ecdsa)-\S+ \S+)", told, re.MULTILINE)) == host_keys(guest)


def test_the_guest_reads_its_tags_with_a_token_while_it_may(
    helen: Account, guest: Guest, known: Known
):
    assert known.meta_data["tags"] == {"instance": TAGS}
    helen.ec2.create_tags(Resources=[guest.id], Tags=[{"Key": "late", "Value": "1"}])
    tags = f"{METADATA}/latest/meta-data/tags/instance"
    status = "curl -sS -o /dev/null -w '%{http_code}'"
    with_token = f'{status} -H "X-aws-ec2-metadata-token: $token"'
    assert guest.run_each(f"{status} {tags}/Name", f"{TOKEN} {with_token} {tags}/late") == [
        "401",
        "200",
    ]
    helen.ec2.modify_instance_metadata_options(InstanceId=guest.id, InstanceMetadataTags="disabled")
    assert guest.run(f"{TOKEN} {with_token} {tags}/Name") == "404"


def test_after_a_stop_and_a_start_it_is_the_same_instance(helen: Account, guest: Guest):
    keys, boot = host_keys(guest), guest.boot()
    helen.ec2.stop_instances(InstanceIds=[guest.id])
    helen.until(guest.id, "stopped")
    helen.ec2.start_instances(InstanceIds=[guest.id])
    helen.until(guest.id, "running")
    until_done(guest)
    now, shutdown, before = guest.run_each(
        "cat /proc/sys/kernel/random/boot_id",
        "last -x shutdown",
        "cat /var/lib/cloud/data/previous-instance-id",
    )
    assert now != boot
    assert shutdown.startswith("shutdown system down")  # asked, not cut off
    known = Known.of(guest)
    assert known.found["instance_id"] == before == guest.id
    assert known.ran.count("instance") == 1
    assert known.ran.count("boot") == 2
    assert host_keys(guest) == keys
    assert known.complaints == []
    assert "tags" not in known.meta_data
