"""What has bitten other clouds that speak EC2: each of these broke a real client.

The clients are named; those that cannot be installed here any more (boto 2, fog, euca2ools) are
played by the requests that they send.
"""

import base64
import gzip
import re
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import fromstring

import boto3
import pytest
from tests.front.conftest import Desk
from tests.support.cloud import Cloud

from econe.domain.instances import STATE_CODES

EUCA2OOLS, BOTO2, FOG, LIBCLOUD = "2015-10-01", "2014-10-01", "2016-09-15", "2016-11-15"


@pytest.fixture
def instance(desk: Desk) -> str:
    image = Cloud(desk.app, "", desk.caller).image()
    asked = {"ImageId": image, "MinCount": "1", "MaxCount": "1"}
    return desk.ask("RunInstances", **asked).all("instanceId")[0]


@pytest.mark.parametrize("version", [EUCA2OOLS, BOTO2, FOG, LIBCLOUD, "2010-08-31"])
@pytest.mark.parametrize("how", ["v4", "v4-get", "v2", "v2-get"])
def test_answers_have_the_namespace_of_the_version_that_was_asked_for(
    desk: Desk, version: str, how: str
) -> None:
    """Libcloud finds no element in another."""
    answer = fromstring(desk.ask("DescribeRegions", how, Version=version).text)
    namespace = f"{{http://ec2.amazonaws.com/doc/{version}/}}"
    assert answer.tag == f"{namespace}DescribeRegionsResponse"
    assert answer.findtext(f".//{namespace}regionName") == "us-east-1"


@pytest.mark.parametrize("version", [EUCA2OOLS, LIBCLOUD])
def test_errors_have_none(desk: Desk, version: str) -> None:
    """All of them look for Errors/Error/Code as it stands."""
    asked = {"Version": version, "InstanceId.1": "i-99999999"}
    answer = fromstring(desk.ask("DescribeInstances", **asked).text)
    assert answer.tag == "Response"
    assert answer.findtext("Errors/Error/Code") == "InvalidInstanceID.NotFound"
    assert answer.findtext("RequestID")


@pytest.mark.parametrize("first", [0, 1])
def test_lists_begin_at_nought_or_one(desk: Desk, instance: str, first: int) -> None:
    """fog begins them at nought, Libcloud those of CreateTags."""
    asked = {f"ResourceId.{first}": instance, f"Tag.{first}.Key": "a"}
    assert desk.ask("CreateTags", "v2", **asked, **{f"Tag.{first}.Value": ""}).status == 200
    found = desk.ask("DescribeInstances", "v2", **{f"InstanceId.{first}": instance})
    assert instance in found.text


def test_an_empty_value_of_a_filter_is_one(desk: Desk, instance: str) -> None:
    """What is tagged with nothing is found by it, and nothing else is."""
    tag = {"ResourceId.1": instance, "Tag.1.Key": "empty", "Tag.1.Value": ""}
    assert desk.ask("CreateTags", **tag).status == 200
    for name, found in (("tag:empty", True), ("tag:other", False)):
        asked = {"Filter.1.Name": name, "Filter.1.Value.1": ""}
        answer = desk.ask("DescribeInstances", **asked)
        assert (answer.status, instance in answer.text) == (200, found)


# --- with boto3 --------------------------------------------------------------------------


@pytest.mark.parametrize("region", ["eu-west-3", "one", "us-gov-east-1"])
def test_requests_may_be_signed_for_any_region(cloud: Cloud, region: str) -> None:
    """Jenkins, Terraform and many scripts have one configured."""
    ec2 = boto3.client(
        "ec2",
        region_name=region,
        endpoint_url=cloud.url,
        aws_access_key_id=cloud.caller.access_key,
        aws_secret_access_key=cloud.caller.secret,
    )
    assert ec2.describe_regions()["Regions"][0]["RegionName"] == "us-east-1"


def test_what_was_made_is_there_at_once(cloud: Cloud) -> None:
    """Clients look right after they have asked, each time by a new connection; many never retry."""
    ec2 = cloud.client
    image = cloud.image()
    pair = ec2().create_key_pair(KeyName="mykey")["KeyPairId"]
    assert ec2().describe_key_pairs(KeyPairIds=[pair])["KeyPairs"][0]["KeyName"] == "mykey"
    asked = {"LaunchTemplateName": "web", "LaunchTemplateData": {"ImageId": image}}
    template = ec2().create_launch_template(**asked)["LaunchTemplate"]["LaunchTemplateId"]
    assert len(ec2().describe_launch_templates(LaunchTemplateIds=[template])["LaunchTemplates"])
    launched = ec2().run_instances(
        MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateId": template}
    )
    id_ = launched["Instances"][0]["InstanceId"]
    assert cloud.states([id_])[0] in ("pending", "running")
    ec2().create_tags(Resources=[id_], Tags=[{"Key": "a", "Value": "b"}])
    assert ec2().describe_tags(Filters=[{"Name": "key", "Values": ["a"]}])["Tags"]
    ec2().terminate_instances(InstanceIds=[id_])
    assert cloud.states([id_])[0] in ("shutting-down", "terminated")
    ec2().delete_tags(Resources=[id_], Tags=[{"Key": "a"}])
    assert not ec2().describe_tags(Filters=[{"Name": "key", "Values": ["a"]}])["Tags"]


MAKES: dict[str, tuple[Callable[[Any, str], str], Callable[[Any, str], Any]]] = {
    "key": (
        lambda ec2, _image: ec2.create_key_pair(KeyName="k")["KeyPairId"],
        lambda ec2, id_: ec2.delete_key_pair(KeyPairId=id_),
    ),
    "lt": (
        lambda ec2, image: ec2.create_launch_template(
            LaunchTemplateName="web", LaunchTemplateData={"ImageId": image}
        )["LaunchTemplate"]["LaunchTemplateId"],
        lambda ec2, id_: ec2.delete_launch_template(LaunchTemplateId=id_),
    ),
    "i": (
        lambda ec2, image: ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0][
            "InstanceId"
        ],
        lambda ec2, id_: ec2.terminate_instances(InstanceIds=[id_]),
    ),
}


@pytest.mark.parametrize("prefix", MAKES)
def test_an_id_has_eight_digits_and_never_comes_again(cloud: Cloud, ec2: Any, prefix: str) -> None:
    """Tools match 8 or 17 hexadecimal digits, and keep what they know of an id."""
    make, end = MAKES[prefix]
    image, given = cloud.image(), []
    for _ in range(3):
        given.append(make(ec2, image))
        end(ec2, given[-1])
    assert all(re.fullmatch(rf"{prefix}-[0-9a-f]{{8}}", id_) for id_ in given)
    assert given == sorted(set(given))


def test_user_data_that_are_compressed_stay_as_they_are(cloud: Cloud, ec2: Any) -> None:
    """cloud-init decompresses them, not the cloud."""
    given = gzip.compress(b"#!/bin/sh\n" * 3000)
    (id_,) = cloud.running(UserData=given)
    told = ec2.describe_instance_attribute(InstanceId=id_, Attribute="userData")["UserData"]
    assert base64.b64decode(told["Value"]) == given


def test_states_have_amazons_numbers() -> None:
    """API reference, InstanceState: clients compare the codes, too."""
    assert {state.value: code for state, code in STATE_CODES.items()} == {
        "pending": 0,
        "running": 16,
        "shutting-down": 32,
        "terminated": 48,
        "stopping": 64,
        "stopped": 80,
    }
