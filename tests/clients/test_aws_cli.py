"""The AWS CLI, unmodified."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.clients.door import Door
from tests.clients.stories.aws_cli import Shell, play
from tests.support.cloud import Cloud


@pytest.fixture
def aws(cloud: Cloud, door: Door, desk: Path) -> Shell:
    return Shell(door, desk, cloud.states)


def test_an_instance_by_a_launch_template(cloud: Cloud, aws: Shell) -> None:
    """What it does and what it insists on stands in stories/aws_cli.py."""
    play(aws, cloud.image(), 2, "#!/bin/sh\n", lambda _id, _key: None)


def test_the_cli_pages_by_itself(cloud: Cloud, aws: Shell) -> None:
    cloud.running(7)
    query = ("--query", "length(Reservations[].Instances[])")
    assert aws("describe-instances", "--page-size", "5", *query) == 7
    first = aws("describe-tags", "--max-items", "1", "--page-size", "5")
    assert first["Tags"] == []
    types = aws("describe-instance-types", "--max-items", "3", "--page-size", "5")
    assert len(types["InstanceTypes"]) == 3
    again = aws("describe-instance-types", "--max-items", "3", "--page-size", "5",
                "--starting-token", types["NextToken"])  # fmt: skip
    names = [each["InstanceType"] for each in types["InstanceTypes"] + again["InstanceTypes"]]
    assert len(set(names)) == 6


def test_key_pairs_and_images(cloud: Cloud, aws: Shell) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", aws.home / "mine"],
        check=True,
    )
    material = ("--public-key-material", "fileb://mine.pub")
    imported = aws("import-key-pair", "--key-name", "mine", *material)
    told = aws("describe-key-pairs", "--key-names", "mine", "--include-public-key")["KeyPairs"][0]
    assert told["KeyFingerprint"] == imported["KeyFingerprint"]
    assert told["PublicKey"].split()[:2] == (aws.home / "mine.pub").read_text().split()[:2]
    image, other = cloud.image(), cloud.as_other().caller.number
    permission = json.dumps({"Add": [{"UserId": other}]})
    aws("modify-image-attribute", "--image-id", image, "--launch-permission", permission)
    shown = aws("describe-image-attribute", "--image-id", image, "--attribute", "launchPermission")
    assert shown["LaunchPermissions"] == [{"UserId": other}]
    aws("deregister-image", "--image-id", image)
    assert aws("describe-images", "--owners", "self")["Images"] == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("describe-instances", "--instance-ids", "i-99999999"), "InvalidInstanceID.NotFound"),
        (("describe-addresses", "--public-ips", "203.0.113.7"), "InvalidAddress.NotFound"),
        (("describe-regions", "--dry-run"), "DryRunOperation"),
        (("describe-spot-price-history",), "UnsupportedOperation"),
    ],
)
def test_what_goes_wrong_has_its_code(aws: Shell, words: tuple[str, ...], code: str) -> None:
    done = aws.try_run(*words)
    assert done.returncode == 255
    assert f"({code})" in done.stderr
