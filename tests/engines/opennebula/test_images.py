"""Uploads become images of the stand-in: what it is told, when the file goes, what it refuses."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.engines.opennebula.image_rig import DISK, Rig, rig, rigged
from tests.support.oned.drivers import failing
from tests.support.oned.errors import INTERNAL, Refused
from tests.support.oned.faults import Says
from tests.support.oned.images import ImageState as Oneds
from tests.support.oned.rights import Op

from econe.domain.accounts import number_of
from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.domain.images import DiskFormat, ImageState, Placing
from econe.engines.opennebula.image_documents import names_for

__all__ = ["rig"]

RAW, QCOW2 = DiskFormat.RAW, DiskFormat.QCOW2


# --- the life of an upload -----------------------------------------------------------------


def test_an_upload_becomes_an_image_of_its_owner(rig: Rig) -> None:
    spec = rig.spec()
    ref = rig.images.ensure(spec)
    assert rig.seen(ref).state is ImageState.PENDING
    rig.settle()
    found = rig.seen(ref)
    assert (found.state, found.id, found.account) == (ImageState.AVAILABLE, spec.id, spec.account)
    assert (found.name, found.description) == ("my disk", "of mine")
    assert (found.registered, found.public, found.shares) == (False, False, ())
    assert found.size_bytes == 3 << 20  # oned counts whole MiB
    image = rig.image(ref)
    assert rig.world.copies.digests[image.id] == hashlib.sha256(DISK).hexdigest()
    assert (image.uid, image.persistent) == (rig.prepared.helen.id, False)
    assert found.location == image.source.rpartition("/")[2]
    assert image.template.get("SHA1") == hashlib.sha1(DISK).hexdigest()


def test_its_file_stays_exactly_until_oned_has_copied_it(rig: Rig) -> None:
    ref = rig.images.ensure(rig.spec())
    for _ in range(3):
        rig.images.look()
        assert len(rig.upload_files()) == 1
    rig.settle()
    assert len(rig.upload_files()) == 1
    assert rig.seen(ref).state is ImageState.AVAILABLE
    assert rig.upload_files() == []
    assert rig.spec().path.read_bytes() == DISK


def test_its_file_goes_when_the_copy_has_failed(rig: Rig) -> None:
    rig.world.drivers.order("image_copy", failing("Error copying image: disk full"))
    ref = rig.images.ensure(rig.spec())
    rig.settle()
    found = rig.seen(ref)
    assert found.state is ImageState.FAILED
    assert found.why.endswith(
        "Error copying image in the datastore: Error copying image: disk full"
    )
    assert rig.upload_files() == []


def test_its_file_goes_when_others_delete_the_image(rig: Rig) -> None:
    ref = rig.images.ensure(rig.spec())
    del rig.world.images[int(ref)]
    assert ref not in rig.images.look()
    assert rig.upload_files() == []


def test_ensuring_an_image_twice_makes_one(rig: Rig) -> None:
    spec = rig.spec()
    ref = rig.images.ensure(spec)
    assert rig.images.ensure(spec) == ref
    rig.settle()
    assert rig.images.ensure(spec) == ref
    assert len(rig.world.images) == 1


def test_a_file_that_is_not_what_we_sent_fails(rig: Rig) -> None:
    spec = rig.spec()
    ref = rig.images.ensure(spec)
    spec.path.chmod(0o600)
    with spec.path.open("r+b") as file:  # the same file under both names
        file.seek(2000)
        file.write(b"rot")
    rig.settle()
    found = rig.seen(ref)
    assert found.state is ImageState.FAILED
    assert "Error copying" in found.why  # oned does not say that the checksum is wrong


def test_a_machine_that_waits_for_the_copy_does_not_end_it(rig: Rig) -> None:
    ref = rig.images.ensure(rig.spec())
    rig.image(ref).become(Oneds.LOCKED_USED)
    assert rig.seen(ref).state is ImageState.PENDING
    assert len(rig.upload_files()) == 1


# --- what oned is told ---------------------------------------------------------------------


def test_it_is_told_a_file_of_ours_and_never_more_than_once(rig: Rig) -> None:
    rig.images.ensure(rig.spec())
    (file,) = rig.upload_files()
    said = rig.told()
    assert said["PATH"] == str(file)
    assert (said["TYPE"], said["PERSISTENT"]) == ("OS", "NO")
    assert "DEV_PREFIX" not in said
    (call,) = rig.standin.calls.of("one.image.allocate")
    assert (call.user, call.args[1:]) == ("helen", (1,))


def test_settings_and_placing_say_where_and_how(tmp_path: Path) -> None:
    with rigged(tmp_path, datastore="fast", image_type="datablock", image_prefix="vd") as rig:
        fast = rig.world.add_datastore("fast", safe_dirs=str(tmp_path / "upload"))
        slow = rig.world.add_datastore("slow", safe_dirs=str(tmp_path / "upload"))
        first = rig.images.ensure(rig.spec())
        assert rig.told()["DEV_PREFIX"] == "vd"
        second = rig.images.ensure(
            rig.spec("ami-00000002", placing=Placing(datastore="slow", type="CDROM"))
        )
        third = rig.images.ensure(rig.spec("ami-00000003", placing=Placing(datastore=str(slow.id))))
        rig.settle()
        found = [rig.image(ref) for ref in (first, second, third)]
        assert [each.datastore_id for each in found] == [fast.id, slow.id, slow.id]
        assert [each.type for each in found] == [2, 1, 2]


@pytest.mark.parametrize(
    ("placing", "code"),
    [
        (Placing(datastore="no-such"), "InvalidParameterValue"),
        (Placing(datastore="0"), "InvalidParameterValue"),  # for running machines
        (Placing(datastore="files"), "InvalidParameterValue"),  # for kernels
        (Placing(type="KERNEL"), "InvalidParameterValue"),
        (Placing(format="vmdk"), "InvalidParameterValue"),
        (Placing(driver="raw", format="qcow2"), "InvalidParameterCombination"),
    ],
)
def test_a_placing_that_cannot_be_is_refused(rig: Rig, placing: Placing, code: str) -> None:
    with pytest.raises(EngineRefused) as refused:
        rig.images.ensure(rig.spec(placing=placing))
    assert refused.value.code == code
    assert rig.upload_files() == []
    assert rig.standin.calls.of("one.image.allocate") == []


@pytest.mark.parametrize(
    "said", [{"datastore": "gone"}, {"image_type": "BLOB"}, {"image_driver": "vmdk"}]
)
def test_a_setting_that_cannot_be_waits_for_the_operator(
    tmp_path: Path, said: dict[str, str]
) -> None:
    with rigged(tmp_path, **said) as rig, pytest.raises(EngineBusy):
        rig.images.ensure(rig.spec())


@pytest.mark.parametrize(
    "placing",
    [Placing(format="qcow2"), Placing(driver="QCOW2"), Placing(format="qcow2", driver="qcow2")],
)
def test_the_content_becomes_what_is_wanted(rig: Rig, placing: Placing) -> None:
    """oned takes FORMAT and DRIVER from the content, whatever it is told."""
    ref = rig.images.ensure(rig.spec(placing=placing))
    rig.settle()
    assert rig.seen(ref).content_format is QCOW2


def test_a_name_that_the_owner_uses_already_gets_a_longer_one(rig: Rig) -> None:
    rig.made_by_others("my disk")
    spec = rig.spec()
    ref = rig.images.ensure(spec)
    assert rig.seen(ref).name == f"my disk ({spec.id})"


def test_where_both_names_are_taken_it_is_refused_as_that(rig: Rig) -> None:
    rig.made_by_others("my disk")
    rig.made_by_others("my disk (ami-00000001)")
    with pytest.raises(EngineRefused) as refused:
        rig.images.ensure(rig.spec())
    assert refused.value.code == "InvalidAMIName.Duplicate"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a/b",
        'say "hi"',
        "<&>",
        "$NAME #{x}",
        "x" * 200,
        "ü" * 100,
        "tab\tnul\0",
        " ",
        "a|b;c:d",
    ],
)
def test_every_name_is_one_that_oned_takes(rig: Rig, name: str) -> None:
    ref = rig.images.ensure(rig.spec(name=name))
    assert rig.seen(ref).name == names_for(name, "ami-00000001")[0]


@pytest.mark.parametrize(
    "text",
    [
        '"\nPATH="/etc/shadow"\nX="',
        "</DESCRIPTION><SOURCE>/etc/shadow</SOURCE>",
        "a]]></DESCRIPTION></TEMPLATE><UID>0</UID><TEMPLATE><DESCRIPTION><![CDATA[b",
        "nul \0, bell \a, surrogate \udc80",
        "ünïcode ☃ 𝄞",
    ],
)
def test_no_description_can_say_anything_else(rig: Rig, text: str) -> None:
    ref = rig.images.ensure(rig.spec(description=text))
    rig.settle()
    found = rig.seen(ref)
    assert found.state is ImageState.AVAILABLE
    assert found.account == rig.spec().account
    assert set(rig.image(ref).template.names()) == {
        "DESCRIPTION",
        "DEV_PREFIX",
        "ECONE_ID",
        "ECONE_MARK",
        "SHA1",
    }
    assert found.description.replace(" ", "")[:2] == text.replace(" ", "")[:2]


def test_content_that_qemu_would_take_for_another_disk_is_refused(rig: Rig) -> None:
    """A QED names a backing file, and oned's driver asks QEMU what its copy is."""
    content = b"QED\0" + DISK[4:]
    with pytest.raises(EngineRefused) as refused:
        rig.images.ensure(rig.spec(content=content))
    assert refused.value.code == "InvalidParameterValue"
    assert rig.upload_files() == []


