"""econe-upload, with its progress bar."""

from __future__ import annotations

import os

from econe.cli.progress import Bar
from econe.cli.tables import printable, show_json
from econe.cli.tool import Asked, Example, Option, Tool, UsageError, no_more_arguments
from econe.client.answers import text_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from econe.client.session import Session


_NO_FILE = "missing IMAGE-PATH parameter or file not found"


def _upload(asked: Asked, session: Session) -> None:
    from econe.client.uploads import open_source

    no_more_arguments(asked, 1)
    if not asked.arguments or not asked.arguments[0]:
        raise UsageError(_NO_FILE)
    params = [
        (name, asked.values[option])
        for option, name in (
            ("name", "Name"),
            ("description", "Description"),
            ("architecture", "Architecture"),
        )
        if asked.has(option)
    ]
    source = open_source(asked.arguments[0])
    bar = Bar(source.name, "the server looks at it")

    def progress(sent: int) -> None:
        bar(sent, source.size)

    try:
        answer = session.upload(source, params, progress=progress, multipart=asked.has("multipart"))
    finally:
        bar.clear()
        os.close(source.descriptor)
    if asked.has("json"):
        show_json(answer)
    else:
        print(f"Success: ImageId {printable(text_at(answer, 'imageId'))}")


UPLOAD = Tool(
    name="econe-upload",
    gist="upload a disk image",
    arguments="IMAGE-PATH",
    description="""\
Uploads the image of a disk, and prints its id when the cloud has it and has found that it is one.
What follows is econe-register with that id. Formats: raw, qcow2, vmdk, vdi, vhd and vhdx, also
compressed by gzip, xz, bzip2 or zstd. On a terminal a bar shows the progress.""",
    act=_upload,
    options=(
        Option(
            "multipart",
            "Send the file as a form, signed by version 2, as OpenNebula's tool did, for servers "
            "that take nothing else.",
            "M",
        ),
        Option("name", "Name of the image. Default: one that the cloud makes.", value="NAME"),
        Option("description", "Description of the image.", value="TEXT"),
        Option("architecture", "x86_64, arm64, i386. Default: the cloud's own.", value="NAME"),
    ),
    examples=(Example("econe-upload /images/gentoo.img", "Success: ImageId ami-00000001"),),
)
