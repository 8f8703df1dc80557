"""Launch templates: the parameters of launches, kept under a name in numbered versions.

Rules
1. A version never changes, and its number never means another: a new one gets the number after
   the last that was ever given, also where that was deleted.
2. A template always has a default version: the first one until another is made it, and the
   default one cannot be deleted.
3. Parameters go by the names of EC2's model (`BlockDeviceMappings`), as RunInstances has them.
4. A new version over its source: each parameter that is given replaces the source's whole (API
   reference, CreateLaunchTemplateVersion: "they overwrite any corresponding launch parameters
   inherited from the source version").
5. A launch over its template: nested, the request wins (User Guide, "Launch an Amazon EC2 instance
   using a launch template": "the instance is launched using the complex structure as specified in
   the launch template plus any additional nested parameters that you specify"). Of lists whose
   items have a name, items of the same name are laid over each other and others stand beside them;
   other lists are replaced.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from econe.domain.faults import Invalid, Malformed, Noun
from econe.domain.hidden import Hidden

LATEST: Final = "$Latest"
DEFAULT: Final = "$Default"

NAME_LENGTHS: Final = range(3, 129)
LONGEST_DESCRIPTION: Final = 255
MOST_TEMPLATES: Final = 5_000
"""Of one account (User Guide, "Restrictions for Amazon EC2 launch templates")."""
MOST_VERSIONS: Final = 10_000
"""Of one template (the same page)."""
MOST_DELETED: Final = 200
"""Versions in one request (API reference, DeleteLaunchTemplateVersions)."""

NAMED_BY: Final[Mapping[str, str]] = {
    "BlockDeviceMappings": "DeviceName",
    "NetworkInterfaces": "DeviceIndex",
    "TagSpecifications": "ResourceType",
    "TagSpecifications.Tags": "Key",
}
"""Lists whose items have a name -> the member that is it."""

MARK_ID: Final = "aws:ec2launchtemplate:id"
MARK_VERSION: Final = "aws:ec2launchtemplate:version"

_NAME_CHARACTERS: Final = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789()./-_"
)
_MOST_DIGITS: Final = 18
"""Of version numbers: they are 64-bit numbers in the API."""

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LaunchTemplate:
    id: str
    account: str
    name: str
    """Unique within the account; case counts."""
    created_at: datetime
    default_number: int = 1
    latest_number: int = 1
    """Of the versions that there are."""
    last_number: int = 1
    """Of all that there ever were."""
    version: int = 1
    """Of this row, as every row has it; no version of the template."""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """One version of a template. It holds user data, so it is hidden."""

    template_id: str
    number: int
    created_at: datetime
    data: Hidden[str]
    """The parameters as JSON; see written()."""
    description: str = ""

    @property
    def parameters(self) -> dict[str, Any]:
        """A copy of its own for each caller."""
        made: dict[str, Any] = json.loads(self.data.reveal())
        return made


def written(parameters: Parameters) -> Hidden[str]:
    return Hidden(json.dumps(parameters, sort_keys=True, separators=(",", ":")))


def check_name(name: str) -> None:
    """EC2's sentence in its list of error codes. Raises Malformed."""
    if len(name) not in NAME_LENGTHS or not set(name) <= _NAME_CHARACTERS:
        raise Malformed(Noun.LAUNCH_TEMPLATE_NAME, name)


def check_description(text: str) -> None:
    if len(text) > LONGEST_DESCRIPTION:
        raise Invalid(
            Noun.PARAMETER,
            "VersionDescription",
            f"The version description is longer than {LONGEST_DESCRIPTION} characters.",
        )


# --- versions by what they are called ------------------------------------------------------


def read_number(text: str) -> int:
    """A version's number; 0, which no version has, is one too. Raises Invalid."""
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        return int(text)
    raise Invalid(
        Noun.LAUNCH_TEMPLATE_VERSION,
        text,
        f"Invalid launch template version '{text}': a numeric version is expected.",
    )


def resolve(template: LaunchTemplate, text: str) -> int:
    """The number that `$Latest`, `$Default` or a number means now. Raises Invalid."""
    if text == LATEST:
        return template.latest_number
    if text == DEFAULT:
        return template.default_number
    try:
        return read_number(text)
    except Invalid:
        raise Invalid(
            Noun.LAUNCH_TEMPLATE_VERSION,
            text,
            f"Invalid launch template version '{text}': either '{DEFAULT}', '{LATEST}', or a "
            "numeric version are allowed.",
        ) from None


def marks_of(version: TemplateVersion) -> dict[str, str]:
    """The tags that tell what an instance was launched from; Terraform reads them."""
    return {MARK_ID: version.template_id, MARK_VERSION: str(version.number)}


# --- laying parameters over each other -----------------------------------------------------


def revise(source: Parameters, given: Parameters) -> dict[str, Any]:
    """Rule 4."""
    return {**source, **given}


def overlay(template: Parameters, request: Parameters) -> dict[str, Any]:
    """Rule 5. Changes neither."""
    return _structure_over(template, request, "")


def _structure_over(under: Parameters, over: Parameters, path: str) -> dict[str, Any]:
    made = dict(under)
    for name, value in over.items():
        below = f"{path}.{name}" if path else name
        made[name] = _over(under[name], value, below) if name in under else value
    return made


def _over(under: Any, over: Any, path: str) -> Any:
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        return _structure_over(under, over, path)
    if path in NAMED_BY and isinstance(under, list) and isinstance(over, list):
        return _list_over(under, over, path)
    return over


def _list_over(under: list[Any], over: list[Any], path: str) -> list[Any]:
    """The template's items first, in their order. Items without a name, and a second one of the
    same name, stand for themselves: it is the launch that refuses them."""
    name_of = NAMED_BY[path]
    first: dict[Any, int] = {}
    for place, item in enumerate(over):
        first.setdefault(item.get(name_of), place)
    first.pop(None, None)
    made, laid = [], set()
    for item in under:
        at = first.pop(item.get(name_of), None)
        if at is None:
            made.append(item)
        else:
            laid.add(at)
            made.append(_structure_over(item, over[at], path))
    return made + [item for place, item in enumerate(over) if place not in laid]
