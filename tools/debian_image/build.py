#!/usr/bin/env python3
"""Build a stock Debian with cloud-init: a 1 GB raw disk, as Debian's own cloud images are made.

    tools/debian_image/build.py OUT [--suite bookworm]

mmdebstrap installs the packages, from where apt on this machine has its own; nothing is mounted and
root is not needed (without it: Debian's uidmap, and a user with ids in /etc/subuid). The disk is
BIOS-bootable: GPT, a partition for GRUB, and an ext4 root that cloud-init grows to the disk that an
instance has. Nothing in it knows of econe: what it finds out, it finds out by itself.

Where OUT is already of these packages in these versions, made by this program, nothing is done.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SECTOR = 512
DISK_BYTES = 1 << 30
BOOT_SECTOR, ROOT_SECTOR = 2048, 8192
BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
"""A partition's type (GRUB manual, "BIOS installation")."""
ROOT_X86_64 = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
"""A partition's type (UAPI group, "Discoverable Partitions Specification")."""
TABLE = f"""\
label: gpt
unit: sectors
14 : start={BOOT_SECTOR}, size={ROOT_SECTOR - BOOT_SECTOR}, type={BIOS_BOOT}
1 : start={ROOT_SECTOR}, type={ROOT_X86_64}
"""
"""Root is the first in number and the last in place, as in Debian's own, so that it can grow."""
PACKAGES = (
    "ca-certificates",
    "cloud-guest-utils",
    "cloud-init",
    "curl",
    "dbus",
    "grub-pc",
    "iproute2",
    "iputils-ping",
    "less",
    "libnss-myhostname",
    "libpam-systemd",
    "linux-image-cloud-amd64",
    "netbase",
    "netplan.io",
    "openssh-server",
    "python3",
    "sudo",
    "systemd-resolved",
    "systemd-sysv",
    "systemd-timesyncd",
    "udev",
    "vim-tiny",
)
LABEL = "debian"
FEATURES = "^metadata_csum_seed,^orphan_file"
"""What GRUB 2.06 reads in no file system must not be in this one."""
ROOT_KIB = (DISK_BYTES // SECTOR - ROOT_SECTOR - BOOT_SECTOR) // 2
AS_ROOT = () if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--map-auto")
"""Before a command that makes files of other owners."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--suite", default="bookworm")
    asked = parser.parse_args()
    out = asked.out.absolute()
    try:
        inputs = describe_inputs(asked.suite)
        if not is_made_of(out, inputs):
            build(out, asked.suite)
            note_of(out).write_text(inputs)
    except subprocess.CalledProcessError as fault:
        print(f"debian-image: {' '.join(map(str, fault.cmd))}: {fault.stderr}", file=sys.stderr)
        return 1
    print(asked.out)
    return 0


def run(*command: str | Path, **options: object) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout  # type: ignore[call-overload,no-any-return]


# --- what it is made of ------------------------------------------------------------------


def note_of(out: Path) -> Path:
    return out.with_suffix(".made-of")


def is_made_of(out: Path, inputs: str) -> bool:
    return out.exists() and note_of(out).exists() and note_of(out).read_text() == inputs


def describe_inputs(suite: str) -> str:
    """This program, and which versions of the packages apt knows of."""
    known = run("apt-cache", "show", "--no-all-versions", *PACKAGES)
    versions = re.findall(r"^(?:Package|Version): (.+)$", known, re.MULTILINE)
    program = b"".join(file.read_bytes() for file in sorted(HERE.iterdir()) if file.is_file())
    return "\n".join([suite, hashlib.sha256(program).hexdigest(), *versions, ""])


def sources(suite: str) -> list[str]:
    """Where apt has Debian's packages of the suite from, its updates and security included."""
    fields = "$(ORIGIN) $(CODENAME) $(REPO_URI) $(RELEASE) $(COMPONENT)"
    told = run("apt-get", "indextargets", "--format", fields, "Created-By: Packages")
    ours = rf"^Debian {suite}(?:-updates|-security)? (\S+ \S+ \S+)$"
    found = re.findall(ours, told, re.MULTILINE)
    if not found:
        raise SystemExit(f"debian-image: apt knows no Debian {suite}; run apt-get update first")
    return [f"deb {line}" for line in dict.fromkeys(found)]


def apt_settings() -> list[str]:
    """How apt reaches its sources: proxies, certificates, and what it does about clocks."""
    ways = r"^Acquire::(?:https?|Check-|Retries|ForceIPv).*;$"
    return re.findall(ways, run("apt-config", "dump"), re.MULTILINE)


# --- the tree and the disk ---------------------------------------------------------------


def build(out: Path, suite: str) -> None:
    work = out.with_suffix(".work")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    archive = work / "root.tar"
    run(
        "mmdebstrap",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        *(f"--aptopt={setting}" for setting in apt_settings()),
        f'--customize-hook={HERE / "customize"} "$1" {LABEL}',
        suite,
        archive,
        *sources(suite),
    )
    disk = work / "disk"
    write_disk(disk, archive, work)
    disk.replace(out)
    shutil.rmtree(work)


def write_disk(disk: Path, archive: Path, work: Path) -> None:
    """Without device files: only root can make them, and the kernel makes its own at each boot."""
    with disk.open("wb") as made:
        made.truncate(DISK_BYTES)
    run("sfdisk", "--quiet", disk, input=TABLE)
    fill = f"""
        mkdir tree
        tar -x -f {archive} -C tree --numeric-owner --xattrs --xattrs-include='*' \\
            --exclude='./dev/*'
        mke2fs -q -F -t ext4 -O {FEATURES} -L {LABEL} -d tree \\
            -E offset={ROOT_SECTOR * SECTOR} {disk} {ROOT_KIB}k
        cp tree/boot/grub/i386-pc/boot.img tree/boot/grub/i386-pc/core.img .
        rm -r tree
    """
    run(*AS_ROOT, "sh", "-e", "-c", fill, cwd=work)
    with disk.open("r+b") as made:
        made.write(boot_code((work / "boot.img").read_bytes()))
        made.seek(BOOT_SECTOR * SECTOR)
        made.write(core((work / "core.img").read_bytes()))


def boot_code(image: bytes) -> bytes:
    """GRUB's first sector, up to the partition table, which loads BOOT_SECTOR (GRUB:
    include/grub/i386/pc/boot.h, GRUB_BOOT_MACHINE_KERNEL_SECTOR)."""
    return image[:0x5C] + BOOT_SECTOR.to_bytes(8, "little") + image[0x64:440]


def core(image: bytes) -> bytes:
    """GRUB's second part, whose own first sector loads the others from behind itself (the list of
    blocks at that sector's end: grub-core/boot/i386/pc/diskboot.S, blocklist_default_start)."""
    return image[:0x1F4] + (BOOT_SECTOR + 1).to_bytes(8, "little") + image[0x1FC:]


if __name__ == "__main__":
    sys.exit(main())
