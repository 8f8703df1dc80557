"""The tree as EC2 User Guide, "Instance metadata categories", lists it."""

import json

import pytest

from econe.domain.instances import MetadataOptions
from econe.domain.monitoring import Monitoring
from econe.metadata import tree

MAC = "/latest/meta-data/network/interfaces/macs/02:00:00:00:00:01"


def text(facts, path):
    answer = tree.answer(facts, path)
    return None if answer is None else answer.body.decode()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ami-id", "ami-00000001"),
        ("ami-launch-index", "0"),
        ("ami-manifest-path", "(unknown)"),
        ("block-device-mapping/", "ami\nroot\nebs1"),
        ("block-device-mapping/ami", "/dev/sda1"),
        ("block-device-mapping/root", "/dev/sda1"),
        ("block-device-mapping/ebs1", "sdf"),
        ("events/maintenance/", "history\nscheduled"),
        ("events/maintenance/scheduled", "[]"),
        ("hostname", "ip-172-31-0-4.ec2.internal"),
        ("instance-action", "none"),
        ("instance-id", "i-00000001"),
        ("instance-life-cycle", "on-demand"),
        ("instance-type", "m1.small"),
        ("local-hostname", "ip-172-31-0-4.ec2.internal"),
        ("local-ipv4", "172.31.0.4"),
        ("mac", "02:00:00:00:00:01"),
        ("network/", "interfaces/"),
        ("network/interfaces/macs/", "02:00:00:00:00:01/"),
        ("placement/", "availability-zone\navailability-zone-id\nregion"),
        ("placement/availability-zone", "us-east-1a"),
        ("placement/availability-zone-id", "use1-az1"),
        ("placement/region", "us-east-1"),
        ("profile", "default-hvm"),
        ("public-keys/", "0=mykey"),
        ("public-keys/0/", "openssh-key"),
        ("public-keys/0/openssh-key", "ssh-ed25519 AAAA mykey\n"),
        ("reservation-id", "r-00000001"),
        ("security-groups", "default\nweb"),
        ("services/domain", "amazonaws.com"),
        ("services/partition", "aws"),
        ("tags/instance/Name", None),
        ("iam/", None),
        ("public-ipv4", None),
        ("instance-id/more", None),
    ],
)
def test_each_category_says_what_the_row_says(facts, path, expected):
    assert text(facts(), f"/latest/meta-data/{path}") == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("device-number", "0"),
        ("interface-id", "eni-00000001"),
        ("local-hostname", "ip-172-31-0-4.ec2.internal"),
        ("local-ipv4s", "172.31.0.4"),
        ("mac", "02:00:00:00:00:01"),
        ("owner-id", "123456789012"),
        ("security-group-ids", "sg-00000001\nsg-00000002"),
        ("security-groups", "default\nweb"),
        ("subnet-id", "subnet-00000001"),
        ("subnet-ipv4-cidr-block", "172.31.0.0/20"),
        ("vpc-id", "vpc-00000001"),
        ("vpc-ipv4-cidr-block", "172.31.0.0/16"),
        ("vpc-ipv4-cidr-blocks", "172.31.0.0/16"),
    ],
)
def test_each_interface_has_its_directory(facts, name, expected):
    assert text(facts(), f"{MAC}/{name}") == expected
    assert name in text(facts(), f"{MAC}/").split("\n")


def test_the_root_lists_the_versions_and_latest(facts):
    lines = text(facts(), "/").split("\n")
    assert lines[0] == "2009-04-04"
    assert lines[-1] == "latest"
    assert lines[:-1] == sorted(lines[:-1])


@pytest.mark.parametrize("version", [*tree.VERSIONS, "latest"])
def test_whatever_is_listed_is_there_in_every_version(facts, version):
    """As cloud-init's crawler walks it: every line of every listing can be asked for."""
    tagged = facts(metadata_options=MetadataOptions(instance_tags="enabled"), tags={"Name": "a"})
    todo, leaves = [f"/{version}/meta-data/", f"/{version}/dynamic/"], 0
    while todo:
        path = todo.pop()
        for line in text(tagged, path).split("\n"):
            name, is_key, _ = line.partition("=")
            if is_key:
                todo.append(f"{path}{name}/")
            elif line.endswith("/"):
                todo.append(path + line)
            else:
                assert text(tagged, path + line) is not None, path + line
                leaves += 1
    assert leaves > 15


def test_a_version_below_lists_without_slashes_and_only_what_there_is(facts):
    assert text(facts(), "/latest/") == "dynamic\nmeta-data\nuser-data"
    assert text(facts(user_data=None), "/latest") == "dynamic\nmeta-data"


