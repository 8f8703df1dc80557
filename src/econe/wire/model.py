"""Amazon's service model: EC2 from botocore's data, our overlay, and one operation of STS.

Reading it plainly (botocore.session) takes a second and 60 MB, so the two JSON files are read here
without what the server does not need: documentation is dropped while parsing, and the thousands of
equal references to shapes become one object each. That takes 50 ms and 7 MB.
"""

import gzip
import json
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any, Final

import botocore
from botocore.model import OperationModel, ServiceModel

from econe.wire.refusal import Refusal, shown

EC2_VERSION: Final = "2016-11-15"
STS_VERSION: Final = "2011-06-15"
IAM_VERSION: Final = "2010-05-08"
"""Of whoever sends all AWS requests to one endpoint; there is nothing of IAM here."""

_DATA: Final = Path(botocore.__file__).parent / "data"
_OVERLAY: Final = Path(__file__).with_name("overlay.json")
_NOT_NEEDED: Final = ("documentation", "deprecated", "deprecatedMessage", "deprecatedSince")
_STS_OPERATIONS: Final = ("GetCallerIdentity",)


class Service:
    """The operations that can be named, whether this cloud has them or not."""

    def __init__(self, models: list[ServiceModel], absent: Collection[str] = ()) -> None:
        """`absent` are names of operations whose service is here, without them."""
        self._home = {name: model for model in models for name in model.operation_names}
        self._absent = frozenset(absent)

    @property
    def names(self) -> list[str]:
        return list(self._home)

    def operation(self, name: str) -> OperationModel | None:
        """botocore's description of one operation; None if Amazon has none of that name."""
        home = self._home.get(name)
        return None if home is None else home.operation_model(name)

    def expect(self, name: str) -> OperationModel:
        """As `operation`, and raises Refusal (MissingAction, InvalidAction, UnsupportedOperation)
        where there is none."""
        if not name:
            raise Refusal("MissingAction", "The request must contain the parameter Action")
        found = self.operation(name)
        if found is None and name in self._absent:
            raise unsupported(name)
        if found is None:
            raise Refusal(
                "InvalidAction", f"The action {shown(name)} is not valid for this web service."
            )
        return found


@cache
def load() -> Service:
    """The model, read once for the process."""
    ec2 = _read(_DATA / "ec2" / EC2_VERSION / "service-2.json.gz")
    _lay_over(ec2, json.loads(_OVERLAY.read_bytes(), object_hook=_slim({})))
    sts = _read(_DATA / "sts" / STS_VERSION / "service-2.json.gz")
    absent = sts["operations"].keys() - set(_STS_OPERATIONS)
    sts["operations"] = {name: sts["operations"][name] for name in _STS_OPERATIONS}
    return Service([ServiceModel(ec2, "ec2"), ServiceModel(sts, "sts")], absent)


def unsupported(name: str) -> Refusal:
    return Refusal(
        "UnsupportedOperation",
        f"The functionality you requested is not supported: this cloud has no {name}.",
    )


def _read(path: Path) -> dict[str, Any]:
    slim: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()), object_hook=_slim({}))
    return slim


def _slim(seen: dict[Any, dict[str, Any]]) -> Any:
    """A hook for json that drops prose and shares equal references."""

    def hook(found: dict[str, Any]) -> dict[str, Any]:
        for name in _NOT_NEEDED:
            # A structure may have a member of that name: then it is a reference, not prose.
            if name in found and not isinstance(found[name], dict):
                del found[name]
        if isinstance(found.get("shape"), str):
            return seen.setdefault(tuple(found.items()), found)
        return found

    return hook


def _lay_over(model: dict[str, Any], overlay: dict[str, Any]) -> None:
    """Add the overlay's operations and shapes; a shape that exists gains or changes what it says.

    `members` are merged one by one, everything else of a shape is replaced.
    """
    model["operations"].update(overlay["operations"])
    for name, change in overlay["shapes"].items():
        shape = model["shapes"].setdefault(name, {})
        members = {**shape.get("members", {}), **change.get("members", {})}
        shape.update(change)
        if members:
            shape["members"] = members
