"""Uploads on their way: who may read them, what oned is told, and when they go."""

import errno
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.domain.hidden import Hidden
from econe.domain.image_ports import ImageSpec
from econe.domain.images import DiskFormat
from econe.engines.opennebula import copying, upload_way
from econe.engines.opennebula.staging import FORGOTTEN_S, Staging
from econe.engines.opennebula.upload_way import Way, is_here, way_of
from econe.settings import Opennebula

RAW, QCOW2 = DiskFormat.RAW, DiskFormat.QCOW2
KEY = Hidden(b"k" * 32)
CONTENT = b"\x00" * 510 + b"\x55\xaa" + b"disk" * 1024


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def spec(tmp_path: Path) -> ImageSpec:
    return upload(tmp_path, "ami-00000001")


def upload(tmp_path: Path, image_id: str, content: bytes = CONTENT) -> ImageSpec:
    vault = tmp_path / "blobs"
    vault.mkdir(mode=0o700, exist_ok=True)
    path = vault / f"{image_id}.raw"
    path.write_bytes(content)
    path.chmod(0o400)
    return ImageSpec(
        id=image_id,
        account="100000000002",
        name="disk",
        description="",
        path=path,
        content_format=RAW,
        size_bytes=len(content),
    )


def by_path(tmp_path: Path, time: Time | None = None) -> Staging:
    return Staging(Way(tmp_path / "upload"), KEY, timer=time or Time())


def by_url(tmp_path: Path, time: Time | None = None) -> Staging:
    way = Way(tmp_path / "staged", "http://econe.test:4567", by_url=True)
    return Staging(way, KEY, timer=time or Time())


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "upload").iterdir())


# --- by path -------------------------------------------------------------------------------


def test_oned_is_told_a_file_that_is_the_content_and_its_sum(
    tmp_path: Path, spec: ImageSpec
) -> None:
    handed = by_path(tmp_path).hand_over(spec, RAW)
    assert Path(handed.source).read_bytes() == CONTENT
    sum_ = subprocess.run(
        ["sha1sum", handed.source], check=True, capture_output=True, text=True
    ).stdout.split()[0]
    assert handed.sha1 == sum_


def test_the_file_is_the_vaults_own_and_takes_up_no_space(tmp_path: Path, spec: ImageSpec) -> None:
    handed = by_path(tmp_path).hand_over(spec, RAW)
    assert Path(handed.source).samefile(spec.path)


def test_anybody_who_comes_to_the_file_may_read_it_and_nobody_may_write(
    tmp_path: Path, spec: ImageSpec
) -> None:
    found = Path(by_path(tmp_path).hand_over(spec, RAW).source).stat()
    assert stat.S_IMODE(found.st_mode) == 0o444
    assert found.st_uid == os.geteuid()


def test_the_directory_cannot_be_listed_by_others(tmp_path: Path, spec: ImageSpec) -> None:
    (tmp_path / "upload").mkdir(mode=0o755)
    by_path(tmp_path).hand_over(spec, RAW)
    assert stat.S_IMODE((tmp_path / "upload").stat().st_mode) & 0o066 == 0


def test_a_name_tells_nothing_and_is_the_same_at_the_next_try(
    tmp_path: Path, spec: ImageSpec
) -> None:
    first = by_path(tmp_path).hand_over(spec, RAW)
    assert by_path(tmp_path).hand_over(spec, RAW) == first
    assert len(files(tmp_path)) == 1
    assert spec.id not in first.source
    other = Staging(Way(tmp_path / "upload"), Hidden(b"x" * 32))
    assert other.hand_over(spec, RAW).source != first.source


