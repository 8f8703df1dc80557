"""The tools for SSH key pairs."""

from __future__ import annotations

from econe.cli.tables import KEY_PAIRS, lines, printable, show_json, show_lines
from econe.cli.tool import (
    HEADERS,
    Asked,
    Example,
    Option,
    Tool,
    UsageError,
    no_more_arguments,
    numbered,
    one_argument,
)
from econe.client.answers import listed, text_at
from econe.client.errors import BadAnswer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from econe.client.session import Session


_MOST_PUBLIC_KEY_BYTES = 16 * 1024
_FINGERPRINT = "1f:51:ae:28:bf:89:e9:d8:1f:25:5d:37:2d:7d:b8:ca:9f:f5:f1:6f"
"""For examples."""


def _show_key(answer: dict[str, Any]) -> None:
    """Name and fingerprint, in the words of OpenNebula 3.8's tool."""
    print(f"keyName: {printable(text_at(answer, 'keyName'))}")
    print(f"Fingerprint: {printable(text_at(answer, 'keyFingerprint'))}")


def _private_key(answer: dict[str, Any]) -> str:
    material = text_at(answer, "keyMaterial")
    if not material:
        raise BadAnswer("the server's answer has no private key")
    return material if material.endswith("\n") else material + "\n"


# --- econe-create-keypair ----------------------------------------------------------------


def _create(asked: Asked, session: Session) -> None:
    params = [("KeyName", one_argument(asked, "NAME"))]
    for option, member in (("type", "KeyType"), ("format", "KeyFormat")):
        value = asked.get(option)
        if value is not None:
            params.append((member, value))
    path = asked.get("output")
    if path is None:
        answer = session.call("CreateKeyPair", params)
        private = _private_key(answer)
    else:
        from econe.cli.files import SecretFile

        with SecretFile(path) as file:
            answer = session.call("CreateKeyPair", params)
            file.keep(_private_key(answer).encode("utf-8"))
        answer.pop("keyMaterial", None)
    if asked.has("json"):
        show_json(answer)
        return
    _show_key(answer)
    if path is None:
        print(f"Private Key:\n{private}", end="")


CREATE_KEYPAIR = Tool(
    name="econe-create-keypair",
    gist="make an SSH key pair",
    arguments="NAME",
    description="""\
Makes a key pair. The cloud keeps the public key under the name, for econe-run-instances --keypair.
The private key is told this once and is kept nowhere: write it to a file with --output.""",
    act=_create,
    options=(
        Option(
            "output",
            "Write the private key to FILE, which must not exist yet and which only its owner "
            "can read (mode 0600), and not to standard output.",
            "o",
            "FILE",
        ),
        Option("type", "rsa or ed25519. Default: rsa.", "t", "TYPE"),
        Option("format", "pem, or ppk: a file of PuTTY's. Default: pem.", value="FORMAT"),
    ),
    examples=(
        Example(
            "econe-create-keypair mykey -o mykey.pem",
            f"keyName: mykey\nFingerprint: {_FINGERPRINT}",
        ),
        Example("ssh -i mykey.pem root@172.31.0.5"),
    ),
)

# --- econe-import-keypair ----------------------------------------------------------------


def _import(asked: Asked, session: Session) -> None:
    from base64 import b64encode

    from econe.cli.files import small_file

    no_more_arguments(asked, 2)
    if len(asked.arguments) < 2:
        raise UsageError("missing NAME or PUBLIC-KEY-FILE parameter")
    name, path = asked.arguments
    content = small_file(path, most_bytes=_MOST_PUBLIC_KEY_BYTES, what="public key")
    if b"PRIVATE KEY" in content:
        raise UsageError(f"{path} holds a private key: give the public one, usually {path}.pub")
    answer = session.call(
        "ImportKeyPair",
        [("KeyName", name), ("PublicKeyMaterial", b64encode(content).decode("ascii"))],
    )
    if asked.has("json"):
        show_json(answer)
    else:
        _show_key(answer)


IMPORT_KEYPAIR = Tool(
    name="econe-import-keypair",
    gist="make a key pair of your own public key",
    arguments="NAME PUBLIC-KEY-FILE",
    description="""\
Keeps a public key that you have under a name, for econe-run-instances --keypair. The file is one
that ssh-keygen writes (rsa or ed25519); - is standard input. Private keys are never sent.""",
    act=_import,
    examples=(Example("econe-import-keypair mykey ~/.ssh/id_ed25519.pub"),),
)

# --- econe-describe-keypairs -------------------------------------------------------------


def _describe(asked: Asked, session: Session) -> None:
    answer = session.call("DescribeKeyPairs", numbered("KeyName", asked.arguments))
    if asked.has("json"):
        show_json(answer)
        return
    rows = (
        (text_at(key, "keyName"), text_at(key, "keyFingerprint"))
        for key in listed(answer, "keySet")
    )
    show_lines(lines(KEY_PAIRS, rows, headers=asked.has("headers")))


DESCRIBE_KEYPAIRS = Tool(
    name="econe-describe-keypairs",
    gist="list SSH key pairs",
    arguments="[NAME]...",
    description="Prints the name and the fingerprint of all key pairs, or of those named.",
    act=_describe,
    options=(HEADERS,),
    examples=(
        Example(
            "econe-describe-keypairs -H",
            f"""\
keyName         keyFingerprint
----------------------------------------------------------------------------
mykey           {_FINGERPRINT}""",
        ),
    ),
)

# --- econe-delete-keypair ----------------------------------------------------------------


def _delete(asked: Asked, session: Session) -> None:
    name = one_argument(asked, "NAME")
    answer = session.call("DeleteKeyPair", [("KeyName", name)])
    if asked.has("json"):
        show_json(answer)
    elif text_at(answer, "return") == "false":  # OpenNebula's server says so, EC2 does not
        raise BadAnswer(f"Key {name} could not be removed")


DELETE_KEYPAIR = Tool(
    name="econe-delete-keypair",
    gist="forget an SSH key pair",
    arguments="NAME",
    description="""\
Forgets a key pair, and prints nothing. Instances that were started with it keep the public key.
Deleting one that does not exist is not an error.""",
    act=_delete,
    examples=(Example("econe-delete-keypair mykey"),),
)
