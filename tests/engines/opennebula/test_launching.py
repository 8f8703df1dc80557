"""What oned is asked to make of a launch."""

import base64
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree
from tests.support.machines import NETWORK, machine

from econe.domain.engine_ports import EngineRefused, MachineSpec
from econe.domain.hidden import Hidden
from econe.engines.opennebula import launching
from econe.engines.opennebula.context import context_of, host_name, start_script
from econe.engines.opennebula.documents import Attributes, read_attributes
from econe.engines.opennebula.launching import Wish, object_name
from econe.engines.opennebula.marks import Marks
from econe.engines.opennebula.template import template_text
from econe.settings import Opennebula

MARKS = Marks(Hidden(b"k" * 32))
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"
SCRIPT = b"#!/bin/sh\necho hello\n"


def spec(**changes: object) -> MachineSpec:
    base = machine()
    chosen = replace(base.nics[0].network, engine_ref="7", is_default=False)
    nics = (replace(base.nics[0], network=chosen),)
    given = {"image_id": "ami-00000009", "image_ref": "4", "nics": nics, **changes}
    return replace(base, **given)  # type: ignore[arg-type]


def wish(image_mib: int = 300, **changes: object) -> Wish:
    return Wish(spec(**changes), "2", image_mib)


def template(text: str) -> Attributes:
    return read_attributes(etree.fromstring(f"<TEMPLATE>{text}</TEMPLATE>"))


def read(attributes: object) -> Attributes:
    """As oned would read what we write."""
    return read_attributes(etree.fromstring(template_text(attributes)))  # type: ignore[arg-type]


def of_template(text: str = "", **changes: object) -> Attributes:
    return read(launching.of_template(wish(**changes), template(text), MARKS))


def of_numbers(settings: Opennebula | None = None, **changes: object) -> Attributes:
    return read(launching.of_numbers(wish(**changes), MARKS, settings or Opennebula()))


# --- the template ------------------------------------------------------------------------


def test_the_image_comes_before_the_templates_own_disks():
    made = of_template("<DISK><IMAGE_ID>9</IMAGE_ID><TARGET>vdb</TARGET></DISK>")
    assert made.vectors["DISK"] == ({"IMAGE_ID": "4"}, {"IMAGE_ID": "9", "TARGET": "vdb"})


@pytest.mark.parametrize(
    ("image_mib", "gib", "size"),
    [(300, 1, None), (1024, 1, None), (1025, 2, None), (300, 2, "2048"), (2048, 3, "3072")],
)
def test_a_root_disk_is_grown_if_the_launch_says_so(image_mib: int, gib: int, size: str | None):
    disks = (replace(machine().disks[0], size_gib=gib),)
    made = read(launching.of_numbers(wish(image_mib, disks=disks), MARKS, Opennebula()))
    assert made.vector("DISK").get("SIZE") == size


def test_a_network_that_is_chosen_replaces_the_templates():
    made = of_template("<NIC><NETWORK_ID>1</NETWORK_ID><MODEL>virtio</MODEL></NIC>")
    assert made.vectors["NIC"] == ({"NETWORK_ID": "7", "MODEL": "virtio"},)


def test_a_templates_network_goes_before_the_default_one():
    network = replace(NETWORK, engine_ref="7", is_default=True)
    nics = (replace(machine().nics[0], network=network),)
    text = "<NIC><NETWORK_ID>1</NETWORK_ID></NIC>"
    assert "NIC" not in of_template(text, nics=nics).vectors
    assert of_template("", nics=nics).vectors["NIC"] == ({"NETWORK_ID": "7"},)


def test_a_launch_without_a_network_has_the_templates():
    text = "<NIC><NETWORK_ID>1</NETWORK_ID></NIC>"
    assert "NIC" not in of_template(text, nics=()).vectors
    assert "NIC" not in of_numbers(nics=()).vectors


def test_it_carries_our_mark_and_what_old_econe_wrote():
    made = of_template(key_name="mykey")
    singles = {name: values[0] for name, values in made.singles.items()}
    assert singles == {
        "ECONE_ID": "i-00000001",
        "ECONE_MARK": MARKS.mark("i-00000001", "2"),
        "IMAGE_ID": "ami-00000009",
        "EC2_INSTANCE_TYPE": "t1.micro",
        "EC2_KEYNAME": "mykey",
    }


def test_a_type_of_ours_says_all_in_numbers():
    made = of_numbers(Opennebula(cpu_per_vcpu=0.25), vcpus=2, memory_mib=512)
    assert [made.text(name) for name in ("CPU", "VCPU", "MEMORY")] == ["0.50", "2", "512"]
    assert made.vector("OS") == {"ARCH": "x86_64"}
    assert made.vector("GRAPHICS")["TYPE"] == "VNC"
    assert "GRAPHICS" not in of_numbers(Opennebula(graphics=False)).vectors
    assert of_numbers(Opennebula(cpu_per_vcpu=0.001)).text("CPU") == "0.01"


