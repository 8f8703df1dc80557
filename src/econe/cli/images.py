"""The tools for images that are uploaded. econe-upload is in `upload`."""

from __future__ import annotations

from econe.cli.tables import IMAGES, lines, printable, show_json, show_lines
from econe.cli.tool import (
    HEADERS,
    Asked,
    Example,
    Option,
    Tool,
    any_arguments,
    long_id,
    numbered,
    one_argument,
)
from econe.client.answers import text_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from econe.client.session import Session


def image_id(text: str) -> str:
    """OpenNebula's tools took the bare number of an image too."""
    return long_id(f"ami-{text}" if text.isascii() and text.isdigit() else text, "ami")


# --- econe-register ----------------------------------------------------------------------


def _register(asked: Asked, session: Session) -> None:
    location = image_id(one_argument(asked, "ImageId"))
    params = [("ImageLocation", location)]
    if asked.has("boot-mode"):
        params.append(("BootMode", asked.values["boot-mode"]))
    answer = session.call("RegisterImage", params)
    if asked.has("json"):
        show_json(answer)
    else:
        print(f"Success: ImageId {printable(text_at(answer, 'imageId'))}")


REGISTER = Tool(
    name="econe-register",
    gist="make an uploaded image one that can be run",
    arguments="IMAGE-ID",
    description="""\
Registers an image that econe-upload has uploaded. From then on it is listed by
econe-describe-images and can be run by econe-run-instances. IMAGE-ID is ami-N or just N.""",
    act=_register,
    options=(
        Option(
            "boot-mode",
            "legacy-bios, uefi or uefi-preferred: which firmware its disk can boot by. Default: "
            "legacy-bios.",
            value="MODE",
        ),
    ),
    examples=(Example("econe-register ami-00000001", "Success: ImageId ami-00000001"),),
)

# --- econe-deregister --------------------------------------------------------------------


def _deregister(asked: Asked, session: Session) -> None:
    id_ = image_id(one_argument(asked, "ImageId"))
    answer = session.call("DeregisterImage", [("ImageId", id_)])
    if asked.has("json"):
        show_json(answer)
    else:
        print(f"Success: ImageId {printable(id_)}")


DEREGISTER = Tool(
    name="econe-deregister",
    gist="remove an image",
    arguments="IMAGE-ID",
    description="""\
Removes an image: it is not listed any more and cannot be run again. Instances that run from it are
not touched. IMAGE-ID is ami-N or just N.""",
    act=_deregister,
    examples=(Example("econe-deregister ami-00000001", "Success: ImageId ami-00000001"),),
)

# --- econe-describe-images ---------------------------------------------------------------


def _describe(asked: Asked, session: Session) -> None:
    ids = any_arguments(asked)
    images = session.collect(
        "DescribeImages",
        "imagesSet",
        numbered("ImageId", ids),
        page_size=None if ids else 1000,  # EC2 takes ids or a page size, not both
    )
    if asked.has("json"):
        show_json({"imagesSet": images})
        return
    rows = (
        (
            text_at(image, "imageOwnerAlias") or text_at(image, "imageOwnerId"),
            text_at(image, "imageId"),
            text_at(image, "imageState"),
            "public" if text_at(image, "isPublic") == "true" else "private",
            text_at(image, "imageLocation"),
        )
        for image in images
    )
    show_lines(lines(IMAGES, rows, headers=asked.has("headers")))


DESCRIBE_IMAGES = Tool(
    name="econe-describe-images",
    gist="list images that can be run",
    arguments="[IMAGE-ID[,IMAGE-ID...]]...",
    description="""\
Prints one line for each registered image of the account and each public one, or for those named:
owner, id, status, visibility and the name under which the content is kept. An image that is
uploaded and not registered is not listed.""",
    act=_describe,
    options=(HEADERS,),
    examples=(
        Example(
            "econe-describe-images -H",
            """\
Owner        ImageId       Status         Visibility   Location
------------------------------------------------------------------------------
helen        ami-00000001  available      private      19ead5de585f43282acab4060bfb7a07""",
        ),
    ),
)
