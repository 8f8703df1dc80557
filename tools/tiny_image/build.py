#!/usr/bin/env python3
"""Build the tiny image: a 40 MB raw disk that boots Linux, from Debian's packages and nothing else.

    tools/tiny_image/build.py OUT [--uefi] [--cache DIR]

The packages are downloaded with apt-get and unpacked into the cache; nothing is installed and no
root is needed, since the initial file system is written as a cpio archive here and the disk's FAT
partition with mtools. The disk is BIOS-bootable: MBR, one FAT16 partition, syslinux, Debian's cloud
kernel, and an initramfs with busybox and dropbear that stays the root file system. The partition is
mounted at /boot and is what lasts over a stop and a start: host key, which user data have run.

With --uefi the same disk boots by UEFI firmware too: systemd-boot lies where firmware looks for a
boot loader on a disk that it does not know (EFI/BOOT/BOOTX64.EFI of a FAT partition).

What the guest does is in root/: DHCP, metadata service (IMDSv2), host name, ssh key, user data once
for each instance, power-off by ACPI, mounting of disks that are plugged in later.
"""

import argparse
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
DISK_BYTES = 40 * 1000 * 1000 // 512 * 512
PARTITION_SECTOR = 2048
PACKAGES = (
    "busybox",
    "dropbear-bin",
    "libc6",
    "libcrypt1",
    "libgmp10",
    "libtomcrypt1",
    "libtommath1",
    "mtools",
    "syslinux",
    "syslinux-common",
    "zlib1g",
)
UEFI_PACKAGES = ("systemd-boot-efi",)
KERNEL = "linux-image-cloud-amd64"
MODULES = (
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "virtio-rng",
    "button",
    "evdev",
    "nls_cp437",
    "nls_ascii",
    "vfat",
    "efivarfs",
)
LIBRARIES = (
    "libc",
    "libresolv",
    "libcrypt",
    "libgmp",
    "libtomcrypt",
    "libtommath",
    "libz",
    "ld-linux-x86-64",
)
FOLDERS = (
    *(
        "bin",
        "boot",
        "dev",
        "dev/pts",
        "etc",
        "lib",
        "lib/modules",
        "lib/x86_64-linux-gnu",
        "lib64",
    ),
    *(
        "mnt",
        "proc",
        "root",
        "root/.ssh",
        "run",
        "sbin",
        "sys",
        "tmp",
        "usr",
        "usr/bin",
        "usr/sbin",
    ),
    *("usr/share", "usr/share/udhcpc", "var", "var/log"),
)
KERNEL_SAYS = "console=ttyS0,115200 quiet loglevel=4 net.ifnames=0 random.trust_cpu=on tsc=reliable"
SYSLINUX_CFG = f"""\
SERIAL 0 115200
DEFAULT linux
PROMPT 0
LABEL linux
  LINUX vmlinuz
  INITRD initrd
  APPEND {KERNEL_SAYS}
"""
UEFI_FOLDERS = ("::EFI", "::EFI/BOOT", "::loader", "::loader/entries")
LOADER_CONF = """\
timeout 0
editor no
"""
LOADER_ENTRY = f"""\
title tiny
linux /vmlinuz
initrd /initrd
options {KERNEL_SAYS}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--uefi", action="store_true", help="make it boot by UEFI firmware, too")
    parser.add_argument("--cache", type=Path, default=HERE.parent.parent / ".cache/tiny-image")
    asked = parser.parse_args()
    try:
        unpacked = fetch(asked.cache, uefi=asked.uefi)
        build(unpacked, asked.out, uefi=asked.uefi)
    except subprocess.CalledProcessError as fault:
        print(f"tiny-image: {' '.join(map(str, fault.cmd))}: {fault.stderr}", file=sys.stderr)
        return 1
    print(asked.out)
    return 0


def run(*command: str | Path, **options: object) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout  # type: ignore[call-overload,no-any-return]


def fetch(cache: Path, *, uefi: bool) -> Path:
    """Download and unpack what is not there yet; the folder that holds the unpacked packages."""
    kernel = re.search(r"Depends: (linux-image-\S+)", run("apt-cache", "depends", KERNEL))
    if not kernel:
        raise SystemExit(f"tiny-image: {KERNEL} is not known to apt; run apt-get update first")
    unpacked = cache / kernel[1]
    if not (unpacked / "complete").exists():
        shutil.rmtree(unpacked, ignore_errors=True)
        unpack((kernel[1], *PACKAGES), cache / "debs", unpacked, unpacked / "complete")
    if uefi and not (unpacked / "complete-uefi").exists():
        unpack(UEFI_PACKAGES, cache / "debs", unpacked, unpacked / "complete-uefi")
    return unpacked


def unpack(packages: Sequence[str], debs: Path, unpacked: Path, mark: Path) -> None:
    shutil.rmtree(debs, ignore_errors=True)
    debs.mkdir(parents=True)
    run("apt-get", "download", "-q", *packages, cwd=debs)
    for deb in sorted(debs.glob("*.deb")):
        run("dpkg-deb", "-x", deb, unpacked)
    mark.touch()
    shutil.rmtree(debs)


def build(unpacked: Path, out: Path, *, uefi: bool) -> None:
    work = out.with_suffix(".work")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    initrd = work / "initrd"
    initrd.write_bytes(archive(unpacked, work))
    (work / "syslinux.cfg").write_text(SYSLINUX_CFG)
    (work / "loader.conf").write_text(LOADER_CONF)
    (work / "tiny.conf").write_text(LOADER_ENTRY)
    disk = work / "disk"
    write_disk(disk, unpacked, work, uefi=uefi)
    disk.replace(out)
    shutil.rmtree(work)


# --- the initial file system -------------------------------------------------------------


class Cpio:
    """A cpio archive in the `newc` form that the kernel unpacks (kernel: driver-api/early-userspace
    buffer-format). Written here so that device nodes need no root."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.number = 0

    def add(
        self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        self.number += 1
        path = name.encode() + b"\0"
        numbers = (self.number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
        self.out += b"070701" + b"".join(b"%08X" % number for number in numbers) + path
        self._align()
        self.out += data
        self._align()

    def _align(self) -> None:
        self.out += b"\0" * (-len(self.out) % 4)

    def close(self) -> bytes:
        self.add("TRAILER!!!", 0)
        return bytes(self.out)


def archive(unpacked: Path, work: Path) -> bytes:
    cpio = Cpio()
    for folder in FOLDERS:
        cpio.add(folder, stat.S_IFDIR | (0o700 if folder.startswith("root") else 0o755))
    cpio.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    cpio.add("dev/null", stat.S_IFCHR | 0o666, device=(1, 3))
    busybox = unpacked / "bin/busybox"
    cpio.add("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes())
    for applet in run(busybox, "--list").split():
        if applet not in ("busybox", "dpkg", "dpkg-deb", "rpm"):
            cpio.add(f"bin/{applet}", stat.S_IFLNK | 0o777, b"busybox")
    cpio.add("init", stat.S_IFLNK | 0o777, b"bin/init")
    for program in ("usr/sbin/dropbear", "usr/bin/dropbearkey"):
        cpio.add(program, stat.S_IFREG | 0o755, (unpacked / program).read_bytes())
    for name, library in libraries(unpacked):
        cpio.add(name, stat.S_IFREG | 0o755, library.read_bytes())
    names = []
    for module in modules(unpacked):
        names.append(module.name)
        cpio.add(f"lib/modules/{module.name}", stat.S_IFREG | 0o644, module.read_bytes())
    cpio.add("lib/modules/order", stat.S_IFREG | 0o644, ("\n".join(names) + "\n").encode())
    for file in sorted((HERE / "root").rglob("*")):
        if file.is_file():
            mode = 0o755 if os.access(file, os.X_OK) else 0o644
            cpio.add(str(file.relative_to(HERE / "root")), stat.S_IFREG | mode, file.read_bytes())
    plain = work / "initrd.cpio"
    plain.write_bytes(cpio.close())
    run("gzip", "-9n", plain)
    return plain.with_suffix(".cpio.gz").read_bytes()


def libraries(unpacked: Path) -> Iterator[tuple[str, Path]]:
    for folder in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64"):
        for file in sorted((unpacked / folder).glob("*.so*")):
            if file.name.split(".so")[0] in LIBRARIES and re.search(r"\.so\.\d+$", file.name):
                home = "lib64" if file.name.startswith("ld-") else "lib/x86_64-linux-gnu"
                yield (
                    f"{home}/{file.name}",
                    file.resolve() if not file.is_symlink() else follow(unpacked, file),
                )


def follow(unpacked: Path, link: Path) -> Path:
    """Where a link inside the unpacked packages points, its absolute targets taken as theirs."""
    target = link.readlink()
    inside = unpacked / target.relative_to("/") if target.is_absolute() else link.parent / target
    return follow(unpacked, inside) if inside.is_symlink() else inside


def modules(unpacked: Path) -> list[Path]:
    """The wanted modules and what they depend on, in an order in which insmod accepts them."""
    found = {file.stem.replace("-", "_"): file for file in (unpacked / "lib/modules").rglob("*.ko")}
    ordered: dict[str, Path] = {}

    def take(name: str) -> None:
        module = found.get(name.replace("-", "_"))
        if module is None or module.stem in ordered:  # built into the kernel, or taken
            return
        depends = re.search(rb"\0depends=([^\0]*)\0", module.read_bytes())
        for other in depends[1].decode().split(",") if depends else ():
            take(other)
        ordered[module.stem] = module

    for name in MODULES:
        take(name)
    return list(ordered.values())


# --- the disk ----------------------------------------------------------------------------


def write_disk(disk: Path, unpacked: Path, work: Path, *, uefi: bool) -> None:
    sectors = DISK_BYTES // 512 - PARTITION_SECTOR
    boot_code = (unpacked / "usr/lib/syslinux/mbr/mbr.bin").read_bytes()[:440]
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x0E, b"\xfe\xff\xff",
                        PARTITION_SECTOR, sectors)  # fmt: skip
    mbr = boot_code.ljust(440, b"\0") + b"tiny\0\0" + entry + bytes(48) + b"\x55\xaa"
    with disk.open("wb") as out:
        out.write(mbr)
        out.truncate(DISK_BYTES)
    tools = {**os.environ, "MTOOLS_SKIP_CHECK": "1",
             "PATH": f"{unpacked / 'usr/bin'}:{os.environ['PATH']}"}  # fmt: skip
    drive = f"{disk}@@{PARTITION_SECTOR * 512}"
    run("mformat", "-i", drive, "-T", str(sectors), "-h", "255", "-s", "63",
        "-H", str(PARTITION_SECTOR), "-v", "TINY", "::", env=tools)  # fmt: skip
    kernel = next((unpacked / "boot").glob("vmlinuz-*"))
    files = {
        "vmlinuz": kernel,
        "initrd": work / "initrd",
        "syslinux.cfg": work / "syslinux.cfg",
    }
    if uefi:
        run("mmd", "-i", drive, *UEFI_FOLDERS, env=tools)
        files |= {
            "EFI/BOOT/BOOTX64.EFI": unpacked / "usr/lib/systemd/boot/efi/systemd-bootx64.efi",
            "loader/loader.conf": work / "loader.conf",
            "loader/entries/tiny.conf": work / "tiny.conf",
        }
    for name, source in files.items():
        run("mcopy", "-i", drive, source, f"::{name}", env=tools)
    run("syslinux", "--install", "--offset", str(PARTITION_SECTOR * 512), disk, env=tools)


if __name__ == "__main__":
    sys.exit(main())
