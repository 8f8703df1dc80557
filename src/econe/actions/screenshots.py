"""GetConsoleScreenshot: what a guest's screen shows, as the JPEG that EC2 promises."""

import base64
from io import BytesIO
from typing import Any, Final

from econe.actions.context import Context
from econe.actions.registry import action
from econe.domain.cloud import Cloud
from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.domain.faults import Noun, Unavailable, Unsupported, WrongState
from econe.domain.fleet import find_instances
from econe.domain.instances import InstanceState
from econe.domain.ports import Picture

QUALITY: Final = 85
"""At which text on a console is sharp; about 40 KB for a text screen."""


def show(cloud: Cloud, prepared: dict[str, Any]) -> dict[str, Any]:
    """Asked once the transaction is over: see decision 30."""
    instance_id = prepared["InstanceId"]
    if cloud.screens is None:
        raise _no_screens()
    try:
        picture = cloud.screens.picture(instance_id, wake=prepared["WakeUp"])
    except (EngineBusy, EngineRefused) as problem:
        raise Unavailable(
            Noun.REQUEST,
            instance_id,
            "The instance's screen cannot be read now; try again.",
            hidden=f"{instance_id}: {problem!r}",
        ) from problem
    image = base64.b64encode(jpeg_of(picture)).decode("ascii")
    return {"InstanceId": instance_id, "ImageData": image}


@action("GetConsoleScreenshot", takes="InstanceId WakeUp", lasting=False, asks=show)
def get_console_screenshot(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    if ctx.cloud.screens is None:
        raise _no_screens()
    (row,) = find_instances(ctx.tx, ctx.account.number, [asked["InstanceId"]])
    if row.state is not InstanceState.RUNNING:
        raise WrongState(
            Noun.INSTANCE,
            row.id,
            f"The instance '{row.id}' is not running; it is '{row.state}' and shows no screen.",
        )
    return {"InstanceId": row.id, "WakeUp": bool(asked.get("WakeUp"))}


def _no_screens() -> Unsupported:
    return Unsupported(
        Noun.REQUEST, said="The screens of this cloud's instances cannot be read by its API."
    )


def jpeg_of(picture: Picture) -> bytes:
    from PIL import Image  # late: it takes a tenth of the start, and most servers show no screen

    made = BytesIO()
    image = Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)
    image.save(made, "JPEG", quality=QUALITY, optimize=True)
    return made.getvalue()
