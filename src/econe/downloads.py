"""Files from the web, for the operator's commands: bounded in size, time and redirects.

Proxies are those of the environment (http_proxy, https_proxy, no_proxy), certificates those of the
system (SSL_CERT_FILE). What was asked for by https is never fetched by anything less.
"""

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from typing import IO, Any, Final, TypeAlias
from urllib.parse import urlsplit, urlunsplit

CHUNK_BYTES: Final = 1 << 18
MOST_REDIRECTS: Final = 5
SILENCE_S: Final = 30.0
"""Longest wait for a connection, and for the next byte."""
WINDOW_S: Final = 60.0
_ABSENT: Final = (403, 404, 410)
"""Stores of objects say 403 of what is not there to those who may not list it."""
SLOWEST_BYTES_S: Final = 1024.0
"""Averaged over a window: less is a server that gives a byte now and then for ever."""

Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many bytes have come, and of how many; 0 where that is not known."""


class CannotDownload(Exception):  # noqa: N818
    """One line for the operator."""

    def __init__(self, said: str, *, absent: bool = False) -> None:
        super().__init__(said)
        self.absent = absent
        """Whether the server says that there is no such file, or none to be seen."""


def is_url(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


def bare(url: str) -> str:
    """As it may be shown: what follows the path may be a secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def fetch(
    url: str,
    take: Callable[[bytes], None],
    *,
    most_bytes: int,
    progress: Progress = lambda _got, _of: None,
) -> None:
    """Hand the file over to `take`, piece by piece. Raises CannotDownload, and what `take`
    raises."""
    opened = _open(url)
    with opened:
        length = _length(opened)
        if length is not None and length > most_bytes:
            raise CannotDownload(_too_large(url, most_bytes))
        clock = _Clock(url)
        got = 0
        while piece := _read(opened, url):
            got += len(piece)
            if got > most_bytes:
                raise CannotDownload(_too_large(url, most_bytes))
            take(piece)
            clock.tick(got)
            progress(got, length or 0)
        if length is not None and got != length:
            raise CannotDownload(f"{bare(url)}: cut off after {got} of {length} bytes")


def fetch_text(url: str, *, most_bytes: int) -> str:
    """A short text. Raises CannotDownload."""
    pieces: list[bytes] = []
    fetch(url, pieces.append, most_bytes=most_bytes)
    try:
        return b"".join(pieces).decode()
    except UnicodeDecodeError:
        raise CannotDownload(f"{bare(url)}: not a text") from None


def _too_large(url: str, most_bytes: int) -> str:
    return f"{bare(url)}: larger than {most_bytes} bytes, the most that is allowed"


class _Clock:
    """Sees to it that enough comes in each window of time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._began, self._had = time.monotonic(), 0

    def tick(self, got: int) -> None:
        passed = time.monotonic() - self._began
        if passed < WINDOW_S:
            return
        if got - self._had < SLOWEST_BYTES_S * passed:
            raise CannotDownload(f"{bare(self._url)}: too slow, {got} bytes so far")
        self._began, self._had = time.monotonic(), got


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = MOST_REDIRECTS

    def redirect_request(  # noqa: PLR0917 - urllib's
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.type == "https" and urlsplit(newurl).scheme.lower() != "https":
            raise CannotDownload(f"{bare(req.full_url)}: leads from https to {bare(newurl)}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Of http and https alone: redirects cannot lead to files of this machine, nor to FTP."""
    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        made.add_handler(handler)
    made.addheaders = [("User-Agent", f"econe-admin/{version('econe')}")]
    return made


def _open(url: str) -> Any:
    if "@" in urlsplit(url).netloc:
        raise CannotDownload(f"{bare(url)}: a user name in the URL is not supported")
    try:
        return _opener().open(url, timeout=SILENCE_S)
    except urllib.error.HTTPError as error:
        error.close()
        said = f"{bare(url)}: {error.code} {error.reason}"
        raise CannotDownload(" ".join(said.split()), absent=error.code in _ABSENT) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CannotDownload(f"{bare(url)}: {_why(error)}") from None


def _read(opened: Any, url: str) -> bytes:
    try:
        piece: bytes = opened.read1(CHUNK_BYTES)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CannotDownload(f"{bare(url)}: {_why(error)}") from None
    return piece


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", error)  # urllib wraps what went wrong
    if isinstance(reason, TimeoutError):
        return f"nothing came for {SILENCE_S:g} seconds"
    return " ".join(str(reason).split()) or type(reason).__name__


def _length(opened: Any) -> int | None:
    said = opened.headers.get("Content-Length", "")
    return int(said) if said.isascii() and said.isdigit() and not opened.chunked else None
