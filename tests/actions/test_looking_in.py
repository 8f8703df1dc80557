"""What is told of a guest's inside: passwords that Linux has not, and nothing of other accounts."""

import pytest
from tests.support.desk import Desk, refused

from econe.actions.registry import HANDLERS
from econe.domain.faults import NotFound, Noun


def test_no_password_is_told_of_a_guest_that_is_no_windows(helen: Desk):
    (id_,) = helen.running()
    launched_at = helen.row(id_).launched_at
    helen.passes(60)
    told = helen("GetPasswordData", InstanceId=id_)
    assert told == {"InstanceId": id_, "PasswordData": "", "Timestamp": launched_at}


@pytest.mark.parametrize("action", ["GetPasswordData", "GetConsoleOutput", "GetConsoleScreenshot"])
def test_nothing_is_told_of_another_accounts_guest(helen: Desk, paris: Desk, action: str):
    (id_,) = paris.running()
    with refused(NotFound, Noun.INSTANCE):
        helen(action, InstanceId=id_)


def test_what_we_do_nothing_with_is_not_taken():
    """Feedback for Amazon's own checks: UnsupportedOperation, as whatever has no handler."""
    assert "ReportInstanceStatus" not in HANDLERS
