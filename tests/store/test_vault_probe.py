"""What the probe makes of disks, of things that are none, and of hostile ones."""

import bz2
import gzip
import json
import lzma
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from econe.domain.faults import Broken, Invalid, NoCapacity
from econe.domain.images import Content, DiskFormat
from econe.settings import Images
from econe.store import vault_probe
from econe.store.vault import FileVault

MIB = 1 << 20
DISK = bytes(510) + b"\x55\xaa" + os.urandom(3 * MIB) + bytes(MIB) + b"\x01" * 65_536 + bytes(MIB)


@pytest.fixture
def vault(tmp_path: Path) -> FileVault:
    return FileVault(tmp_path / "state", Images(probe_timeout_s=120))


def keep(vault: FileVault, data: bytes) -> Content:
    upload = vault.receive()
    upload.write(data)
    return upload.finish()


def refused(vault: FileVault, data: bytes) -> str:
    with pytest.raises(Invalid) as caught:
        keep(vault, data)
    assert list(vault._uploads.iterdir()) == []
    assert vault.locations() == set()
    return caught.value.said


def qemu_img(*words: object) -> str:
    done = subprocess.run(
        ["qemu-img", *map(str, words)], check=True, capture_output=True, text=True
    )
    return done.stdout


def made(tmp_path: Path, disk_format: str, *options: str) -> bytes:
    raw, image = tmp_path / "raw", tmp_path / "image"
    raw.write_bytes(DISK)
    image.unlink(missing_ok=True)
    qemu_img("convert", "-q", "-f", "raw", "-O", disk_format, *options, raw, image)
    return image.read_bytes()


def seen_by_a_guest(vault: FileVault, content: Content, tmp_path: Path) -> bytes:
    out = tmp_path / "seen"
    path = vault.path(content.name, content.format)
    qemu_img("convert", "-f", content.format, "-O", "raw", path, out)
    return out.read_bytes()


FORMATS = [
    ("qcow2",),
    ("qcow2", "-o", "compat=0.10"),
    ("qcow2", "-c"),
    ("vmdk",),
    ("vmdk", "-o", "subformat=streamOptimized"),
    ("vdi",),
    ("vdi", "-o", "static=on"),
    ("vpc", "-o", "force_size=on"),
    ("vpc", "-o", "force_size=on,subformat=fixed"),
    ("vhdx",),
]


@pytest.mark.parametrize("form", FORMATS, ids=" ".join)
def test_every_format_becomes_a_disk_with_the_same_content(vault, tmp_path, form):
    given_bytes = made(tmp_path, *form)
    content = keep(vault, given_bytes)
    assert content.format is DiskFormat.QCOW2
    assert content.virtual_bytes == len(DISK)
    assert seen_by_a_guest(vault, content, tmp_path) == DISK
    if form[0] == "qcow2":
        path = vault.path(content.name, content.format)
        assert path.read_bytes() == given_bytes


@pytest.mark.parametrize(
    "form", [form for form in FORMATS if "fixed" not in form[-1]], ids=" ".join
)
@pytest.mark.parametrize("part", [0.001, 0.5, 0.75])
def test_every_format_is_refused_when_it_is_cut_off(vault, tmp_path, form, part):
    """But a fixed VHD: that is a raw disk with a footer, so without the footer it is a raw disk."""
    given_bytes = made(tmp_path, *form)
    refused(vault, given_bytes[: int(len(given_bytes) * part)])


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


PACKERS = {
    "gz": gzip.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "bz2": bz2.compress,
    "zst": zstd,
}


@pytest.mark.parametrize("packing", PACKERS)
def test_compressed_disks_are_unfolded_and_their_zeros_take_no_space(vault, tmp_path, packing):
    disk = DISK + bytes(64 * MIB)
    content = keep(vault, PACKERS[packing](disk))
    path = vault.path(content.name, content.format)
    assert content.format is DiskFormat.RAW
    assert content.virtual_bytes == len(disk)
    assert path.read_bytes() == disk
    assert path.stat().st_blocks * 512 < len(DISK) + 4 * MIB


@pytest.mark.parametrize("packing", PACKERS)
def test_compressed_disks_are_refused_when_they_are_cut_off_or_damaged(vault, packing):
    packed = PACKERS[packing](DISK)
    assert "cut off" in refused(vault, packed[:-1000])
    middle = len(packed) // 2
    flipped = packed[:middle] + bytes(64) + packed[middle + 64 :]
    assert "damaged" in refused(vault, flipped)


