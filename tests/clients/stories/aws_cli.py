"""The AWS CLI, unmodified, as a user types it: every command a process of its own.

Version 1 from PyPI; version 2 is on no registry.
"""

import base64
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.clients.door import Door, environment
from tests.support.eventually import eventually

States = Callable[[Sequence[str]], list[str]]
"""Of instances by id, asked beside the CLI."""


class Shell:
    """A user's shell with the CLI set up."""

    def __init__(self, door: Door, home: Path, states: States, within_s: float = 20) -> None:
        self.home = home
        self.env = environment(door, home)
        self.states, self.within_s = states, within_s

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
        eventually(
            lambda: self.states(ids) == [state] * len(ids), within_s=self.within_s, every_s=0.1
        )
        self("wait", f"instance-{state}", "--instance-ids", *ids)


def tags_of(aws: Shell, id_: str) -> dict[str, str]:
    told = aws("describe-tags", "--filters", f"Name=resource-id,Values={id_}")["Tags"]
    return {tag["Key"]: tag["Value"] for tag in told if not tag["Key"].startswith("aws:")}


def play(
    aws: Shell, image: str, count: int, user_data: str, look: Callable[[str, str], None]
) -> None:
    """Create, read, change, delete, by a launch template. `look` is told id and private key of an
    instance that runs."""
    made = aws("create-key-pair", "--key-name", "aws", "--key-type", "ed25519")
    aws("wait", "key-pair-exists", "--key-names", "aws")
    aws("wait", "image-available", "--image-ids", image)
    template = _template(aws, image)
    (aws.home / "hello.sh").write_text(user_data)
    launched = aws(
        "run-instances", "--launch-template", f"LaunchTemplateId={template},Version=2",
        "--count", str(count), "--user-data", "file://hello.sh",
        "--tag-specifications", "ResourceType=instance,Tags=[{Key=Name,Value=<web> & ü}]",
    )["Instances"]  # fmt: skip
    ids = [each["InstanceId"] for each in launched]
    assert {(each["InstanceType"], each["KeyName"]) for each in launched} == {("t2.small", "aws")}
    aws.wait("running", *ids)
    look(ids[0], made["KeyMaterial"])
    aws("wait", "instance-status-ok", "--instance-ids", *ids)
    _is_changed(aws, ids[0], user_data)
    look(ids[0], made["KeyMaterial"])
    aws("terminate-instances", "--instance-ids", *ids)
    aws.wait("terminated", *ids)
    aws("delete-launch-template", "--launch-template-name", "web")
    aws("delete-key-pair", "--key-name", "aws")
    assert "aws" not in [each["KeyName"] for each in aws("describe-key-pairs")["KeyPairs"]]
    assert aws("describe-launch-templates")["LaunchTemplates"] == []


def _template(aws: Shell, image: str) -> str:
    data = {"ImageId": image, "InstanceType": "t2.micro", "KeyName": "aws"}
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


def _is_changed(aws: Shell, id_: str, user_data: str) -> None:
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
    told = aws("get-console-output", "--instance-id", id_, "--latest")
    assert told["InstanceId"] == id_
    aws("stop-instances", "--instance-ids", id_)
    aws.wait("stopped", id_)
    asked = ("--instance-id", id_)
    aws("modify-instance-attribute", *asked, "--instance-type", "Value=m1.small")
    aws("modify-instance-attribute", *asked, "--disable-api-termination")
    refused = aws.try_run("terminate-instances", "--instance-ids", id_)
    assert (refused.returncode, "OperationNotPermitted" in refused.stderr) == (255, True)
    aws("modify-instance-attribute", *asked, "--no-disable-api-termination")
    told = aws("describe-instance-attribute", *asked, "--attribute", "userData")
    assert base64.b64decode(told["UserData"]["Value"]).decode() == user_data
    aws("start-instances", "--instance-ids", id_)
    aws.wait("running", id_)
    (types,) = aws("describe-instances", "--instance-ids", id_, *named[2:3],
                   "Reservations[].Instances[].[InstanceType,State.Name]")  # fmt: skip
    assert types == ["m1.small", "running"]