def test_equal_content_is_read_for_its_sum_once(
    tmp_path: Path, spec: ImageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = by_path(tmp_path)
    sums: list[Path] = []
    real = copying.sha1_of
    monkeypatch.setattr(
        "econe.engines.opennebula.staging.sha1_of", lambda path: sums.append(path) or real(path)
    )
    first = staging.hand_over(spec, RAW)
    second = staging.hand_over(replace(spec, id="ami-00000002"), RAW)
    assert first.sha1 == second.sha1
    assert first.source != second.source
    assert len(sums) == 1


def test_a_link_to_elsewhere_is_never_told(tmp_path: Path, spec: ImageSpec) -> None:
    """oned's driver would read it as oneadmin."""
    staging = by_path(tmp_path)
    path = Path(staging.hand_over(spec, RAW).source)
    path.unlink()
    path.symlink_to("/etc/hostname")
    with pytest.raises(EngineRefused):
        staging.hand_over(spec, RAW)


def test_a_directory_that_is_a_link_is_refused(tmp_path: Path, spec: ImageSpec) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "upload").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EngineBusy, match="is no directory"):
        by_path(tmp_path).hand_over(spec, RAW)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_directory_that_others_may_write_to_is_refused(
    tmp_path: Path, spec: ImageSpec, mode: int
) -> None:
    (tmp_path / "upload").mkdir()
    (tmp_path / "upload").chmod(mode)
    with pytest.raises(EngineBusy, match="written to by others"):
        by_path(tmp_path).hand_over(spec, RAW)


def test_a_way_above_that_is_a_link_is_told_as_what_it_is(tmp_path: Path, spec: ImageSpec) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    staging = Staging(Way(tmp_path / "link" / "upload"), KEY)
    assert staging.hand_over(spec, RAW).source.startswith(str(tmp_path / "real" / "upload"))


def test_content_that_is_gone_cannot_be_handed_over(tmp_path: Path, spec: ImageSpec) -> None:
    spec.path.unlink()
    with pytest.raises(EngineRefused, match="content of the image is gone"):
        by_path(tmp_path).hand_over(spec, RAW)


# --- without links -------------------------------------------------------------------------


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the vault and the directory are on two file systems."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("no_links")
@pytest.mark.parametrize("clones", [True, False])
def test_what_cannot_be_linked_is_copied_with_its_holes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clones: bool
) -> None:
    if not clones:

        def refuse(*_: object) -> None:
            raise OSError(errno.EOPNOTSUPP, "no clones here")

        monkeypatch.setattr("fcntl.ioctl", refuse)
    spec = upload(tmp_path, "ami-00000001", b"")
    spec.path.chmod(0o600)
    with spec.path.open("wb") as file:
        file.write(b"first")
        file.seek(8 << 20)
        file.write(b"second")
        file.truncate(64 << 20)
    path = Path(by_path(tmp_path).hand_over(spec, RAW).source)
    assert not path.samefile(spec.path)
    assert path.read_bytes() == spec.path.read_bytes()
    assert path.stat().st_blocks <= spec.path.stat().st_blocks + 16
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert files(tmp_path) == [path]


@pytest.mark.usefixtures("no_links")
def test_a_copy_that_fails_leaves_nothing_and_is_tried_again(
    tmp_path: Path, spec: ImageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = by_path(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(copying, "_copy_data", full)
        patch.setattr("fcntl.ioctl", full)
        with pytest.raises(EngineBusy, match="No space left"):
            staging.hand_over(spec, RAW)
    assert files(tmp_path) == []
    assert Path(staging.hand_over(spec, RAW).source).read_bytes() == CONTENT


# --- converted -----------------------------------------------------------------------------

needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img")


@needs_qemu_img
def test_another_format_is_made_on_the_way(tmp_path: Path, spec: ImageSpec) -> None:
    staging = by_path(tmp_path)
    path = Path(staging.hand_over(spec, QCOW2).source)
    assert path.read_bytes()[:4] == b"QFI\xfb"
    back = tmp_path / "back"
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, back], check=True)
    assert back.read_bytes()[: len(CONTENT)] == CONTENT
    before = path.stat().st_mtime_ns
    assert staging.hand_over(spec, QCOW2).source == str(path)
    assert path.stat().st_mtime_ns == before


@needs_qemu_img
def test_what_cannot_be_converted_leaves_nothing(tmp_path: Path, spec: ImageSpec) -> None:
    with pytest.raises(EngineBusy, match="qemu-img"):
        by_path(tmp_path).hand_over(replace(spec, content_format=QCOW2), RAW)
    assert files(tmp_path) == []


# --- by URL --------------------------------------------------------------------------------


def test_oned_is_told_a_url_whose_token_opens_the_content(tmp_path: Path, spec: ImageSpec) -> None:
    staging = by_url(tmp_path)
    source = staging.hand_over(spec, RAW).source
    start, _, token = source.rpartition("/")
    assert start == "http://econe.test:4567/staged"
    for each in (staging, by_url(tmp_path)):  # the second: after a restart
        file = each.open(token)
        assert file is not None
        with file:
            assert file.read() == CONTENT
    staging.take_back(spec.id)
    assert staging.open(token) is None


