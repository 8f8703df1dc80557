"""The vault: receiving, keeping, forgetting, and leaving nothing behind."""

import contextlib
import errno
import os
import stat
import subprocess
import time
from pathlib import Path

import pytest
from blake3 import blake3

from econe.domain.faults import Broken, Invalid, LimitExceeded, NoCapacity
from econe.domain.images import Content, DiskFormat
from econe.settings import Images
from econe.store import vault as vault_module
from econe.store.vault import FileVault

MIB = 1 << 20
BOOT = bytes(510) + b"\x55\xaa"
DISK = BOOT + bytes(range(256)) * 2


@pytest.fixture
def vault(tmp_path: Path) -> FileVault:
    return FileVault(tmp_path, Images())


def give(vault: FileVault, *chunks: bytes) -> Content:
    upload = vault.receive()
    try:
        for chunk in chunks:
            upload.write(chunk)
        return upload.finish()
    finally:
        upload.abort()


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*") if path.is_file())


def test_content_is_kept_read_only_under_the_hash_of_what_was_uploaded(vault, tmp_path):
    content = give(vault, DISK[:7], DISK[7:])
    assert content == Content(blake3(DISK).hexdigest()[:32], DiskFormat.RAW, len(DISK), len(DISK))
    path = vault.path(content.name, content.format)
    assert path.read_bytes() == DISK
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert path.stat().st_uid == os.geteuid()
    assert vault.locations() == {content.name}
    assert files(tmp_path) == [path.name]


def test_the_same_content_twice_is_one_blob_and_counts_as_received_again(vault):
    first = give(vault, DISK)
    path = vault.path(first.name, first.format)
    os.utime(path, (0, 0))
    inode = path.stat().st_ino
    assert give(vault, DISK) == first
    assert path.stat().st_ino == inode
    assert time.time() - path.stat().st_mtime < 60
    assert len(vault.locations()) == 1


def test_two_uploads_of_the_same_content_at_once_are_one_blob(vault):
    one, other = vault.receive(), vault.receive()
    for upload in (one, other):
        upload.write(DISK)
    assert one.finish() == other.finish()
    assert len(vault.locations()) == 1


def test_an_aborted_upload_leaves_nothing(vault, tmp_path):
    upload = vault.receive()
    upload.write(DISK)
    assert files(tmp_path) == ["data"]
    upload.abort()
    upload.abort()
    assert list((tmp_path / "uploads").iterdir()) == []
    assert vault.locations() == set()


def test_aborting_after_the_end_takes_nothing_away(vault):
    upload = vault.receive()
    upload.write(DISK)
    content = upload.finish()
    upload.abort()
    assert vault.locations() == {content.name}


def test_what_is_no_image_is_refused_and_leaves_nothing(vault, tmp_path):
    with pytest.raises(Invalid) as caught:
        give(vault, b"hello, world\n" * 100)
    assert "not a disk image" in caught.value.said
    assert files(tmp_path) == []


def test_forgotten_content_is_gone_and_forgetting_twice_is_fine(vault):
    content = give(vault, DISK)
    vault.forget(content.name)
    vault.forget(content.name)
    assert vault.locations() == set()
    assert give(vault, DISK) == content


def test_content_that_has_just_been_given_again_is_not_forgotten(vault):
    content = give(vault, DISK)
    give(vault, DISK)
    vault.forget(content.name)
    assert vault.locations() == {content.name}


@pytest.mark.parametrize("location", ["", "../" * 4 + "etc/passwd", "A" * 32, "0" * 31, "0" * 33])
def test_what_is_no_location_has_no_path(vault, location):
    with pytest.raises(ValueError, match="no location"):
        vault.path(location, DiskFormat.RAW)


# --- limits --------------------------------------------------------------------------------


def test_more_than_the_limit_is_refused_while_it_is_received(tmp_path):
    vault = FileVault(tmp_path, Images(max_upload_gib=0))
    upload = vault.receive()
    with pytest.raises(LimitExceeded) as caught:
        upload.write(b"x")
    assert "0 GiB" in caught.value.said
    upload.abort()
    assert files(tmp_path) == []


def test_an_upload_is_refused_where_it_would_not_leave_enough_free(tmp_path):
    vault = FileVault(tmp_path, Images(keep_free_mib=1 << 40))
    with pytest.raises(NoCapacity) as caught:
        vault.receive()
    assert "disk space" in caught.value.said


