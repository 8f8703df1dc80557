"""All settings: one frozen dataclass a section. Read from TOML, then from the environment.

Unknown keys are errors. Units are in the names. The reference page (docs/settings.md) is made
from these classes and the text below each field.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path


def default_state() -> Path:
    """The state directory where neither option, environment nor file names one."""
    if os.geteuid() == 0:
        return Path("/var/lib/econe")
    return Path.home() / ".local/share/econe"


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """The HTTP door."""

    listen: str = "127.0.0.1:4567"
    """Address and port."""
    tls_certificate: str = ""
    """PEM file with the certificate and its chain. With tls_key it makes the server speak HTTPS."""
    tls_key: str = ""
    """PEM file with the private key."""
    public_url: str = ""
    """What clients call the server if not what they put into the Host header (behind a proxy)."""
    max_body_kib: int = 1024
    """Largest request other than an upload. User data (16 KiB) fits many times."""
    max_header_kib: int = 64
    """Largest head of a request."""
    header_timeout_s: float = 20.0
    """Longest wait for a request's head to be complete. Slower connections are closed."""
    body_timeout_s: float = 30.0
    """Longest wait for the whole body of an ordinary request; longest silence inside an upload."""
    threads: int = 4
    """Requests worked on at once."""
    metrics: str = "off"
    """Whether /metrics shows what instances use, of every account, to Prometheus: off; loopback,
    to callers of this machine; or open, to whoever reaches the server."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cloud:
    """What the cloud calls itself and offers."""

    region: str = "us-east-1"
    """Its name. Requests signed for any region are accepted."""
    zone: str = "us-east-1a"
    """The one availability zone."""
    default_type: str = "m1.small"
    """The type of RunInstances without InstanceType."""
    root_gib: int = 0
    """Size of root disks where the image and the request say none; 0: as large as the image."""
    default_vpc_cidrs: tuple[str, ...] = ("172.31.0.0/16", "172.16.0.0/12", "10.128.0.0/9")
    """Pools from which every account's default VPC gets a /16 of its own that the host does not
    reach elsewhere. The user-mode network can use those within 172.16.0.0/12 only."""
    types: tuple[str, ...] = ("*",)
    """Which of the built-in instance types are offered, by name or pattern: t3.*, m5.large."""
    more_types: tuple[str, ...] = ()
    """Types of your own, NAME=VCPUS:MIB, such as big.one=4:8192. They win over built-in ones."""
    memory_overcommit: float = 1.0
    """How much memory machines may be promised together: 1 is all that the host has less
    memory_reserve_mib. 0 sets no limit."""
    memory_reserve_mib: int = 128
    """Memory that is kept for the host itself."""
    vcpu_overcommit: float = 0.0
    """How many virtual CPUs machines may have together for each CPU of the host. 0 sets no
    limit."""
    max_instances: int = 1000
    """Most instances one account may have that are not terminated. These and the next are for
    accounts without limits of their own (econe-admin account limits)."""
    max_vcpus: int = 0
    """Most virtual CPUs of one account's instances that are not stopped. 0 sets no limit."""
    max_memory_gib: int = 0
    """The same of memory."""
    max_images: int = 0
    """Most images of one account that are not deregistered. 0 sets no limit."""
    max_storage_gib: int = 0
    """Most that one account's disks and images may hold together. 0 sets no limit."""
    clock_window_s: float = 900.0
    """How far a request's signing time may be from ours (EC2: 15 minutes)."""
    terminated_listed_s: float = 3600.0
    """How long a terminated instance stays listed (EC2: about an hour)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Images:
    """Uploads."""

    max_upload_gib: int = 64
    """Largest upload."""
    max_virtual_gib: int = 1024
    """Largest disk that an image may unfold to; a decompression bomb ends here."""
    probe_timeout_s: float = 1800.0
    """Longest time that proving and unpacking one upload may take."""
    probe_memory_mib: int = 1024
    """Address space of the child that looks at an upload."""
    keep_free_mib: int = 1024
    """Uploads are refused rather than leave less than this free on the disk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """The work plane."""

    round_every_s: float = 30.0
    """Longest time a missed poke can go unnoticed. Lower costs one engine listing a round."""
    watch_every_s: float = 1.0
    """Time between rounds while something is unsettled."""
    stop_grace_s: float = 60.0
    """How long a guest may take to halt after StopInstances before power is cut."""
    terminate_grace_s: float = 10.0
    """The same for TerminateInstances; its disks are about to be deleted."""
    retry_first_s: float = 0.5
    """Wait after the first failed try; doubled each time."""
    retry_most_s: float = 60.0
    """Longest wait between tries."""
    workers: int = 4
    """Machines worked on at once."""
    ask_again_s: float = 5.0
    """Time between askings of a guest to halt: one that is still booting misses the first."""
    start_tries: int = 3
    """How often a machine that dies at its start is started, before the launch has failed."""
    network_quiet_s: float = 300.0
    """How long a VPC's network stays up after its last instance is gone."""
    check_every_s: float = 60.0
    """Time between status checks of an instance that is well (EC2: a minute)."""
    check_again_s: float = 2.0
    """Time between status checks of an instance that boots, or that did not answer."""
    boot_limit_s: float = 300.0
    """How long a guest's status may be `initializing` before it is `impaired`."""
    impaired_after_s: float = 60.0
    """How long an instance that was well may not answer before it is `impaired`."""
    sample_every_s: float = 60.0
    """Time between samples of what an instance uses that is monitored in detail (EC2: a minute)."""
    sample_basic_every_s: float = 300.0
    """The same of the others (EC2: five minutes)."""
    samples_kept_s: float = 259200.0
    """How long samples are kept; one takes about 100 bytes."""
    sweep_every_s: float = 60.0
    """Time between sweeps of what nobody needs any more: old rows, tokens, content, disks."""
    content_quiet_s: float = 3600.0
    """How old uploaded content that no image needs must be before it is deleted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Qemu:
    """The QEMU engine."""

    binary: str = "qemu-system-x86_64"
    """The emulator, by name on PATH or by path."""
    accelerator: str = "auto"
    """auto, kvm or tcg. auto takes KVM only if the CPU has the flag and /dev/kvm opens."""
    network: str = "auto"
    """auto, vpc or user. auto takes vpc where the process has CAP_NET_ADMIN."""
    console_keep_kib: int = 1024
    """How much of each console log is kept."""
    uid_base: int = 200000
    """Guests run as user uid_base plus the instance's number, if the server runs as root. With 0
    they run as the server itself."""
    reboot_grace_s: float = 60.0
    """How long a guest may take to halt after RebootInstances before it is reset (EC2: minutes)."""
    uefi_code: str = ""
    """UEFI firmware for guests, without SMM (OVMF). Empty: as QEMU's firmware descriptors say."""
    uefi_vars: str = ""
    """The template of its variables, which each guest gets a copy of. Comes with uefi_code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulator:
    """The simulator engine."""

    start_delay_s: float = 0.0
    """How long a machine takes to be running."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opennebula:
    """The OpenNebula engine."""

    endpoint: str = "http://127.0.0.1:2633/RPC2"
    """Where oned answers XML-RPC."""
    credentials: Path = Path("/var/lib/one/.one/ec2_auth")
    """File with `user:secret` of the service account: driver server_cipher, group oneadmin."""
    timeout_s: float = 15.0
    """Longest time that a call may take, from its first byte to its last."""
    users_every_s: float = 30.0
    """Time between readings of users, types, networks and images; a changed password or a disabled
    user counts after at most so long."""
    trust_users_s: float = 3600.0
    """How long what was last read of users is believed while oned does not answer."""
    look_every_s: float = 10.0
    """Longest time that what others do to machines can go unnoticed."""
    password_keys: bool = True
    """Whether user name and password hash are a key pair. If not, only keys of econe-admin are."""
    auth_drivers: tuple[str, ...] = ("core",)
    """Authentication drivers whose stored password is a secret. That of x509 and public is not."""
    adopt_machines: bool = True
    """Whether machines that users made by other means appear as instances."""
    datastore: str = "1"
    """Image datastore for uploads, by id or name."""
    image_type: str = "OS"
    """Type of uploaded images."""
    image_driver: str = ""
    """raw or qcow2: what uploads are made into on their way; empty: as they come. OpenNebula takes
    the format from the content, and a datastore with a DRIVER converts once more."""
    image_prefix: str = ""
    """DEV_PREFIX of uploaded images (vd, sd); empty: oned decides."""
    upload_by: str = "auto"
    """path: oned reads uploads from upload_path; url: it fetches them from upload_url. auto takes
    path where the endpoint is on this machine."""
    upload_path: Path = Path("/var/tmp/econe")  # noqa: S108 - what oned's datastores take by default
    """Directory for uploads on their way; made if need be, and closed to all but oned's user as far
    as the server may. It must be among SAFE_DIRS of the datastore."""
    upload_url: str = ""
    """This server as oned's front-end reaches it, such as http://econe.example:4567. The path
    /staged/ there is for uploads on their way, each behind a token that only oned is told."""
    network: str = ""
    """Virtual network of machines whose launch names no subnet, by id or name. Empty: the one with
    the lowest id."""
    networks: tuple[str, ...] = ()
    """Further virtual networks that appear as subnets, by id or name."""
    catalogue: bool = True
    """Whether the built-in instance types can be had beside VM templates with EC2_INSTANCE_TYPE."""
    cpu_per_vcpu: float = 1.0
    """CPU (share of a physical one) for each virtual CPU of a built-in type."""
    graphics: bool = True
    """Whether machines of built-in types have a VNC console."""
    uefi_firmware: str = ""
    """Firmware of machines whose image asks for UEFI, as OS/FIRMWARE says it: the path of one on
    the hosts that oned's KVM driver allows (OVMF_UEFIS), or UEFI, where OpenNebula finds one
    itself. Empty: images cannot ask for UEFI."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    state: Path = field(default_factory=default_state)
    """Directory of everything that lasts."""
    engine: str = "qemu"
    """qemu, simulator or opennebula."""
    server: Server = field(default_factory=Server)
    cloud: Cloud = field(default_factory=Cloud)
    images: Images = field(default_factory=Images)
    work: Work = field(default_factory=Work)
    qemu: Qemu = field(default_factory=Qemu)
    opennebula: Opennebula = field(default_factory=Opennebula)
    simulator: Simulator = field(default_factory=Simulator)
