"""econe-admin import-opennebula, against what econe 5.x left in oned (facts/econe.md 2.1, 2.7)."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.story.cluster import Cluster, stand_in

from econe.actions.keymaker import OpenSshKeys
from econe.cli import admin
from econe.domain.queries import Query
from econe.store import open_store


def public_key() -> str:
    key = Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


MYKEY, CLASH = public_key(), public_key()
LONG = "L" * 300


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    upload_dir = tmp_path / "upload"
    upload_dir.mkdir()
    with stand_in(upload_dir, stage_s=0.0) as cluster:
        yield cluster


class OldEcone:
    """Does what econe 5.x did as helen, call by call."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def image(self, *attributes: str, kind: str = "OS") -> int:
        path = self.cluster.upload_dir / "disk"
        path.write_bytes(bytes(1 << 20))
        number = len(list(self.cluster.running.world.images))
        said = [f'NAME="ec2-{number}"', f'TYPE="{kind}"', f'PATH="{path}"', *attributes]
        made = int(self.cluster.call("helen", "one.image.allocate", "\n".join(said), 1))
        self.cluster.running.world.settle()
        return made

    def machine(self, image: int, *attributes: str) -> int:
        extra = [
            f'DISK=[IMAGE_ID="{image}"]',
            f'IMAGE_ID="ami-{image:08d}"',
            'CONTEXT=[EC2_KEYNAME="mykey",NETWORK="YES"]',
            *attributes,
        ]
        made = self.cluster.call(
            "helen", "one.template.instantiate", 0, "", False, "\n".join(extra), False
        )
        return int(made)

    def key_pairs(self, **pairs: str) -> None:
        kept = {
            name: {"fingerprint": "d5:0c", "public_key": f"{key} {name}"}
            for name, key in pairs.items()
        }
        said = base64.b64encode(json.dumps(kept).encode()).decode()
        uid = self.cluster.uid("helen")
        self.cluster.call("helen", "one.user.update", uid, f'EC2_KEYPAIRS="{said}"', 1)


@pytest.fixture
def old(cluster: Cluster) -> OldEcone:
    return OldEcone(cluster)