@pytest.mark.parametrize("packing", ["gz", "xz", "bz2"])
def test_several_compressed_streams_in_one_file_and_padding_are_fine(vault, packing):
    pack = PACKERS[packing]
    content = keep(vault, pack(DISK[:MIB]) + pack(DISK[MIB:]) + bytes(4096))
    assert vault.path(content.name, content.format).read_bytes() == DISK


def test_a_compressed_qcow2_is_kept_as_the_qcow2_that_it_is(vault, tmp_path):
    inner = made(tmp_path, "qcow2")
    content = keep(vault, gzip.compress(inner))
    assert content.format is DiskFormat.QCOW2
    assert vault.path(content.name, content.format).read_bytes() == inner


def test_what_is_compressed_twice_or_is_empty_inside_is_refused(vault):
    assert "more than once" in refused(vault, gzip.compress(lzma.compress(DISK[:MIB])))
    assert "empty" in refused(vault, gzip.compress(b""))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"Hello, this is a text file.\n" * 100, "not a disk image"),
        (bytes(MIB), "not a disk image"),
        (b"\x55\xaa", "not a disk image"),
        (bytes(510) + b"\x55\xaa" + b"x" * 100, "612 bytes long"),
        (b"\x7fELF" + bytes(1020), "a program"),
        (b"PK\x03\x04" + bytes(1020), "zip"),
        (bytes(257) + b"ustar" + bytes(1000), "tar"),
        (b'# Disk DescriptorFile\nRW 2048 FLAT "/etc/shadow" 0\n' + bytes(512), "descriptor"),
        (b"QFI\xfb", "cut off"),
        (b"QFI\xfb\0\0\0\x01" + bytes(100), "version 1"),
        (b"KDMV", "cut off"),
        (b"COWD" + bytes(1020), "ESX"),
        (b"conectix" + bytes(1016), "no footer"),
        (b"vhdxfile" + bytes(1016), "cut off"),
        (bytes(64) + b"\x7f\x10\xda\xbe" + bytes(8), "cut off"),
    ],
)
def test_what_is_no_disk_is_refused_with_the_reason(vault, data, words):
    assert words in refused(vault, data)


@pytest.mark.parametrize(
    ("at", "magic"),
    [
        (1080, b"\x53\xef"),
        (0, b"XFSB"),
        (65600, b"_BHRfS_M"),
        (32769, b"CD001"),
        (512, b"EFI PART"),
        (4096, b"EFI PART"),
    ],
)
def test_a_file_system_or_partition_table_makes_a_raw_disk(vault, at, magic):
    disk = bytearray(128 * 1024)
    disk[at : at + len(magic)] = magic
    assert keep(vault, bytes(disk)).format is DiskFormat.RAW


# --- hostile ones --------------------------------------------------------------------------


def test_a_raw_disk_that_holds_another_formats_header_inside_stays_raw(vault, tmp_path):
    disk = DISK[:512] + made(tmp_path, "qcow2")
    disk += bytes(-len(disk) % 512)
    content = keep(vault, disk)
    assert content.format is DiskFormat.RAW
    assert content.virtual_bytes == len(disk)


def test_a_backing_file_is_refused(vault, tmp_path):
    image = tmp_path / "over"
    (tmp_path / "base").write_bytes(DISK)
    qemu_img("create", "-q", "-f", "qcow2", "-b", tmp_path / "base", "-F", "raw", image)
    assert "backing file" in refused(vault, image.read_bytes())
    assert "backing file" in refused(vault, gzip.compress(image.read_bytes()))


def test_an_external_data_file_is_refused(vault, tmp_path):
    image = tmp_path / "image"
    data = tmp_path / "secret"
    qemu_img("create", "-q", "-f", "qcow2", "-o", f"data_file={data}", image, "1M")
    assert "another file" in refused(vault, image.read_bytes())
    hidden = bytearray(image.read_bytes())
    hidden[72:80] = bytes(8)  # the feature bit cleared, the name still there
    assert "another file" in refused(vault, bytes(hidden))


@pytest.mark.parametrize("method", [1, 2])  # AES and LUKS
def test_an_encrypted_image_is_refused(vault, tmp_path, method):
    image = bytearray(made(tmp_path, "qcow2"))
    image[32:36] = struct.pack(">I", method)
    assert "encrypted" in refused(vault, bytes(image))