def test_room_is_looked_at_while_an_upload_goes_on(tmp_path, monkeypatch):
    vault = FileVault(tmp_path, Images(keep_free_mib=1))
    upload = vault.receive()
    upload.write(DISK)
    found = os.statvfs(tmp_path)
    full = os.statvfs_result((found[0], 4096, *found[2:4], 300, *found[5:]))
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    with pytest.raises(NoCapacity):
        upload.write(bytes(MIB))
    upload.abort()
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "fault"),
    [(errno.ENOSPC, NoCapacity), (errno.EDQUOT, NoCapacity), (errno.EIO, Broken)],
)
@pytest.mark.parametrize("call", ["write", "fsync", "link"])
def test_a_disk_that_fails_at_any_step_is_told_apart_and_leaves_nothing(
    vault, tmp_path, monkeypatch, code, fault, call
):
    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    upload = vault.receive()
    if call != "write":
        upload.write(DISK)
    with monkeypatch.context() as patch:
        patch.setattr(vault_module.os, call, fail)
        with pytest.raises(fault):
            if call == "write":
                upload.write(DISK)
            upload.finish()
    upload.abort()
    assert files(tmp_path) == []


def test_everything_is_on_the_disk_before_it_has_its_name(vault, monkeypatch):
    done = []
    fsync, link = os.fsync, os.link

    def note_fsync(file):
        done.append("directory" if stat.S_ISDIR(os.fstat(file).st_mode) else "file")
        fsync(file)

    def note_link(*given, **named):
        done.append("link")
        link(*given, **named)

    monkeypatch.setattr(vault_module.os, "fsync", note_fsync)
    monkeypatch.setattr(vault_module.os, "link", note_link)
    give(vault, DISK)
    assert done == ["file", "link", "directory"]


@pytest.fixture
def small_disk(tmp_path: Path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting is not permitted here")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@pytest.mark.root
def test_a_full_disk_in_the_middle_of_an_upload_leaves_nothing(small_disk):
    vault = FileVault(small_disk, Images(keep_free_mib=0))
    with pytest.raises(NoCapacity):
        give(vault, BOOT, *[os.urandom(MIB)] * 6)
    assert files(small_disk) == []
    assert give(vault, DISK)


@pytest.mark.root
def test_a_full_disk_while_unfolding_leaves_nothing(small_disk):
    packed = subprocess.run(
        ["gzip", "-c"], input=BOOT + b"x" * 8 * MIB, capture_output=True, check=True
    ).stdout
    vault = FileVault(small_disk, Images(keep_free_mib=0))
    with pytest.raises(NoCapacity):
        give(vault, packed)
    assert files(small_disk) == []


# --- leavings ------------------------------------------------------------------------------


def test_leavings_are_swept_when_they_are_old_enough(vault, tmp_path):
    left = tmp_path / "uploads" / "left"
    left.mkdir()
    (left / "data").write_bytes(DISK)
    (tmp_path / "uploads" / "stray").write_bytes(b"x")
    assert vault.sweep(3600) == 0
    (tmp_path / "uploads" / "link").symlink_to(tmp_path)
    assert vault.sweep(3600) == 1
    assert vault.sweep(0) == 2
    assert vault.sweep(0) == 0
    assert list((tmp_path / "uploads").iterdir()) == []


def test_an_upload_that_goes_on_is_not_swept_however_slow_it_is(vault):
    upload = vault.receive()
    upload.write(DISK[:100])
    assert vault.sweep(0) == 0
    upload.write(DISK[100:])
    assert upload.finish()


def test_what_a_killed_server_leaves_is_swept_by_the_next_one(vault, tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from econe.settings import Images\n"
        "from econe.store.vault import FileVault\n"
        "upload = FileVault(Path(sys.argv[1]), Images()).receive(); upload.write(b'x')\n"
        "print('ready', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [vault_module_python(), "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        assert vault.sweep(0) == 0
        other.kill()
    assert vault.sweep(0) == 1
    assert files(tmp_path) == []


def vault_module_python() -> str:
    import sys

    return sys.executable


def test_other_files_in_the_directories_are_no_locations(vault, tmp_path):
    for name in ("README", "notes.raw", f"{'A' * 32}.raw"):
        (tmp_path / "blobs" / name).write_text("x")
    assert vault.locations() == set()


def test_descriptors_are_not_lost(vault):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for content in (DISK, b"x", BOOT + os.urandom(512)):
        with contextlib.suppress(Invalid):
            give(vault, content)
    vault.receive().abort()
    vault.sweep(0)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
