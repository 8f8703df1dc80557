"""What can be changed of an image, by its owner alone: who may run it, and how long it is offered.

Where an engine keeps images itself, who may use one is that engine's to say, so it is not changed
here (census.py carries it into the store).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from econe.domain.engine_ports import Capabilities
from econe.domain.faults import (
    Invalid,
    LimitExceeded,
    NotFound,
    Noun,
    Unsupported,
    WrongState,
)
from econe.domain.gallery import check_description, check_is_ours, check_metadata, own_image
from econe.domain.images import Image, ImageState, Protection
from econe.domain.ports import Transaction

EVERYBODY: Final = "all"
"""The one group that EC2 shares images with."""
COOLDOWN: Final = timedelta(hours=24)
"""EC2 User Guide, "Protect an AMI from deregistration"."""
MOST_SHARES: Final = 1000
HALF_A_MINUTE: Final = timedelta(seconds=30)
LATEST_DEPRECATION: Final = timedelta(days=3653)
"""Ten years (API reference, EnableImageDeprecation)."""


@dataclass(frozen=True, slots=True)
class ImageBook:
    """Use cases. Raise Fault; `account` is a number, `asked` an id as written."""

    can: Capabilities

    def read(self, tx: Transaction, account: str, asked: str) -> Image:
        """The account's own."""
        return own_image(tx, account, asked)

    def describe_as(self, tx: Transaction, account: str, asked: str, text: str) -> None:
        image = self.read(tx, account, asked)
        check_description(text)
        check_is_ours(image)
        tx.images.save(replace(image, description=text))

    def require_imds_v2(self, tx: Transaction, account: str, asked: str) -> None:
        """For good: EC2 does not take it back either."""
        image = self.read(tx, account, asked)
        check_metadata(self.can)
        tx.images.save(replace(image, imds_v2=True))

    def share(
        self, tx: Transaction, account: str, asked: str, users: Iterable[str], *, public: bool
    ) -> None:
        """With these accounts too, and with everybody if `public`."""
        image = self._shareable(tx, account, asked)
        numbers = [_account_number(tx, user) for user in users]
        shares = tuple(sorted({*image.shares, *numbers}))
        if len(shares) > MOST_SHARES:
            raise LimitExceeded(
                Noun.PARAMETER, said=f"An image can be shared with {MOST_SHARES} accounts."
            )
        tx.images.save(replace(image, shares=shares, public=image.public or public))

    def unshare(
        self, tx: Transaction, account: str, asked: str, users: Iterable[str], *, public: bool
    ) -> None:
        """Not with these any more. Accounts that it is not shared with change nothing."""
        image = self._shareable(tx, account, asked)
        gone = set(users)
        shares = tuple(share for share in image.shares if share not in gone)
        tx.images.save(replace(image, shares=shares, public=image.public and not public))

    def share_with_nobody(self, tx: Transaction, account: str, asked: str) -> None:
        image = self._shareable(tx, account, asked)
        tx.images.save(replace(image, shares=(), public=False))

    def deprecate(
        self, tx: Transaction, account: str, asked: str, at: datetime | None, now: datetime
    ) -> None:
        """From `at` on, rounded to the nearest minute as EC2 does it; None: never."""
        image = self.read(tx, account, asked)
        if at is not None and not now <= at <= now + LATEST_DEPRECATION:
            raise Invalid(
                Noun.PARAMETER,
                "DeprecateAt",
                "The deprecation time must lie in the future, and within ten years.",
            )
        to_the_minute = (at + HALF_A_MINUTE).replace(second=0, microsecond=0) if at else None
        tx.images.save(replace(image, deprecates_at=to_the_minute, deprecated=False))

    def set_enabled(self, tx: Transaction, account: str, asked: str, *, on: bool) -> None:
        """Put away, it is shared with nobody any more (EC2 User Guide, "Disable an AMI")."""
        image = self.read(tx, account, asked)
        if self.can.keeps_images:
            raise Unsupported(Noun.IMAGE, image.id, "Images of this cloud cannot be disabled.")
        before, after = ImageState.AVAILABLE, ImageState.DISABLED
        if on:
            before, after = after, before
        if image.state is after:
            return
        if image.state is not before:
            raise WrongState(Noun.IMAGE, image.id)
        shared = {} if on else {"shares": (), "public": False}
        tx.images.save(replace(image, state=after, **shared))  # type: ignore[arg-type]

    def protect(self, tx: Transaction, account: str, asked: str, *, cooldown: bool) -> Protection:
        protection = Protection.COOLING if cooldown else Protection.ON
        image = self.read(tx, account, asked)
        tx.images.save(replace(image, protection=protection, protected_until=None))
        return protection

    def unprotect(
        self, tx: Transaction, account: str, asked: str, now: datetime
    ) -> datetime | None:
        """Until when it is still protected; None: it is not."""
        image = self.read(tx, account, asked)
        until = image.protected_until
        if image.protection is Protection.COOLING:
            until = now + COOLDOWN
        tx.images.save(replace(image, protection=Protection.NONE, protected_until=until))
        return until if until is not None and now < until else None

    def _shareable(self, tx: Transaction, account: str, asked: str) -> Image:
        image = self.read(tx, account, asked)
        if self.can.keeps_images:
            raise Unsupported(
                Noun.IMAGE, image.id, "Who may use an image is set in the cloud's own tools."
            )
        if image.state is ImageState.DISABLED:
            raise WrongState(Noun.IMAGE, image.id, f"The image '{image.id}' is disabled.")
        return image


def _account_number(tx: Transaction, user: str) -> str:
    """Of an account that there is."""
    if not (user.isascii() and user.isdigit() and len(user) == 12):
        raise Invalid(Noun.ACCOUNT, user, f"Invalid user id: {user}")
    if tx.accounts.get(user) is None:
        raise NotFound(Noun.ACCOUNT, user, f"Invalid user id: {user}")
    return user