def test_vmdks_that_name_other_files_are_refused(vault, tmp_path):
    image = tmp_path / "flat.vmdk"
    qemu_img("create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", image, "1M")
    assert "descriptor" in refused(vault, image.read_bytes())
    sparse = bytearray(made(tmp_path, "vmdk"))
    sparse[12:20] = bytes(8)  # capacity 0: QEMU then reads extents from the descriptor
    assert "extents" in refused(vault, bytes(sparse))
    parent = made(tmp_path, "vmdk").replace(
        b"\nddb.", b'\nparentFileNameHint="/etc/shadow"\nddb.', 1
    )
    assert "parent" in refused(vault, parent)
    split = tmp_path / "split.vmdk"
    qemu_img("create", "-q", "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", split, "1M")
    (extent,) = tmp_path.glob("split-*.vmdk")
    assert "one of several" in refused(vault, extent.read_bytes())


def test_differencing_disks_are_refused(vault, tmp_path):
    vdi = bytearray(made(tmp_path, "vdi"))
    vdi[0x1A8:0x1B8] = b"p" * 16
    assert "parent" in refused(vault, bytes(vdi))
    vhd = bytearray(made(tmp_path, "vpc"))
    vhd[-512 + 60 : -512 + 64] = struct.pack(">I", 4)
    assert "differencing" in refused(vault, bytes(vhd))


def test_a_damaged_qcow2_is_refused(vault, tmp_path):
    image = bytearray(made(tmp_path, "qcow2"))
    (table,) = struct.unpack_from(">Q", image, 40)
    image[table : table + 8] = struct.pack(">Q", (1 << 63) | (1 << 40))
    assert "damaged" in refused(vault, bytes(image))


def test_a_qcow2s_own_snapshots_are_left_out(vault, tmp_path):
    image = tmp_path / "image"
    made(tmp_path, "qcow2")
    qemu_img("snapshot", "-c", "before", image)
    content = keep(vault, image.read_bytes())
    path = vault.path(content.name, content.format)
    assert "before" not in qemu_img("snapshot", "-l", path)
    assert seen_by_a_guest(vault, content, tmp_path) == DISK


def test_disks_larger_than_allowed_are_refused_in_every_form(tmp_path):
    vault = FileVault(tmp_path / "state", Images(max_virtual_gib=1))
    image = tmp_path / "large"
    qemu_img("create", "-q", "-f", "qcow2", image, "1025M")
    assert "larger than 1 GiB" in refused(vault, image.read_bytes())


def bomb(gib: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = bytes(64 * MIB)
    return b"".join(packer.compress(piece) for _ in range(gib * 16 + 1)) + packer.flush()


def test_a_decompression_bomb_of_zeros_ends_at_the_largest_disk(tmp_path):
    vault = FileVault(tmp_path / "state", Images(max_virtual_gib=1))
    packed = bomb(1)
    assert len(packed) < 2 * MIB
    assert "larger than 1 GiB" in refused(vault, packed)


@pytest.fixture
def wary_vault(tmp_path, monkeypatch) -> FileVault:
    """To which more than a MiB, and 200 times the file, is a bomb."""
    script = tmp_path / "probe.py"
    text = vault_probe._SCRIPT.read_text()
    assert "BOMB_LEAST = 1 << 30" in text
    script.write_text(text.replace("BOMB_LEAST = 1 << 30", "BOMB_LEAST = 1 << 20"))
    tmp_path.chmod(0o755)
    monkeypatch.setattr(vault_probe, "_SCRIPT", script)
    return FileVault(tmp_path / "state", Images())


def test_a_decompression_bomb_of_data_ends_long_before(wary_vault):
    assert "far more" in refused(wary_vault, gzip.compress(b"A" * 64 * MIB, 9))


def test_a_bomb_of_one_cluster_named_many_times_ends_long_before(wary_vault, tmp_path):
    """Every entry of every grain table leads to the one grain that there is."""
    raw, image = tmp_path / "raw", tmp_path / "image"
    with raw.open("wb") as file:
        file.write(os.urandom(64 * 1024))
        file.truncate(64 * MIB)
    qemu_img("convert", "-q", "-f", "raw", "-O", "vmdk", raw, image)
    data = bytearray(image.read_bytes())
    (directory_at,) = struct.unpack_from("<Q", data, 56)
    (table_at,) = struct.unpack_from("<I", data, directory_at * 512)
    grain = data[table_at * 512 : table_at * 512 + 4]
    for number in range(2):  # 512 entries a table, 64 KiB each
        (table_at,) = struct.unpack_from("<I", data, directory_at * 512 + 4 * number)
        data[table_at * 512 : table_at * 512 + 2048] = grain * 512
    assert "far more" in refused(wary_vault, bytes(data))


def test_a_size_beyond_all_disks_is_the_files_fault(vault, tmp_path):
    data = bytearray(made(tmp_path, "vmdk"))
    struct.pack_into("<Q", data, 12, 1 << 55)
    assert refused(vault, bytes(data))


def test_an_xz_that_wants_much_memory_is_refused(vault):
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 29}]
    packed = lzma.compress(b"x" * 1000, lzma.FORMAT_XZ, filters=filters)
    assert refused(vault, packed)


