#!/usr/bin/env python3
"""Play the user guide's story on a real virtual machine; ./hello-cloud calls this after set-up.

Every command is a process of its own, as a user would run it; each is printed with its answer and
checked. The first thing that is not as the guide says ends the story with exit code 1.
"""

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from econe.engines.qemu.vpc_names import namespace_prefix, tag_of

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
USER_DATA = """\
#!/bin/sh
echo Hello Cloud from $(imds meta-data/instance-id) > /root/hello
cat /root/hello
"""
SSH = ("ssh", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
       "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=5", "-o", "BatchMode=yes")  # fmt: skip
PATIENCE_S = 120.0


class Broken(Exception):  # noqa: N818
    """The story went another way than the guide's."""


class Story:
    """Where the story plays: a state directory, a server, an environment for the tools."""

    def __init__(self, state: Path, listen: str) -> None:
        self.state = state
        self.desk = state / "desk"  # helen's own files
        self.desk.mkdir(parents=True)
        self.listen = listen
        self.server: subprocess.Popen[str] | None = None
        # Whose shell this is has, perhaps, another cloud, a session token or a proxy in it.
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "EC2_", "ONE_"))
        }
        self.env |= {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(self.desk),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    # --- telling ---

    def chapter(self, title: str) -> None:
        print(f"\n=== {title}", flush=True)

    def run(self, *command: str, expect: str = "", quiet: bool = False) -> str:
        """Run it, show it and its answer; `expect` is a pattern that the answer must have."""
        print(f"$ {shlex.join(command)}", flush=True)
        done = subprocess.run(command, env=self.env, cwd=self.desk, capture_output=True, text=True)
        said = (done.stdout + done.stderr).rstrip()
        if not quiet or done.returncode:
            print(said, flush=True)
        if done.returncode:
            raise Broken(f"{command[0]} ended with {done.returncode}")
        self.want(expect, said)
        return said

    def want(self, pattern: str, said: str) -> None:
        if not re.search(pattern, said, re.MULTILINE):
            raise Broken(f"expected {pattern!r} in: {said}")

    def until(self, what: str, *command: str, expect: str) -> str:
        """Repeat a command, silently, until its answer has the pattern; then show it."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            done = subprocess.run(
                command, env=self.env, cwd=self.desk, capture_output=True, text=True
            )
            if done.returncode == 0 and re.search(expect, done.stdout, re.MULTILINE):
                print(f"$ {shlex.join(command)}\n{done.stdout.rstrip()}", flush=True)
                return done.stdout
            time.sleep(0.5)
        raise Broken(f"{what} did not happen within {PATIENCE_S:.0f} s: {done.stdout}{done.stderr}")

    # --- the server ---

    def start(self) -> None:
        command = ["econe-server", "run", "--state", str(self.state), "--listen", self.listen,
                   "--engine", "qemu"]  # fmt: skip
        print(f"$ {shlex.join(command)} &", flush=True)
        said = self.state / "server.stderr"
        self.server = subprocess.Popen(
            command,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=said.open("w"),
            text=True,
            start_new_session=True,  # Ctrl-C ends the story, and the story ends the server
        )
        assert self.server.stdout
        line = self.server.stdout.readline()
        print(line.rstrip(), flush=True)
        if "ready on" not in line:
            raise Broken(said.read_text().rstrip() or "the server ended at once")
        self.url = line.split("ready on ")[1].strip()
        self.env |= {"EC2_URL": self.url, "AWS_ENDPOINT_URL": self.url}

    def stop(self) -> None:
        """End the server, then what it leaves running on purpose: guests and networks."""
        if self.server:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait(30)
            self.server = None
        self.run("econe-server", "down", "--state", str(self.state), "--engine", "qemu")


def main() -> int:
    parser = argparse.ArgumentParser(prog="hello-cloud", description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave the server running")
    parser.add_argument("--listen", default="127.0.0.1:4567", metavar="HOST:PORT")
    parser.add_argument("--state", type=Path, help="an empty directory (default: a new one)")
    asked = parser.parse_args()
    state = asked.state or Path(tempfile.mkdtemp(prefix="hello-cloud-"))
    story = Story(state.resolve(), asked.listen)
    begun = time.monotonic()
    try:
        tell(story)
    except (Broken, subprocess.TimeoutExpired, KeyboardInterrupt) as fault:
        print(f"hello-cloud: {fault or 'interrupted'}", file=sys.stderr)
        print(f"hello-cloud: the server's log is {story.state / 'server.log'}", file=sys.stderr)
        with contextlib.suppress(Broken):
            story.stop()
        return 1
    print(f"\nHello Cloud! The whole story took {time.monotonic() - begun:.0f} s.")
    if asked.keep:
        keep(story)
        return 0
    story.chapter("The end")
    story.stop()
    if not asked.state:
        shutil.rmtree(state)
    return 0


def tell(story: Story) -> None:
    disk = prologue(story)
    image = with_the_tools(story, disk)
    with_boto3(story, image)
    with_the_aws_cli(story, image)


def prologue(story: Story) -> Path:
    story.chapter("What this machine can do")
    story.run("econe-server", "check", "--state", str(story.state))
    story.chapter("An account for helen, a server, and a small disk image")
    told = story.run(
        "econe-admin", "--state", str(story.state), "account", "create", "helen",
        "--password", "hello", "--json", quiet=True,
    )  # fmt: skip
    account = json.loads(told)
    print(f"helen is account {account['number']} with access key {account['access_key']}")
    story.env |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
    story.pair = (account["access_key"], account["secret_key"])
    one_auth = story.desk / "one_auth"
    one_auth.write_text("helen:hello\n")
    one_auth.chmod(0o600)
    story.env["ONE_AUTH"] = str(one_auth)
    story.start()
    disk = story.desk / "disk.img"
    story.run(
        sys.executable, str(ROOT / "tools/tiny_image/build.py"), str(disk),
        "--cache", str(ROOT / ".cache/tiny-image"),
    )  # fmt: skip
    return disk


def with_the_tools(story: Story, disk: Path) -> str:
    story.chapter("The guide's story, with econe-*")
    story.run("econe-upload", str(disk), expect="^Success: ImageId ami-00000001$")
    story.run("econe-register", "ami-00000001", expect="^Success: ImageId ami-00000001$")
    story.run(
        "econe-describe-images", "-H",
        expect=r"^helen +ami-00000001 +available +private +[0-9a-f]{32}$",
    )  # fmt: skip
    story.run("econe-create-keypair", "mykey", "-o", "mykey.pem", expect="mykey")
    story.run(
        "econe-run-instances", "-H", "-k", "mykey", "-d", USER_DATA, "ami-00000001",
        expect=r"^helen +ami-00000001 +i-00000001 +m1.small$",
    )  # fmt: skip
    story.run("econe-describe-instances", "-H", expect="^helen +i-00000001 +ami-00000001")
    told = story.until(
        "running", "econe-describe-instances", "-H", expect=r"i-00000001 .* running .*m1.small"
    )
    address = re.search(r"running +(\S+)", told)
    assert address
    inside(story, address[1], "mykey.pem", "i-00000001")
    story.until(
        "the console",
        "econe-get-console-output",
        "i-00000001",
        expect=r"Hello Cloud from i-00000001",
    )
    story.run(
        "econe-terminate-instances", "i-00000001",
        expect="^Success: Terminating i-00000001 in running state$",
    )  # fmt: skip
    story.until("the end", "econe-describe-instances", "-H", expect="i-00000001 .* terminated")
    nothing_left(story, "i-00000001", "vol-00000001")
    return "ami-00000001"


def inside(story: Story, address: str, key: str, instance: str) -> None:
    """ssh to the address with the key; what the metadata service and the user data did there."""
    host, _, port = address.partition(":")
    login = (*SSH, "-i", key, *(("-p", port) if port else ()), f"root@{host}")
    story.until("ssh", *login, "cat /root/hello", expect=f"Hello Cloud from {instance}")
    story.run(
        *login, "hostname; imds meta-data/instance-id; imds meta-data/ami-id", expect=instance
    )


def nothing_left(story: Story, instance: str, volume: str) -> None:
    """The guest's process, disk, directory and tap are gone."""
    print(f"# what is left of {instance}: its process, disk and tap")
    left = [
        str(pid.parent)
        for pid in Path("/proc").glob("[0-9]*/cmdline")
        if qemu_of(pid, story.state, instance)
    ]
    left += [str(path) for path in (story.state / "volumes").glob(f"*{volume}*")]
    left += taps(story.state)
    if left:
        raise Broken(f"left behind: {', '.join(left)}")
    print("nothing")


def qemu_of(cmdline: Path, state: Path, instance: str) -> bool:
    try:
        words = cmdline.read_bytes().decode(errors="replace")
        place = str((cmdline.parent / "cwd").readlink())
    except OSError:
        return False
    return "qemu-system" in words and instance in words and str(state) in f"{words} {place}"


def taps(state: Path) -> list[str]:
    """Taps in the namespaces of this state directory; the story has one instance at a time."""
    found = []
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    for line in names.splitlines():
        name = line.split()[0]
        if name.startswith(namespace_prefix(tag_of(state))):
            links = subprocess.run(
                ["ip", "-n", name, "-o", "tuntap", "show"], capture_output=True, text=True
            ).stdout
            found += [f"{name}: {link}" for link in links.splitlines()]
    return found


def with_boto3(story: Story, image: str) -> None:
    story.chapter("Once more, with unmodified boto3")
    story.run("econe-delete-keypair", "mykey")
    story.env["HELLO_IMAGE"] = image
    story.env["AWS_ACCESS_KEY_ID"], story.env["AWS_SECRET_ACCESS_KEY"] = story.pair
    told = story.run(sys.executable, str(ROOT / "tools/story_boto3.py"), "run", expect="running")
    instance, address = re.findall(r"^(i-\d+) is running at (\S+)$", told, re.MULTILINE)[0]
    inside(story, address, "boto3.pem", instance)
    story.run(sys.executable, str(ROOT / "tools/story_boto3.py"), "end", instance)
    nothing_left(story, instance, "vol-" + instance.partition("-")[2])


def with_the_aws_cli(story: Story, image: str) -> None:
    story.chapter("Once more, with the AWS CLI")

    def aws(*words: str, query: str = "", expect: str = "") -> str:
        tail = ("--query", query, "--output", "text") if query else ()
        return story.run("aws", "ec2", *words, *tail, expect=expect)

    aws("describe-images", "--owners", "self", query="Images[].[ImageId,State,Name]", expect=image)
    key = story.desk / "aws.pem"
    print("$ aws ec2 create-key-pair --key-name aws … > aws.pem")
    made = subprocess.run(
        ["aws", "ec2", "create-key-pair", "--key-name", "aws", "--key-type", "ed25519",
         "--query", "KeyMaterial", "--output", "text"],
        env=story.env, check=True, capture_output=True, text=True,
    )  # fmt: skip
    key.write_text(made.stdout)
    key.chmod(0o600)
    (story.desk / "hello.sh").write_text(USER_DATA)
    instance = aws(
        "run-instances", "--image-id", image, "--instance-type", "t2.micro", "--key-name", "aws",
        "--user-data", "file://hello.sh", "--tag-specifications",
        "ResourceType=instance,Tags=[{Key=Name,Value=hello}]",
        query="Instances[0].InstanceId", expect="^i-",
    )  # fmt: skip
    aws("wait", "instance-running", "--instance-ids", instance)
    aws("wait", "instance-status-ok", "--instance-ids", instance)
    address = reach(story, instance)
    aws(
        "describe-instances", "--filters", "Name=tag:Name,Values=hel*",
        query="Reservations[].Instances[].[InstanceId,State.Name,PrivateIpAddress]",
        expect=f"{instance}.*running",
    )  # fmt: skip
    inside(story, address, "aws.pem", instance)
    aws("get-console-output", "--instance-id", instance, "--latest", "--output", "text",
        expect="Hello Cloud from")  # fmt: skip
    aws("terminate-instances", "--instance-ids", instance, expect="shutting-down")
    aws("wait", "instance-terminated", "--instance-ids", instance)
    nothing_left(story, instance, "vol-" + instance.partition("-")[2])


def reach(story: Story, instance: str) -> str:
    """Where ssh reaches it, as econe-describe-instances shows it."""
    told = subprocess.run(
        ["econe-describe-instances", instance], env=story.env, capture_output=True, text=True
    ).stdout
    found = re.search(r"running +(\S+)", told)
    if not found:
        raise Broken(f"no address in: {told}")
    return found[1]


def keep(story: Story) -> None:
    access, secret = story.pair
    assert story.server
    print(f"""
The server goes on (process {story.server.pid}, state in {story.state}). To use it:

  export PATH={BIN}:$PATH
  export EC2_URL={story.url} ONE_AUTH={story.env["ONE_AUTH"]}
  econe-describe-images -H

  export AWS_ENDPOINT_URL={story.url} AWS_DEFAULT_REGION=us-east-1
  export AWS_ACCESS_KEY_ID={access} AWS_SECRET_ACCESS_KEY={secret}
  aws ec2 describe-instances

To end it, guests and networks too:

  kill {story.server.pid}; econe-server down --state {story.state}""")


if __name__ == "__main__":
    sys.exit(main())
