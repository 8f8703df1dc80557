"""The story's boto3 part, as its own process: nothing but stock boto3 and the environment.

story_boto3.py run          a key pair, an instance of $HELLO_IMAGE, wait until it runs
story_boto3.py end i-…      terminate it and wait
"""

import os
import subprocess
import sys
from pathlib import Path

import boto3

USER_DATA = "#!/bin/sh\necho Hello Cloud from $(imds meta-data/instance-id) > /root/hello\n"


def run() -> None:
    ec2 = boto3.resource("ec2")
    key = Path("boto3.pem")
    key.write_text(ec2.create_key_pair(KeyName="boto3", KeyType="ed25519").key_material)
    key.chmod(0o600)
    (instance,) = ec2.create_instances(
        ImageId=os.environ["HELLO_IMAGE"],
        InstanceType="t3.micro",
        KeyName="boto3",
        MinCount=1,
        MaxCount=1,
        UserData=USER_DATA,
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "from <boto3> & öäü"}]}
        ],
    )
    print(f"{instance.id} is {instance.state['Name']}, tagged {instance.tags[0]['Value']}")
    instance.wait_until_running()
    told = subprocess.run(
        ["econe-describe-instances", instance.id], check=True, capture_output=True, text=True
    ).stdout
    print(f"{instance.id} is running at {told.split('running')[1].split()[0]}")


def end(name: str) -> None:
    instance = boto3.resource("ec2").Instance(name)
    answer = instance.terminate()["TerminatingInstances"][0]
    print(f"{name}: {answer['PreviousState']['Name']} -> {answer['CurrentState']['Name']}")
    instance.wait_until_terminated()
    instance.reload()
    print(f"{name} is {instance.state['Name']}")


if __name__ == "__main__":
    run() if sys.argv[1] == "run" else end(sys.argv[2])