def test_one_that_boots_by_uefi_has_the_operators_firmware():
    code = "/usr/share/OVMF/OVMF_CODE_4M.fd"
    made = replace(wish(uefi=True), uefi_firmware=code)
    by_numbers = read(launching.of_numbers(made, MARKS, Opennebula()))
    assert by_numbers.vector("OS") == {"ARCH": "x86_64", "FIRMWARE": code}
    own = template("<OS><ARCH>x86_64</ARCH><BOOT>disk0</BOOT><FIRMWARE>BIOS</FIRMWARE></OS>")
    by_template = read(launching.of_template(made, own, MARKS))
    assert by_template.vector("OS") == {"ARCH": "x86_64", "BOOT": "disk0", "FIRMWARE": code}
    with pytest.raises(EngineRefused, match="cannot boot by UEFI any more") as told:
        of_numbers(uefi=True)
    assert told.value.code == "Unsupported"


def test_one_that_does_not_ask_for_it_has_its_templates():
    assert "OS" not in of_template("<OS><FIRMWARE>UEFI</FIRMWARE></OS>").vectors


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("web 1", "web 1"),
        ("Büro", "Büro"),
        ('a<b>&"c$d', "a-b-c-d"),
        ("x" * 200, "x" * 128),
        ("ü" * 100, "ü" * 64),
        ("  ", ""),
        ("😀", "\ufffd"),
    ],
)
def test_names_are_what_oned_takes(given: str, made: str):
    assert object_name(given) == made


def test_a_machine_without_a_usable_name_is_called_by_its_id():
    assert wish(name=" ").name == "i-00000001"


# --- context -----------------------------------------------------------------------------


def test_context_is_merged_over_the_templates():
    made = of_template(
        "<CONTEXT><TOKEN>YES</TOKEN><NETWORK>NO</NETWORK>"
        "<SSH_PUBLIC_KEY>$USER[SSH_PUBLIC_KEY]</SSH_PUBLIC_KEY></CONTEXT>",
        key_name="mykey",
        public_key=KEY,
    ).vector("CONTEXT")
    assert made["TOKEN"] == "YES"
    assert made["NETWORK"] == "NO"
    assert made["SSH_PUBLIC_KEY"] == made["EC2_PUBLIC_KEY"] == KEY
    assert made["EC2_KEYNAME"] == "mykey"
    assert made["SET_HOSTNAME"] == made["HOSTNAME"] == "machine-1"


def test_what_the_administrator_lets_oned_replace_stays():
    text = "<CONTEXT><SSH_PUBLIC_KEY>$USER[SSH_PUBLIC_KEY]</SSH_PUBLIC_KEY></CONTEXT>"
    assert of_template(text).vector("CONTEXT")["SSH_PUBLIC_KEY"] == "$USER[SSH_PUBLIC_KEY]"


def test_the_last_context_of_a_template_counts():
    text = "<CONTEXT><A>1</A></CONTEXT><CONTEXT><B>2</B></CONTEXT>"
    made = of_template(text).vector("CONTEXT")
    assert "A" not in made
    assert made["B"] == "2"


def test_user_data_goes_as_base64_only():
    data = b"#cloud-config\nusers: $NAME \xff'\n"
    made = context_of(spec(user_data=Hidden(data)), {})
    for name in ("USER_DATA", "EC2_USER_DATA"):
        assert base64.b64decode(made[name]) == data
    assert made["USER_DATA_ENCODING"] == "base64"
    assert "START_SCRIPT_BASE64" not in made
    assert not any("$" in value for value in made.values())


def test_a_name_of_a_key_cannot_be_replaced_by_oned():
    assert context_of(spec(key_name="$USER[PASSWORD]"), {})["EC2_KEYNAME"] == "_USER[PASSWORD]"


def test_a_script_is_started_by_one_context_too():
    made = context_of(spec(user_data=Hidden(SCRIPT)), {})
    assert base64.b64decode(made["START_SCRIPT_BASE64"]) == start_script("i-00000001")


@pytest.mark.parametrize("own", ["START_SCRIPT", "START_SCRIPT_BASE64"])
def test_a_templates_own_start_script_stays(own: str):
    made = context_of(spec(user_data=Hidden(SCRIPT)), {own: "mine"})
    assert made[own] == "mine"
    assert len([name for name in made if name.startswith("START_SCRIPT")]) == 1


def test_the_start_script_runs_user_data_once(tmp_path: Path):
    out, note = tmp_path / "out", tmp_path / "lib"
    text = start_script("i-00000001").decode().replace("/var/lib/one-context", str(note))
    starter = tmp_path / "start"
    starter.write_text(text)
    script = f"#!/bin/sh\necho run >>{out}\nexit 3\n".encode()
    environment = {**os.environ, "USER_DATA": base64.b64encode(script).decode()}
    run = ["/bin/sh", str(starter)]
    assert subprocess.run(run, env=environment, check=False, timeout=20).returncode == 3
    assert subprocess.run(run, env=environment, check=False, timeout=20).returncode == 0
    assert len(out.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "made"),
    [("Web 1", "web-1"), ("büro_a.b", "b-ro-a-b"), ("--", ""), ("x" * 70, "x" * 63)],
)
def test_host_names_are_labels(given: str, made: str):
    assert host_name(given) == made
