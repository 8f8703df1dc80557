"""What can go wrong between a client and a cloud. The text of each is one sentence for its user."""


class ClientError(Exception):
    """Any of the below."""


class Misconfigured(ClientError):  # noqa: N818 - they read as sentences where they are raised
    """Nothing was sent: the URL, the credentials or a local file will not do."""


class Unreachable(ClientError):  # noqa: N818
    """No answer: refused, unknown host, silence, a certificate that is not trusted."""


class BadAnswer(ClientError):  # noqa: N818
    """An answer came, and it is not one of an EC2 service."""


class ApiError(ClientError):
    """The cloud refused. `code` is EC2's (`InvalidAMIID.NotFound`), `status` HTTP's."""

    def __init__(self, code: str, message: str, status: int, request_id: str = "") -> None:
        super().__init__(f"{message} ({code})" if message else code)
        self.code, self.message, self.status, self.request_id = code, message, status, request_id
