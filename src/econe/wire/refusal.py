"""What wire raises: a request that cannot be taken, in the words that the caller will read."""


class Refusal(Exception):  # noqa: N818 - the caller's mistake, not an error of this program
    """An EC2 error code, its sentence and its HTTP status; front renders it as it is.

    A plain class: the command-line tools import this and should start fast.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code, message, status)
        self.code = code
        self.message = message
        self.status = status


def shown(value: str) -> str:
    """A caller's value as it may stand in a message: cut short, never a whole document."""
    return value if len(value) <= 100 else value[:97] + "..."