# --- refusals ------------------------------------------------------------------------------


def no_right(rig: Rig) -> None:
    rig.world.rights.rules.clear()


def no_use_of_datastore(rig: Rig) -> None:
    rules = rig.world.rights.rules
    for number in [number for number, rule in rules.items() if rule.rights == Op.USE]:
        del rules[number]
    rig.prepared.datastore.rights = [1, 1, 0, 0, 0, 0, 0, 0, 0]


def quota_of_images(rig: Rig) -> None:
    rig.prepared.helen.quotas.limit("DATASTORE", 1, {"IMAGES": 0})


def quota_of_size(rig: Rig) -> None:
    rig.prepared.helen.quotas.limit("DATASTORE", 1, {"SIZE": 1})


def no_space(rig: Rig) -> None:
    rig.prepared.datastore.free_mb = 1


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (no_right, "UnauthorizedOperation"),
        (no_use_of_datastore, "UnauthorizedOperation"),
        (quota_of_images, "ResourceLimitExceeded"),
        (quota_of_size, "VolumeLimitExceeded"),
        (no_space, "InsufficientVolumeCapacity"),
    ],
)
def test_what_oned_refuses_is_told_in_ec2s_words(
    rig: Rig, cause: Callable[[Rig], None], code: str
) -> None:
    cause(rig)
    with pytest.raises(EngineRefused) as refused:
        rig.images.ensure(rig.spec())
    assert refused.value.code == code
    assert "one.image.allocate" in refused.value.hidden
    assert str(rig.folder) not in refused.value.said
    assert rig.upload_files() == []
    assert rig.world.images == {}


