"""What oned refuses with: codes of its answers, faults of its XML-RPC library."""

AUTHENTICATION = 0x0100
AUTHORIZATION = 0x0200
NO_EXISTS = 0x0400
ACTION = 0x0800
XML_RPC_API = 0x1000
INTERNAL = 0x2000
ALLOCATE = 0x4000


class Refused(Exception):  # noqa: N818 - an answer of oned, not an error of ours
    """A failure answer: code, text (without the method's name), the object it speaks of."""

    def __init__(self, code: int, text: str, object_id: int = -1) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.object_id = object_id


class RpcFault(Exception):  # noqa: N818
    """A fault of the XML-RPC library, which comes before oned itself looks."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def missing(kind: str, object_id: int) -> Refused:
    return Refused(NO_EXISTS, f"Error getting {kind} [{object_id}].", object_id)


def unauthorized(uid: int, text: str) -> Refused:
    """Code 0x0200 is told of the acting user: rights, quotas and restricted attributes alike."""
    return Refused(AUTHORIZATION, f"User [{uid}] : {text}.")


def wrong_state(action: str, text: str) -> Refused:
    return Refused(ACTION, f'Error performing action "{action}": {text}')