def test_nothing_but_tokens_opens_anything(tmp_path: Path, spec: ImageSpec) -> None:
    staging = by_url(tmp_path)
    token = staging.hand_over(spec, RAW).source.rpartition("/")[2]
    (file,) = (tmp_path / "staged").iterdir()
    outside = ["", token[:-1], token + "0", token.upper(), file.name, f"../staged/{file.name}"]
    for asked in (*outside, str(file), "\0", f"{token}\n", "0" * 64, "/" + token):
        assert staging.open(asked) is None, asked


def test_a_link_is_not_opened(tmp_path: Path, spec: ImageSpec) -> None:
    staging = by_url(tmp_path)
    token = staging.hand_over(spec, RAW).source.rpartition("/")[2]
    (file,) = (tmp_path / "staged").iterdir()
    file.unlink()
    file.symlink_to("/etc/hostname")
    assert staging.open(token) is None


def test_by_path_no_token_opens_anything(tmp_path: Path, spec: ImageSpec) -> None:
    url = by_url(tmp_path).hand_over(spec, RAW).source
    staging = by_path(tmp_path)
    staging.hand_over(spec, RAW)
    assert staging.open(url.rpartition("/")[2]) is None


def test_files_for_urls_are_ours_alone(tmp_path: Path, spec: ImageSpec) -> None:
    by_url(tmp_path).hand_over(spec, RAW)
    assert stat.S_IMODE((tmp_path / "staged").stat().st_mode) == 0o700


# --- when they go --------------------------------------------------------------------------


def test_a_file_stays_for_as_long_as_oned_copies(
    tmp_path: Path, spec: ImageSpec, time: Time
) -> None:
    staging = by_path(tmp_path, time)
    staging.hand_over(spec, RAW)
    staging.handed(spec.id)
    for _ in range(3):
        time.now += 10 * FORGOTTEN_S
        staging.sweep([spec.id], [], staging.now())
        assert len(files(tmp_path)) == 1
    staging.sweep([], [], staging.now())
    assert files(tmp_path) == []


def test_a_file_goes_as_soon_as_oned_has_the_content(
    tmp_path: Path, spec: ImageSpec, time: Time
) -> None:
    """Also where this process does not know that oned was told."""
    staging = by_path(tmp_path, time)
    staging.hand_over(spec, RAW)
    staging.sweep([], [spec.id], staging.now())
    assert files(tmp_path) == []


def test_what_oned_said_before_it_had_the_image_does_not_count(
    tmp_path: Path, spec: ImageSpec, time: Time
) -> None:
    staging = by_path(tmp_path, time)
    began = staging.now()
    time.now += 1
    staging.hand_over(spec, RAW)
    staging.handed(spec.id)
    staging.sweep([], [], began)
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("restarted", [False, True])
def test_a_file_whose_fate_is_unknown_stays_for_a_while(
    tmp_path: Path, spec: ImageSpec, time: Time, restarted: bool
) -> None:
    """The call that was to make the image may still be under way in oned."""
    staging = by_path(tmp_path, time)
    staging.hand_over(spec, RAW)
    if restarted:
        staging = by_path(tmp_path, time)
    staging.sweep([], [], staging.now())
    time.now += FORGOTTEN_S
    staging.sweep([], [], staging.now())
    assert len(files(tmp_path)) == 1
    time.now += 1
    staging.sweep([], [], staging.now())
    assert files(tmp_path) == []


def test_files_of_others_are_left_alone(tmp_path: Path, spec: ImageSpec, time: Time) -> None:
    staging = by_path(tmp_path, time)
    staging.hand_over(spec, RAW)
    other = Staging(Way(tmp_path / "upload"), Hidden(b"x" * 32), timer=time)
    (tmp_path / "upload" / "debian.img").touch()
    other.sweep([], [], other.now())
    time.now += 2 * FORGOTTEN_S
    other.sweep([], [], other.now())
    assert len(files(tmp_path)) == 2