RECORDED = [
    (30, 0x0200, "User [2] : Not authorized to perform CREATE IMAGE.", "UnauthorizedOperation"),
    (36, 0x2000, "Parse error: syntax error, unexpected $end, expecting CBRACKET or VARIABLE", ""),
    (37, 0x2000, "Cannot parse image SIZE: Wrong number or missing SIZE attribute.", ""),
    (38, 0x0400, "Error getting datastore [999].", ""),
    (
        39,
        0x4000,
        "Error allocating a new image. New images can only be allocated in a files or image"
        " datastore.",
        "",
    ),
    (
        40,
        0x0200,
        "User [2] : Template includes a restricted attribute SOURCE.",
        "UnauthorizedOperation",
    ),
    (
        41,
        0x4000,
        "Error allocating a new image. Invalid NAME, it cannot be empty",
        "InvalidAMIName.Malformed",
    ),
    (
        213,
        0x0200,
        "User [2] : user [2] limit of 1 reached for IMAGES quota in DATASTORE with ID: 1.",
        "ResourceLimitExceeded",
    ),
    (264, 0x0800, "Not enough space in datastore", "InsufficientVolumeCapacity"),
]


@pytest.mark.parametrize(("number", "code", "text", "told"), RECORDED)
def test_what_a_real_oned_was_seen_to_refuse(
    rig: Rig, number: int, code: int, text: str, told: str
) -> None:
    """The texts are those of the recordings, by their numbers."""
    rig.standin.faults.fail("one.image.allocate", 1, with_=Says(Refused(code, text)))
    with pytest.raises(EngineRefused) as refused:
        rig.images.ensure(rig.spec())
    assert refused.value.code == told, number
    assert text in refused.value.hidden
    assert rig.upload_files() == []


@pytest.mark.parametrize(
    "text",
    [
        "cannot access '/var/tmp/x.img' (No such file or directory)",  # 42
        "cannot access 'http://127.0.0.1:9/x.img' (Permission denied)",  # 333
        "File not found",  # 6.2
        "Failed to get image head",  # 6.2
    ],
)
def test_an_upload_that_oned_cannot_read_waits(rig: Rig, text: str) -> None:
    refusal = Refused(INTERNAL, f"Cannot parse image SIZE: {text}")
    rig.standin.faults.fail("one.image.allocate", 1, with_=Says(refusal))
    with pytest.raises(EngineBusy, match="cannot read the upload"):
        rig.images.ensure(rig.spec())
    rig.images.ensure(rig.spec())


def test_a_directory_that_oned_may_not_read_from_ends_in_error(tmp_path: Path) -> None:
    with rigged(tmp_path) as rig:
        rig.prepared.datastore.template.set("SAFE_DIRS", "/elsewhere")
        ref = rig.images.ensure(rig.spec())
        rig.settle()
        found = rig.seen(ref)
        assert found.state is ImageState.FAILED
        assert "check RESTRICTED_DIRS" in found.why


def test_nobody_is_acted_for_who_may_not_be(rig: Rig) -> None:
    rig.prepared.helen.enabled = False
    with pytest.raises(EngineBusy, match="disabled"):
        rig.images.ensure(rig.spec())
    with pytest.raises(EngineBusy, match="no user 77"):
        rig.images.ensure(rig.spec(account=number_of("77")))
    with pytest.raises(EngineRefused):
        rig.images.ensure(rig.spec(account="000000000001"))
    assert rig.upload_files() == []


def test_content_that_is_gone_is_refused(rig: Rig) -> None:
    spec = rig.spec()
    spec.path.unlink()
    with pytest.raises(EngineRefused, match="gone"):
        rig.images.ensure(spec)


def test_names_are_cut_at_characters() -> None:
    first, second = names_for("ü" * 100, "ami-00000001")
    assert len(first.encode()) == 128
    assert len(second.encode()) <= 128
    assert second.endswith("ü (ami-00000001)")