def test_without_qemu_img_raw_works_and_the_rest_is_refused_clearly(vault, tmp_path, monkeypatch):
    image = made(tmp_path, "qcow2")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "'qemu-img' is not installed" in refused(vault, image)
    assert "'zstd' is not installed" in refused(vault, b"(\xb5/\xfd" + bytes(600))
    assert keep(vault, gzip.compress(DISK)).format is DiskFormat.RAW


# --- the child itself ----------------------------------------------------------------------


def look(tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch, **limits) -> object:
    """What comes of a probe that does this instead."""
    path = tmp_path / "script.py"
    path.write_text(script)
    monkeypatch.setattr(vault_probe, "_SCRIPT", path)
    lock = os.open(tmp_path, os.O_RDONLY)
    try:
        return vault_probe.look(tmp_path, Images(**limits), lock)
    finally:
        os.close(lock)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_probe_that_takes_too_long_is_ended_with_all_it_started(tmp_path, monkeypatch):
    script = (
        "import subprocess, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "open('pid', 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    verdict = look(tmp_path, script, monkeypatch, probe_timeout_s=1)
    assert "took more than 1 seconds" in verdict.refused
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)  # it was killed, and dies when it is scheduled next
    assert not alive(pid)


def test_a_probe_that_fails_is_our_fault_and_the_cause_is_hidden(tmp_path, monkeypatch):
    with pytest.raises(Broken) as caught:
        look(tmp_path, "raise SystemExit('no such luck')", monkeypatch)
    assert "no such luck" in caught.value.hidden
    assert caught.value.said == ""


def test_a_probe_that_is_killed_by_its_limits_refuses_the_file(tmp_path, monkeypatch):
    script = "import os, signal; os.kill(os.getpid(), signal.SIGXCPU)"
    assert "more time" in look(tmp_path, script, monkeypatch).refused


def run_probe(directory: Path, **changed) -> dict:
    task = {
        "most_virtual_bytes": 1 << 30,
        "keep_free_bytes": 0,
        "memory_bytes": 1 << 30,
        "seconds": 60,
    } | changed
    done = subprocess.run(
        [sys.executable, "-I", "-S", vault_probe._SCRIPT, json.dumps(task)],
        cwd=directory,
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_the_probe_says_when_there_is_no_room(tmp_path):
    (tmp_path / "data").write_bytes(gzip.compress(DISK))
    tmp_path.chmod(0o777)
    assert run_probe(tmp_path, keep_free_bytes=1 << 60) == {"full": True}


def test_conversion_stops_where_it_would_not_leave_enough_free(tmp_path, vault, monkeypatch):
    (tmp_path / "data").write_bytes(made(tmp_path, "vdi"))
    tmp_path.chmod(0o777)
    assert run_probe(tmp_path, keep_free_bytes=1 << 60) == {"full": True}


@pytest.mark.root
def test_the_probe_gives_up_root(tmp_path, vault, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("the test is not root")
    script = tmp_path / "probe.py"
    text = vault_probe._SCRIPT.read_text()
    marked = text.replace(
        "    task = Task(json.loads(sys.argv[1]))\n    limit(task)\n",
        "    task = Task(json.loads(sys.argv[1]))\n    limit(task)\n"
        "    raise SystemExit(f'{os.getresuid()} {os.getgroups()}')\n",
    )
    assert marked != text
    script.write_text(marked)
    monkeypatch.setattr(vault_probe, "_SCRIPT", script)
    with pytest.raises(Broken) as caught:
        keep(vault, DISK)
    assert "(65534, 65534, 65534) []" in caught.value.hidden


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([b"QFI\xfb\0\0\0\x03", b"KDMV\x01", b"vhdxfile", b"conectix", b"\x1f\x8b\x08"]),
    st.binary(max_size=1200),
)
def test_whatever_follows_a_magic_number_the_probe_answers(tmp_path_factory, magic, rest):
    vault = FileVault(tmp_path_factory.mktemp("state"), Images())
    try:
        keep(vault, magic + rest)
    except (Invalid, NoCapacity) as fault:
        assert fault.said