def test_taking_back_twice_is_once(tmp_path: Path, spec: ImageSpec) -> None:
    staging = by_path(tmp_path)
    staging.take_back(spec.id)
    staging.hand_over(spec, RAW)
    staging.take_back(spec.id)
    staging.take_back(spec.id)
    assert files(tmp_path) == []
    assert spec.path.read_bytes() == CONTENT


def test_there_is_nothing_to_sweep_where_there_is_no_directory(tmp_path: Path) -> None:
    staging = by_path(tmp_path)
    staging.sweep([], [], staging.now())


# --- which way -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:2633/RPC2", True),
        ("http://127.8.9.1:2633/RPC2", True),
        ("http://[::1]:2633/RPC2", True),
        ("http://localhost/RPC2", True),
        ("http://192.0.2.7:2633/RPC2", False),  # TEST-NET-1: nobody's
        ("http://[2001:db8::7]/RPC2", False),
        ("nonsense", False),
    ],
)
def test_whether_oned_is_on_this_machine(url: str, here: bool) -> None:
    assert is_here(url) is here


def settings(tmp_path: Path, **said: Any) -> Opennebula:
    return replace(Opennebula(upload_path=tmp_path / "up"), **said)


def test_oned_here_is_given_paths_and_oned_elsewhere_urls(tmp_path: Path) -> None:
    assert way_of(settings(tmp_path), tmp_path) == Way(
        tmp_path / "up", credentials=Opennebula().credentials
    )
    said = settings(tmp_path, endpoint="http://192.0.2.7/RPC2", upload_url="http://e.test:4567/")
    way = way_of(said, tmp_path)
    assert way == Way(tmp_path / "staged", "http://e.test:4567", by_url=True)
    assert way.url_of("t") == "http://e.test:4567/staged/t"
    assert way_of(replace(said, upload_by="path"), tmp_path).directory == tmp_path / "up"
    assert way_of(settings(tmp_path, upload_by="url", upload_url="https://e/x"), tmp_path).by_url


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"upload_by": "pigeon"}, "use auto, path or url"),
        ({"upload_by": "url"}, "upload_url must say"),
        ({"upload_by": "url", "upload_url": "ftp://e.test"}, "no plain http"),
        ({"upload_by": "url", "upload_url": "http://e.test/$(id)"}, "no plain http"),
        ({"upload_by": "url", "upload_url": "http://u:p@e.test"}, "no plain http"),
        ({"upload_path": Path("/var/tmp/a b")}, "must be absolute"),
        ({"upload_path": Path("/var/tmp/x'y")}, "must be absolute"),
        ({"upload_path": Path("/var/tmp/../etc")}, "must be absolute"),
        ({"upload_path": Path("up")}, "must be absolute"),
    ],
)
def test_settings_that_cannot_be_are_told_at_the_first_upload(
    tmp_path: Path, spec: ImageSpec, said: dict[str, Any], problem: str
) -> None:
    staging = Staging(way_of(settings(tmp_path, **said), tmp_path), KEY)
    with pytest.raises(EngineBusy, match=problem):
        staging.hand_over(spec, RAW)


# --- whom the directory lets in ------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory to another group")
def test_as_root_only_the_group_of_oneds_user_is_let_in(tmp_path: Path, spec: ImageSpec) -> None:
    nobody = pwd.getpwnam("nobody")
    credentials = tmp_path / "ec2_auth"
    credentials.write_text("serveradmin:x")
    os.chown(credentials, nobody.pw_uid, -1)
    Staging(Way(tmp_path / "upload", credentials=credentials), KEY).hand_over(spec, RAW)
    found = (tmp_path / "upload").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o710, nobody.pw_gid)


def test_where_oneds_user_is_not_known_all_may_pass_and_none_may_list(
    tmp_path: Path, spec: ImageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_way, "oned_user", lambda _: None)
    by_path(tmp_path).hand_over(spec, RAW)
    assert stat.S_IMODE((tmp_path / "upload").stat().st_mode) == 0o711


def test_where_we_are_oneds_user_nobody_else_is_let_in(
    tmp_path: Path, spec: ImageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    ourselves = pwd.getpwuid(os.geteuid())
    monkeypatch.setattr(upload_way, "oned_user", lambda _: ourselves)
    by_path(tmp_path).hand_over(spec, RAW)
    assert stat.S_IMODE((tmp_path / "upload").stat().st_mode) == 0o700
