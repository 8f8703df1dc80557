"""Tools played in this process against a double of a cloud."""

from collections.abc import Callable, Iterator

import pytest
from tests.support.cloud_double import ACCESS, SECRET, CloudDouble

from econe.cli.play import play
from econe.cli.tool import Tool


class Played:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def cloud() -> Iterator[CloudDouble]:
    double = CloudDouble()
    yield double
    double.close()


@pytest.fixture
def run(cloud: CloudDouble, capsys: pytest.CaptureFixture[str]) -> Callable[..., Played]:
    """run(TOOL, "word", …): as helen, against the double."""

    def run_tool(tool: Tool, *words: str) -> Played:
        capsys.readouterr()
        environ = {"EC2_URL": cloud.url, "EC2_ACCESS_KEY": ACCESS, "EC2_SECRET_KEY": SECRET}
        status = play(tool, words, environ)
        return Played(status, *capsys.readouterr())

    return run_tool
