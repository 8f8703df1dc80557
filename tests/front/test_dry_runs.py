"""DryRun, of every action: it says what would come of the request, and leaves no trace."""

import pytest
from tests.front.conftest import Desk
from tests.front.test_bad_input import SERVICE, base, good, ids

from econe.actions.registry import HANDLERS

__all__ = ["good", "ids"]


DRY = [
    name
    for name in sorted(HANDLERS)
    if (shape := SERVICE.operation(name).input_shape) is not None
    and "DryRun" in shape.members
    and name != "UploadImage"  # refused before the body is read (test_asgi.py)
]


def test_only_what_is_not_ec2s_has_no_dry_run() -> None:
    assert set(HANDLERS) - set(DRY) == {"GetCallerIdentity", "UploadImage"}


@pytest.mark.parametrize("action", DRY)
def test_a_dry_run_tells_what_would_come_of_it_and_commits_nothing(
    desk: Desk, good: dict[str, str], ids: dict[str, str], action: str
) -> None:
    asked = base(action, good, ids)
    before = desk.app.store.mark()
    dry = desk.ask(action, **asked, DryRun="true")
    assert desk.app.store.mark() == before
    real = desk.ask(action, **asked)
    # What only an engine knows, a dry run does not ask (decision 30).
    if real.status in (200, 503):
        assert (dry.status, dry.code) == (412, "DryRunOperation")
        assert dry.message == "Request would have succeeded, but DryRun flag is set."
    else:
        assert (dry.status, dry.code, dry.message) == (real.status, real.code, real.message)
