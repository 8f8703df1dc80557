"""The image half of the engine in front of the stand-in, and a vault to upload from."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from tests.support.oned.clock import ManualClock
from tests.support.oned.images import Image
from tests.support.oned.prepared import SECRET, Prepared, prepared_world
from tests.support.oned.server import Oned as StandIn

from econe.domain.accounts import number_of
from econe.domain.hidden import Hidden
from econe.domain.image_ports import ImageSpec, SeenImage
from econe.domain.images import DiskFormat, Placing
from econe.engines.opennebula.directory import Directory
from econe.engines.opennebula.images import OnedImages
from econe.engines.opennebula.marks import Marks
from econe.engines.opennebula.rpc import Oned, OnedChoked
from econe.engines.opennebula.staging import Staging
from econe.engines.opennebula.template import template_text
from econe.engines.opennebula.upload_way import way_of
from econe.settings import Opennebula

KEY = Hidden(b"a key of this state directory   ")
DISK = b"\x00" * 510 + b"\x55\xaa" + bytes(range(256)) * 8192


@dataclass
class Rig:
    prepared: Prepared
    standin: StandIn
    settings: Opennebula
    folder: Path
    oned: Oned
    directory: Directory
    marks: Marks
    staging: Staging
    images: OnedImages

    def after_a_crash(self) -> "Rig":
        """The same, joined anew; nothing of the first is remembered."""
        self.oned.close()
        return joined(self.folder, self.prepared, self.standin, self.settings)

    @property
    def world(self) -> Any:
        return self.prepared.world

    def spec(self, image_id: str = "ami-00000001", **said: Any) -> ImageSpec:
        """An upload of helen's, unless said otherwise."""
        content = said.pop("content", DISK)
        vault = self.folder / "blobs"
        vault.mkdir(exist_ok=True)
        path = vault / image_id
        if not path.exists():
            path.write_bytes(content)
            path.chmod(0o400)
        plain = ImageSpec(
            id=image_id,
            account=number_of(str(self.prepared.helen.id)),
            name="my disk",
            description="of mine",
            path=path,
            content_format=DiskFormat.RAW,
            size_bytes=len(content),
            placing=Placing(),
        )
        return replace(plain, **said)

    def seen(self, ref: str) -> SeenImage:
        return self.images.look()[ref]

    def told(self) -> dict[str, str]:
        """The template of the last one.image.allocate, as oned reads it."""
        text = self.standin.calls.of("one.image.allocate")[-1].args[0]
        return {each.tag: each.text or "" for each in etree.fromstring(str(text))}

    def choke_on(self, text: str) -> None:
        """From now on oned cannot write lists in which this text stands: as with characters beyond
        U+FFFF, which any user can bring into them (seen with 7.0.2)."""
        real = self.oned.text

        def choking(session: Hidden[str], method: str, *args: Any, **named: Any) -> str:
            answer = real(session, method, *args, **named)
            if text in answer:
                raise OnedChoked("not valid UTF-8")
            return answer

        self.oned.text = choking  # type: ignore[method-assign]

    def settle(self) -> None:
        self.world.settle()

    def image(self, ref: str) -> Image:
        found: Image = self.world.images[int(ref)]
        return found

    def upload_files(self) -> list[Path]:
        folder = self.staging._way.directory
        return sorted(folder.iterdir()) if folder.exists() else []

    def as_helen(self, method: str, *args: Any) -> Any:
        """What helen does with other tools."""
        return self.oned.call(self.directory.session_of(str(self.prepared.helen.id)), method, *args)

    def made_by_others(self, name: str, **attributes: str) -> str:
        """An image of helen's that old econe or Sunstone made."""
        path = self.folder / "upload" / name
        path.parent.mkdir(mode=0o711, exist_ok=True)
        path.write_bytes(DISK)
        template = template_text({"NAME": name, "TYPE": "OS", "PATH": str(path), **attributes})
        ref = str(self.as_helen("one.image.allocate", template, 1))
        self.settle()
        path.unlink()
        return ref


@contextmanager
def rigged(tmp_path: Path, **said: Any) -> Iterator[Rig]:
    # Nothing happens by itself: a busy machine shall see no other states than an idle one.
    prepared = prepared_world(upload_dir=str(tmp_path / "upload"), clock=ManualClock())
    credentials = tmp_path / "ec2_auth"
    credentials.write_text(f"serveradmin:{SECRET}\n")
    credentials.chmod(0o600)
    with StandIn(prepared.world) as standin:
        settings = replace(
            Opennebula(
                endpoint=standin.url, credentials=credentials, upload_path=tmp_path / "upload"
            ),
            **said,
        )
        rig = joined(tmp_path, prepared, standin, settings)
        try:
            yield rig
        finally:
            rig.oned.close()


def joined(folder: Path, prepared: Prepared, standin: StandIn, settings: Opennebula) -> Rig:
    """The engine's parts, as a start of the server joins them."""
    oned = Oned(settings.endpoint, timeout_s=5.0)
    directory = Directory(oned, settings, folder, lambda: _time_of(prepared))
    marks = Marks(KEY)
    staging = Staging(way_of(settings, folder), KEY)
    images = OnedImages(oned, directory, marks, staging, settings)
    return Rig(prepared, standin, settings, folder, oned, directory, marks, staging, images)


def _time_of(prepared: Prepared) -> datetime:
    return datetime.fromtimestamp(prepared.world.clock.now(), UTC)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rigged(tmp_path) as made:
        yield made
