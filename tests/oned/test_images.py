"""Where images come from: files and their directories, http sources, checksums."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.oned.conftest import User
from tests.support.oned import Oned, Prepared
from tests.support.oned.drivers import failing
from tests.support.oned.errors import NO_EXISTS

CONTENT = b"disk" * 600_000
MIB = 1 << 20


class Source:
    """An http server with one file, as econe would be one; it keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.content = CONTENT
        self.announced: int | None = len(CONTENT)
        source = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._head("GET")
                self.wfile.write(source.content)

            def do_HEAD(self) -> None:
                self._head("HEAD")

            def _head(self, verb: str) -> None:
                source.asked.append(verb)
                self.send_response(200)
                if source.announced is not None:
                    self.send_header("Content-Length", str(source.announced))
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """The driver drops the connection after the head."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/disk.img"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def source() -> Iterator[Source]:
    serving = Source()
    yield serving
    serving.close()


def register(helen: User, prepared: Prepared, path: str, more: str = "") -> tuple[int, str, str]:
    """Id, state and error of the image once everything has ended."""
    template = f'NAME="a"\nPATH="{path}"\nTYPE="OS"\n{more}'
    number = helen.call("one.image.allocate", template, prepared.datastore.id)
    assert isinstance(number, int)
    prepared.world.settle()
    seen = helen.read("one.image.info", number)
    return number, seen.findtext("STATE") or "", seen.findtext("TEMPLATE/ERROR") or ""


@pytest.fixture
def upload(prepared: Prepared, tmp_path: Path) -> Path:
    """A file in the only directory that images may come from."""
    prepared.datastore.template.set("SAFE_DIRS", str(tmp_path / "safe"))
    (tmp_path / "safe").mkdir()
    disk = tmp_path / "safe" / "disk.img"
    disk.write_bytes(CONTENT)
    return disk


def test_a_file_is_copied(helen: User, prepared: Prepared, upload: Path) -> None:
    number, state, _ = register(helen, prepared, str(upload))
    assert state == "1"
    assert prepared.world.images[number].size_mb == -(-len(CONTENT) // MIB)
    assert prepared.world.copies.digests[number] == hashlib.sha256(CONTENT).hexdigest()


def test_a_link_out_of_the_directory_ends_in_an_error(
    helen: User, prepared: Prepared, upload: Path
) -> None:
    outside = upload.parents[1] / "outside.img"
    outside.write_bytes(CONTENT)
    for path in (f"{upload.parent}/../outside.img", str(upload.parent / "link.img")):
        link = upload.parent / "link.img"
        link.unlink(missing_ok=True)
        link.symlink_to(outside)
        number, state, error = register(helen, prepared, path)
        assert state == "5"
        assert "Not allowed to copy image" in error
        helen.call("one.image.delete", number)
        prepared.world.settle()


@pytest.mark.parametrize("algorithm", ["MD5", "SHA1"])
def test_a_checksum_is_checked(
    helen: User, prepared: Prepared, upload: Path, algorithm: str
) -> None:
    digest = hashlib.new(algorithm.lower(), CONTENT).hexdigest()
    number, state, _ = register(helen, prepared, str(upload), f'{algorithm}="{digest}"')
    assert state == "1"
    helen.call("one.image.delete", number)
    prepared.world.settle()
    _, state, error = register(helen, prepared, str(upload), f'{algorithm}="{"0" * 40}"')
    assert state == "5"
    assert f"Error copying {upload} to " in error


def test_an_http_source_is_asked_as_the_driver_does(
    helen: User, prepared: Prepared, source: Source
) -> None:
    number, state, _ = register(helen, prepared, source.url)
    assert state == "1"
    assert source.asked == ["GET", "GET", "GET", "HEAD", "GET", "GET"]
    assert prepared.world.copies.digests[number] == hashlib.sha256(CONTENT).hexdigest()


def test_an_http_source_without_a_length_is_refused(
    helen: User, prepared: Prepared, source: Source
) -> None:
    source.announced = None
    answer = helen.ask("one.image.allocate", f'NAME="a"\nPATH="{source.url}"', 1)
    assert "Unsupported remote image format" in str(answer[1])


def test_a_qcow2_counts_by_its_virtual_size(
    helen: User, prepared: Prepared, source: Source
) -> None:
    size = 40 * MIB
    source.content = b"QFI\xfb" + bytes(20) + size.to_bytes(8, "big") + bytes(MIB)
    source.announced = len(source.content)
    number, _, _ = register(helen, prepared, source.url)
    image = prepared.world.images[number]
    assert (image.size_mb, image.format) == (40, "qcow2")


def test_a_download_that_is_cut_off_ends_in_an_error(
    helen: User, prepared: Prepared, source: Source
) -> None:
    source.announced = len(CONTENT) + 1
    _, state, error = register(helen, prepared, source.url)
    assert state == "5"
    assert error.count("curl: (18) transfer closed with 1 bytes remaining to read") == 4


def test_a_machine_waits_for_a_slow_copy(helen: User, prepared: Prepared, upload: Path) -> None:
    prepared.world.next_copy_takes(60)
    template = f'NAME="a"\nPATH="{upload}"\nTYPE="OS"'
    image = helen.call("one.image.allocate", template, 1)
    extra = f'DISK=[IMAGE_ID="{image}"]'
    number = helen.call("one.template.instantiate", 0, "i-1", False, extra, False)
    assert isinstance(number, int)
    prepared.world.pass_s(59)
    assert prepared.world.vm(number).state_name == "CLONING"
    prepared.world.pass_s(2)
    assert prepared.world.vm(number).state_name == "RUNNING"


def test_a_machine_that_waits_for_a_failed_copy_fails(
    helen: User, prepared: Prepared, upload: Path
) -> None:
    prepared.world.next_copy_fails("disk full")
    image = helen.call("one.image.allocate", f'NAME="a"\nPATH="{upload}"', 1)
    extra = f'DISK=[IMAGE_ID="{image}"]'
    number = helen.call("one.template.instantiate", 0, "i-1", False, extra, False)
    assert isinstance(number, int)
    prepared.world.settle()
    assert prepared.world.vm(number).state_name == "CLONING_FAILURE"
    helen.call("one.vm.action", "terminate", number)
    assert prepared.world.vm(number).state_name == "DONE"


def test_an_image_that_cannot_be_removed_is_in_error(helen: User, prepared: Prepared) -> None:
    image = prepared.world.add_image("ami", prepared.helen)
    prepared.world.drivers.order("image_remove", failing())
    helen.call("one.image.delete", image.id)
    assert helen.read("one.image.info", image.id).findtext("STATE") == "7"
    prepared.world.settle()
    seen = helen.read("one.image.info", image.id)
    assert seen.findtext("STATE") == "5"
    assert "Error removing image" in (seen.findtext("TEMPLATE/ERROR") or "")
    helen.call("one.image.delete", image.id)
    prepared.world.settle()
    assert helen.ask("one.image.info", image.id)[2] == NO_EXISTS


def test_restarting_does_not_lose_a_copy(
    prepared: Prepared, oned: Oned, helen: User, upload: Path
) -> None:
    prepared.world.next_copy_takes(60)
    helen.call("one.image.allocate", f'NAME="a"\nPATH="{upload}"', 1)
    oned.stop()
    oned.start()
    prepared.world.pass_s(61)
    assert helen.read("one.image.info", 0).findtext("STATE") == "1"
