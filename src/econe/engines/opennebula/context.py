"""CONTEXT: what a guest is told at its start, by a CD-ROM that oned makes.

Three kinds of guests read it:
- Old econe's: EC2_PUBLIC_KEY, EC2_KEYNAME, EC2_USER_DATA (base64 as it came; facts/econe.md 2.1).
- cloud-init's OpenNebula source: SSH_PUBLIC_KEY, USER_DATA with USER_DATA_ENCODING, SET_HOSTNAME,
  in releases before 22.1 HOSTNAME (DataSourceOpenNebula.py). It finds the disk by its label
  CONTEXT. The NoCloud source wants a disk with the label CIDATA and two files in it, which no oned
  up to 7.0.2 writes (src/tm_mad/common/context, src/vm/VirtualMachineContext.cc): it has nothing.
- OpenNebula's one-context: SSH_PUBLIC_KEY and EC2_PUBLIC_KEY, SET_HOSTNAME, NETWORK, and in its
  releases of 2024 and later USER_DATA, but of that only `#cloud-config` with write_files and
  runcmd. A script as user data it does not run, so START_SCRIPT_BASE64 does: it is run at every
  start, hence the note in a file, for EC2 runs user data once.
one-context and cloud-init conflict as packages, so none is run twice.

oned replaces `$NAME` and the like in every value and refuses a `$` that it cannot read (seen with
7.0.2). So what users give is here as base64 only, or without `$`.
"""

import base64
import re
from collections.abc import Mapping
from typing import Final

from econe.domain.engine_ports import MachineSpec
from econe.engines.opennebula.template import Expanded, speakable

LONGEST_LABEL: Final = 63
"""Of a host name (RFC 1123)."""
_START_SCRIPTS: Final = frozenset({"START_SCRIPT", "START_SCRIPT_BASE64"})
_ONCE: Final = """\
#!/bin/sh
# econe: user data runs once, as on EC2. USER_DATA is in the environment.
note=/var/lib/one-context/econe-{id}
[ -e "$note" ] && exit 0
mkdir -p "${{note%/*}}" && : >"$note"
file=$(mktemp) || exit 1
printf %s "$USER_DATA" | base64 -d >"$file" && chmod 700 "$file" && "$file"
code=$?
rm -f "$file"
exit $code
"""


def context_of(spec: MachineSpec, of_template: Mapping[str, str]) -> dict[str, str]:
    """CONTEXT for a machine whose template has `of_template`. What belongs to the launch replaces
    the template's; host name and start script are only set where the template does not."""
    name = host_name(spec.name) or host_name(spec.id)
    merged: dict[str, str] = {"NETWORK": "YES", "SET_HOSTNAME": name, "HOSTNAME": name}
    merged |= {name: Expanded(value) for name, value in of_template.items()}
    if spec.public_key:
        merged |= {"SSH_PUBLIC_KEY": spec.public_key, "EC2_PUBLIC_KEY": spec.public_key}
    if spec.key_name:
        merged["EC2_KEYNAME"] = speakable(spec.key_name).replace("$", "_")
    if spec.user_data:
        data = spec.user_data.reveal()
        encoded = base64.b64encode(data).decode()
        merged |= {"EC2_USER_DATA": encoded, "USER_DATA": encoded, "USER_DATA_ENCODING": "base64"}
        if data.startswith(b"#!") and not of_template.keys() & _START_SCRIPTS:
            merged["START_SCRIPT_BASE64"] = base64.b64encode(start_script(spec.id)).decode()
    return merged


def start_script(instance_id: str) -> bytes:
    """Runs the script that is USER_DATA, if it was not run before."""
    return _ONCE.format(id=instance_id).encode()


def host_name(text: str) -> str:
    """A label that a host may have, made of any text; may be empty."""
    label = re.sub(r"[^A-Za-z0-9-]+", "-", text)[:LONGEST_LABEL]
    return label.strip("-").lower()