def test_unknown_versions_are_not_there(facts):
    for version in ("1.0", "2008-02-01", "2020-01-01", "LATEST", "latest%00"):
        assert tree.answer(facts(), f"/{version}/meta-data/") is None


@pytest.mark.parametrize(
    ("name", "before", "since"),
    [
        ("tags", "2021-01-03", "2021-03-23"),
        ("events", "2018-03-28", "2018-08-17"),
        ("mac", "2009-04-04", "2011-01-01"),
        ("system", "2021-07-15", "2022-09-24"),
        ("services", "2012-01-12", "2014-02-25"),
    ],
)
def test_categories_are_known_from_their_version_on(facts, name, before, since):
    shown = facts(metadata_options=MetadataOptions(instance_tags="enabled"))
    assert tree.answer(shown, f"/{before}/meta-data/{name}") is None
    assert tree.answer(shown, f"/{since}/meta-data/{name}") is not None


def test_deeper_categories_are_known_from_their_version_on(facts):
    assert text(facts(), "/2018-09-24/meta-data/placement/") == "availability-zone"
    later = text(facts(), "/2019-10-01/meta-data/placement/")
    assert later == "availability-zone\navailability-zone-id"
    assert text(facts(), "/2014-11-05/meta-data/services/") == "domain"


def test_user_data_comes_byte_for_byte(facts):
    answer = tree.answer(facts(), "/2009-04-04/user-data")
    assert answer.body == b"#!/bin/sh\nexit \xff\x00\r\n"
    assert answer.content_type == "application/octet-stream"
    assert tree.answer(facts(user_data=None), "/latest/user-data") is None


def test_without_a_key_there_are_no_public_keys(facts):
    bare = facts(key_name=None, public_key=None)
    assert "public-keys/" not in text(bare, "/latest/meta-data/").split("\n")
    assert tree.answer(bare, "/latest/meta-data/public-keys/") is None


def test_tags_show_only_when_enabled(facts):
    assert "tags/" not in text(facts(), "/latest/meta-data/").split("\n")
    shown = facts(metadata_options=MetadataOptions(instance_tags="enabled"))
    assert text(shown, "/latest/meta-data/tags/instance/") == "Name"
    assert text(shown, "/latest/meta-data/tags/instance/Name") == "web one"


def test_no_tag_is_listed_that_clients_cannot_ask_for(facts):
    """An older econe took such keys; cloud-init's whole crawl fails with the first of them."""
    tags = {"a/b": "1", "a b": "2", "..": "3", "_index": "4", "é": "5", "aws:ec2:x": "6"}
    shown = facts(metadata_options=MetadataOptions(instance_tags="enabled"), tags=tags)
    assert text(shown, "/latest/meta-data/tags/instance/") == "aws:ec2:x"
    assert text(shown, "/latest/meta-data/tags/instance/a%2Fb") is None


def test_the_guest_learns_whether_it_is_monitored(facts):
    path = "/latest/dynamic/fws/instance-monitoring"
    assert text(facts(), path) == "disabled"
    assert text(facts(monitoring=Monitoring.ENABLED), path) == "enabled"


def test_the_identity_document_says_what_drivers_read(facts):
    """The EBS CSI driver needs instanceId, instanceType, region and availabilityZone."""
    document = json.loads(text(facts(), "/latest/dynamic/instance-identity/document"))
    assert document == {
        "accountId": "123456789012",
        "architecture": "x86_64",
        "availabilityZone": "us-east-1a",
        "billingProducts": None,
        "devpayProductCodes": None,
        "marketplaceProductCodes": None,
        "imageId": "ami-00000001",
        "instanceId": "i-00000001",
        "instanceType": "m1.small",
        "kernelId": None,
        "pendingTime": "2026-11-23T16:00:07Z",
        "privateIp": "172.31.0.4",
        "ramdiskId": None,
        "region": "us-east-1",
        "version": "2017-09-30",
    }


def test_the_identity_directory_is_there_and_claims_no_signature(facts):
    """cloud-init lists it; a 404 there makes it retry for minutes."""
    for version in ("2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23", "latest"):
        assert text(facts(), f"/{version}/dynamic/instance-identity") == "document"


def test_slashes_at_the_end_make_no_difference(facts):
    for path in ("/latest/meta-data/instance-id", "/latest/meta-data/placement", "//latest"):
        assert tree.answer(facts(), path) == tree.answer(facts(), f"{path}/")
