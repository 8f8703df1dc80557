"""The AWS CLI, unmodified, as a user types it: every command a process of its own.

Version 1 from PyPI; version 2 is on no registry.
"""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.clients.conftest import environment
from tests.support.cloud import Cloud
from tests.support.eventually import eventually


class Shell:
    """A user's shell with the CLI set up."""

    def __init__(self, cloud: Cloud, home: Path) -> None:
        self.home = home
        self.env = environment(cloud, home)
        self.cloud = cloud

    def try_run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["aws", "ec2", *words],
            env=self.env,
            check=False,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def __call__(self, *words: str) -> Any:
        """The answer, as the JSON that the CLI prints; None where it prints nothing."""
        done = self.try_run(*words)
        assert done.returncode == 0, (words, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def wait(self, state: str, *ids: str) -> None:
        """The CLI's waiter, once it is satisfied at its first look: between two it sleeps 15 s."""
        eventually(lambda: self.cloud.states(ids) == [state] * len(ids), within_s=20)
        self("wait", f"instance-{state}", "--instance-ids", *ids)


@pytest.fixture
def aws(cloud: Cloud, desk: Path) -> Shell:
    return Shell(cloud, desk)


def tags_of(aws: Shell, id_: str) -> dict[str, str]:
    told = aws("describe-tags", "--filters", f"Name=resource-id,Values={id_}")["Tags"]
    return {tag["Key"]: tag["Value"] for tag in told if not tag["Key"].startswith("aws:")}


def test_an_instance_by_a_launch_template(cloud: Cloud, aws: Shell) -> None:
    image = cloud.image()
    made = aws("create-key-pair", "--key-name", "mykey", "--key-type", "ed25519")
    assert made["KeyMaterial"].startswith("-----BEGIN")
    aws("wait", "key-pair-exists", "--key-names", "mykey")
    aws("wait", "image-available", "--image-ids", image)
    template = _template(aws, image)
    (aws.home / "hello.sh").write_text("#!/bin/sh\n")
    launched = aws(
        "run-instances", "--launch-template", f"LaunchTemplateId={template},Version=2",
        "--count", "2", "--user-data", "file://hello.sh",
        "--tag-specifications", "ResourceType=instance,Tags=[{Key=Name,Value=<web> & ü}]",
    )["Instances"]  # fmt: skip
    ids = [each["InstanceId"] for each in launched]
    assert {(each["InstanceType"], each["KeyName"]) for each in launched} == {("t2.small", "mykey")}
    aws.wait("running", *ids)
    aws("wait", "instance-status-ok", "--instance-ids", *ids)
    _is_changed(aws, ids[0])
    aws("terminate-instances", "--instance-ids", *ids)
    aws.wait("terminated", *ids)
    aws("delete-launch-template", "--launch-template-name", "web")
    aws("delete-key-pair", "--key-name", "mykey")
    assert aws("describe-key-pairs")["KeyPairs"] == []
    assert aws("describe-launch-templates")["LaunchTemplates"] == []


def _template(aws: Shell, image: str) -> str:
    data = {"ImageId": image, "InstanceType": "t2.micro", "KeyName": "mykey"}
    made = aws(
        "create-launch-template", "--launch-template-name", "web",
        "--launch-template-data", json.dumps(data),
    )  # fmt: skip
    id_ = str(made["LaunchTemplate"]["LaunchTemplateId"])
    aws(
        "create-launch-template-version", "--launch-template-id", id_, "--source-version", "1",
        "--launch-template-data", "InstanceType=t2.small",
    )  # fmt: skip
    aws("modify-launch-template", "--launch-template-id", id_, "--default-version", "2")
    told = aws("describe-launch-template-versions", "--launch-template-id", id_)
    by_number = {each["VersionNumber"]: each for each in told["LaunchTemplateVersions"]}
    assert by_number[2]["DefaultVersion"]
    assert by_number[2]["LaunchTemplateData"] == {**data, "InstanceType": "t2.small"}
    return id_


def _is_changed(aws: Shell, id_: str) -> None:
    aws("create-tags", "--resources", id_, "--tags", "Key=team,Value=a", "Key=empty,Value=")
    assert tags_of(aws, id_) == {"Name": "<web> & ü", "team": "a", "empty": ""}
    aws("delete-tags", "--resources", id_, "--tags", "Key=empty")
    named = (
        "--filters",
        "Name=tag:team,Values=a",
        "--query",
        "Reservations[].Instances[].[InstanceId]",
    )
    assert aws("describe-instances", *named) == [[id_]]
    aws("stop-instances", "--instance-ids", id_)
    aws.wait("stopped", id_)
    asked = ("--instance-id", id_)
    aws("modify-instance-attribute", *asked, "--instance-type", "Value=m1.small")
    aws("modify-instance-attribute", *asked, "--disable-api-termination")
    refused = aws.try_run("terminate-instances", "--instance-ids", id_)
    assert (refused.returncode, "OperationNotPermitted" in refused.stderr) == (255, True)
    aws("modify-instance-attribute", *asked, "--no-disable-api-termination")
    told = aws("describe-instance-attribute", *asked, "--attribute", "userData")
    assert base64.b64decode(told["UserData"]["Value"]) == b"#!/bin/sh\n"
    aws("start-instances", "--instance-ids", id_)
    aws.wait("running", id_)
    (types,) = aws("describe-instances", "--instance-ids", id_, *named[2:3],
                   "Reservations[].Instances[].[InstanceType,State.Name]")  # fmt: skip
    assert types == ["m1.small", "running"]


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
