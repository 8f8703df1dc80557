"""Help texts: docs/tools.md is the golden copy of every one."""

from pathlib import Path

import pytest

import econe
from econe.cli import admin_manual, server
from econe.cli.catalogue import TOOLS
from econe.cli.manual import manual, page
from econe.cli.play import play
from econe.cli.tool import STANDARD

ROOT = Path(__file__).parent.parent.parent
EACH = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)


def test_the_page_of_the_tools_is_not_stale():
    """To renew it: python -m econe.cli.catalogue > docs/tools.md"""
    assert (ROOT / "docs" / "tools.md").read_text() == page(
        TOOLS, {module.NAME: module.MANUAL for module in (server, admin_manual)}
    )


@EACH
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_printed_without_credentials_or_a_server(tool, option, capsys):
    assert play(tool, [option], {}) == 0
    assert capsys.readouterr() == (manual(tool), "")


@EACH
@pytest.mark.parametrize("option", ["-V", "-v", "--version"])
def test_the_version_is_printed_without_credentials_or_a_server(tool, option, capsys):
    assert play(tool, [option], {}) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == f"{tool.name} (econe) {econe.__version__}"
    assert "Apache License" in out
    assert err == ""


@EACH
def test_a_manual_is_whole(tool):
    text = manual(tool)
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "EXIT STATUS"):
        assert f"{section}\n     " in text
    for option in (*tool.options, *STANDARD):
        assert f"--{option.long}" in text
    assert f"$ {tool.name}" in text.partition("EXAMPLES\n")[2]
    assert all(len(line) <= 80 for line in text.partition("EXAMPLES\n")[0].splitlines())
    assert not any(line != line.rstrip() for line in text.splitlines())


@EACH
def test_no_two_options_share_a_name(tool):
    options = (*tool.options, *STANDARD)
    letters = [letter for option in options for letter in option.short]
    assert len(set(letters)) == len(letters)
    assert len({option.long for option in options}) == len(options)


def test_every_tool_is_installed_under_its_name():
    import tomllib

    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    named = {name: scripts.get(name) for name in (tool.name for tool in TOOLS)}
    for tool in TOOLS:
        module, _, attribute = named[tool.name].partition(":")
        assert getattr(__import__(module, fromlist=[attribute]), attribute) is tool
