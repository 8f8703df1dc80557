from pathlib import Path
from typing import Any, cast

import pytest

from econe.engines.qemu.disks import QemuDisks


def test_only_what_could_be_a_volume_of_ours_is_looked_at(tmp_path: Path) -> None:
    for name in (
        "vol-00000001.qcow2",
        "vol-00000002.qcow2.part",
        "vol-a b.qcow2",
        "vol-1.txt",
        "x",
    ):
        (tmp_path / name).touch()
    disks = QemuDisks(tmp_path, cast(Any, None))
    assert disks.look() == {"vol-00000001", "vol-00000002"}
    for volume_id in disks.look():
        disks.remove(volume_id)
    assert disks.look() == set()


@pytest.mark.parametrize("name", ["", "vol-", "vol-../x", "vol-1/2", "vol-1\n", "i-00000001"])
def test_what_is_no_volume_id_names_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no volume id"):
        QemuDisks(tmp_path, cast(Any, None)).path(name)