class Importer:
    def __init__(self, place: Path, cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
        self.state, self._capsys = place / "state", capsys
        (place / "ec2_auth").write_text(cluster.service)
        (place / "econe.toml").write_text(
            f'state = "{self.state}"\nengine = "opennebula"\n[opennebula]\n'
            f'endpoint = "{cluster.url}"\ncredentials = "{place}/ec2_auth"\n'
            f'upload_path = "{place}/upload"\ntimeout_s = 5\n'
        )
        self.config = place / "econe.toml"

    def __call__(self, *more: str, status: int = 0) -> str:
        self._capsys.readouterr()
        words = ["--config", str(self.config), "import-opennebula", *more]
        assert admin.main(words) == status
        out, err = self._capsys.readouterr()
        return str(err if status else out)

    def json(self) -> Any:
        return json.loads(self("--json"))

    def found(self, kind: str) -> dict[str, tuple[str, str | None]]:
        return {
            each["old_id"]: (each["outcome"], each["id"])
            for each in self.json()["found"]
            if each["kind"] == kind
        }


@pytest.fixture
def run(tmp_path: Path, cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> Importer:
    return Importer(tmp_path, cluster, capsys)


def test_images_and_machines_keep_their_numbers_and_bring_their_tags(run: Importer, old: OldEcone):
    first = old.image('EC2_AMI="YES"', 'EC2_TAGS=[COLOUR="blue",EMPTY="\\"\\""]')
    old.image()  # uploaded and never registered
    vm = old.machine(first, 'EC2_TAGS=[OWNER="lab"]', 'EC2_CLIENT_TOKEN="t"')
    ami, instance = f"ami-{first:08d}", f"i-{vm:08d}"
    assert run.found("image") == {ami: ("adopted", ami)}
    assert run.found("image") == {ami: ("known", ami)}
    assert run.found("instance") == {instance: ("known", instance)}
    store = open_store(run.state)
    with store.reading() as tx:
        row = tx.instances.get(instance)
        assert row is not None
        assert (row.image_id, row.key_name, row.instance_type) == (ami, "mykey", "m1.small")
        assert tx.tags.of(instance).items() >= {"OWNER": "lab"}.items()
        assert tx.tags.of(ami)["COLOUR"] == "blue"
        image = tx.images.get(ami)
        assert image is not None
        assert (image.registered, image.adopted) == (True, True)
    store.close()


def test_key_pairs_come_with_the_fingerprint_that_ec2_computes(run: Importer, old: OldEcone):
    old.key_pairs(mykey=MYKEY, broken="ssh-rsa AAAA", junk="")
    told = {each["old_id"]: each for each in run.json()["found"]}
    assert told["mykey"]["outcome"] == "adopted"
    for name in ("broken", "junk"):
        assert told[name]["outcome"] == "skipped"
        assert "OpenSSH" in told[name]["why"]
    store = open_store(run.state)
    with store.reading() as tx:
        (row,) = tx.key_pairs.find(Query()).items
    store.close()
    assert row.fingerprint == OpenSshKeys().read(MYKEY.encode()).fingerprint
    assert row.public_key == f"{MYKEY} mykey"
    old.key_pairs(mykey=CLASH)
    (again,) = run.json()["found"]
    assert (again["outcome"], again["id"]) == ("skipped", None)
    assert "another key" in again["why"]
    old.key_pairs(mykey=MYKEY)
    assert run.found("key_pair") == {"mykey": ("known", row.id)}


def test_volumes_and_snapshots_are_named_and_left(run: Importer, old: OldEcone):
    volume = old.image('EBS_VOLUME="YES"')
    snapshot = old.image('EBS_SNAPSHOT="YES"')
    told = run.json()
    assert told["counts"]["volume"] == {"adopted": 0, "known": 0, "skipped": 1}
    assert told["counts"]["snapshot"] == {"adopted": 0, "known": 0, "skipped": 1}
    names = {each["old_id"]: each["why"] for each in told["found"]}
    assert set(names) == {f"vol-{volume:08d}", f"snap-{snapshot:08d}"}
    assert all("later version" in why for why in names.values())


def test_a_tag_that_ec2_does_not_permit_is_named(run: Importer, old: OldEcone):
    old.image('EC2_AMI="YES"', f'EC2_TAGS=[GOOD="1",LONG="{LONG}"]')
    (told,) = run.json()["found"]
    assert told["tags"] == ["GOOD"]
    assert list(told["lost_tags"]) == ["LONG"]
    assert "maximum length" in told["lost_tags"]["LONG"]


def test_what_is_no_older_econes_is_not_touched(run: Importer, old: OldEcone, cluster: Cluster):
    cluster.call("bob", "one.vm.allocate", 'NAME="by-hand"\nCPU="1"\nMEMORY="64"', True)
    assert run() == "There is nothing of an older econe in OpenNebula.\n"
    store = open_store(run.state)
    with store.reading() as tx:
        assert tx.instances.live() == []
        assert {account.name for account in tx.accounts.all()} >= {"helen", "bob"}
    store.close()


def test_things_of_disabled_users_are_skipped(run: Importer, old: OldEcone, cluster: Cluster):
    image = old.image('EC2_AMI="YES"')
    vm = old.machine(image)
    cluster.as_admin("one.user.enable", cluster.uid("helen"), False)
    told = {each["old_id"]: each for each in run.json()["found"]}
    assert told[f"i-{vm:08d}"]["outcome"] == "skipped"
    assert "disabled" in told[f"i-{vm:08d}"]["why"]


def test_as_text_it_is_a_table_and_a_sum(run: Importer, old: OldEcone):
    old.image('EC2_AMI="YES"')
    old.key_pairs(mykey=MYKEY)
    lines = run().splitlines()
    assert lines[0].split() == ["WHAT", "ACCOUNT", "WAS", "IS", "OUTCOME", "WHY"]
    assert re.fullmatch(r"image +helen +ami-00000000 +ami-\d{8} +adopted", lines[1].rstrip())
    assert lines[-2:] == ["images: 1 adopted", "key pairs: 1 adopted"]


def test_while_oned_is_away_it_is_one_line(run: Importer, cluster: Cluster):
    cluster.running.stop()
    said = run(status=1)
    assert "Connection refused" in said
    assert said.count("\n") == 1


def test_it_is_for_opennebula_only(run: Importer):
    run.config.write_text(f'state = "{run.state}"\nengine = "qemu"\n')
    assert "name the server's --config" in run(status=1)
    assert not run.state.exists()
