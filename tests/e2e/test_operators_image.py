"""An image that the operator fetches for all accounts, and that one of them runs."""

import functools
import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.e2e.server import Server

pytestmark = [pytest.mark.e2e, pytest.mark.root]

NETWORKS = 2


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        pass


@pytest.fixture
def published(tiny_image: Path) -> Iterator[str]:
    """The tiny image at a URL, with its checksum beside it."""
    folder = tiny_image.parent
    digest = hashlib.sha512(tiny_image.read_bytes()).hexdigest()
    (folder / "SHA512SUMS").write_text(f"{digest}  {tiny_image.name}\n")
    serve = functools.partial(_Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), serve)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/{tiny_image.name}"
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_a_public_image_is_run_by_another_account(server: Server, published: str) -> None:
    """While the server runs; it learns of the image from the database."""
    paris = server.account("paris")
    before = paris.ec2.describe_images(ExecutableUsers=["all"])["Images"]
    sums = published.rpartition("/")[0] + "/SHA512SUMS"
    made = server.admin("image", "add", published, "--public", "--checksum-url", sums)
    assert (made["outcome"], made["account"], made["checksum_by"]) == ("added", "catalogue", sums)
    again = server.admin("image", "add", published, "--public", "--checksum-url", sums)
    assert (again["outcome"], again["id"]) == ("known", made["id"])

    shown = paris.ec2.describe_images(ExecutableUsers=["all"])["Images"]
    (image,) = [each for each in shown if each not in before]
    assert (image["ImageId"], image["Public"], image["State"]) == (made["id"], True, "available")
    assert image["OwnerId"] == made["account_number"] != paris.number

    key = paris.key_pair()
    told = paris.said("econe-run-instances", "-t", "t1.micro", "-k", "mykey", made["id"])
    (id_,) = re.findall(r"\bi-\d{8}", told)
    paris.until(id_, "running")
    guest = paris.guest(id_, key).until_there()
    assert guest.run("echo here").strip() == "here"

    assert server.admin("image", "remove", made["id"])["instances"] == 1
    assert paris.ec2.describe_images(ExecutableUsers=["all"])["Images"] == before
    assert paris.state(id_) == "running"
    server.admin("account", "limits", "paris", "--vcpus", "1")
    with pytest.raises(paris.ec2.exceptions.ClientError, match=r"InvalidAMIID\.Unavailable"):
        paris.launch(made["id"])
    paris.ec2.terminate_instances(InstanceIds=[id_])
    paris.until(id_, "terminated")


def test_limits_are_seen_and_hold(server: Server, tiny_image: Path) -> None:
    rome = server.account("rome")
    image = rome.image(tiny_image)
    server.admin("account", "limits", "rome", "--vcpus", "1", "--instances", "unlimited")
    told = rome.ec2.describe_account_attributes(AttributeNames=["max-vcpus", "max-instances"])
    values = {
        each["AttributeName"]: each["AttributeValues"][0]["AttributeValue"]
        for each in told["AccountAttributes"]
    }
    assert values == {"max-vcpus": "1", "max-instances": "unlimited"}
    first = rome.launch(image)
    with pytest.raises(rome.ec2.exceptions.ClientError, match="VcpuLimitExceeded"):
        rome.launch(image)
    rome.until(first, "running")
    rome.ec2.stop_instances(InstanceIds=[first], Force=True)
    rome.until(first, "stopped")
    second = rome.launch(image)
    with pytest.raises(rome.ec2.exceptions.ClientError, match="VcpuLimitExceeded"):
        rome.ec2.start_instances(InstanceIds=[first])
    rome.ec2.terminate_instances(InstanceIds=[first, second])
    rome.until(second, "terminated")
    held = server.admin("account", "limits", "rome")["limits"]
    assert (held["vcpus"]["held"], held["images"]["held"]) == (0, 1)
