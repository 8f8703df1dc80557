"""The settings' loader."""

from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from econe.configuration import (
    CHOICES,
    RANGES,
    SettingsError,
    known,
    load,
    read_listen,
    write_toml,
)
from econe.settings import Settings


def write(path: Path, text: str) -> Path:
    file = path / "econe.toml"
    file.write_text(text, "utf-8")
    return file


def test_without_anything_the_settings_are_the_defaults():
    assert load() == Settings()


def test_flags_come_before_the_environment_and_that_before_the_file(tmp_path):
    file = write(tmp_path, '[server]\nlisten = "127.0.0.1:1"\nthreads = 2\nmax_body_kib = 100\n')
    environ = {"ECONE_SERVER_LISTEN": "127.0.0.1:2", "ECONE_SERVER_THREADS": "3", "HOME": "/"}
    settings = load(file, environ, {"server.listen": "127.0.0.1:3", "engine": None})
    assert settings.server.listen == "127.0.0.1:3"
    assert settings.server.threads == 3
    assert settings.server.max_body_kib == 100
    assert settings.engine == "qemu"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nlisen = 1\n", "unknown setting server.lisen; did you mean server.listen?"),
        ("[sever]\nlisten = 1\n", "unknown setting sever.listen; did you mean server.listen?"),
        ("engin = 1\n", "unknown setting engin; did you mean engine?"),
        ("server = 1\n", "unknown setting server"),
        ("[server]\nthreads = true\n", "server.threads: must be a whole number"),
        ("[server]\nthreads = 1.5\n", "server.threads: must be a whole number"),
        ("[server]\nthreads = 0\n", "server.threads: must be at least 1 and at most 256, not 0"),
        ("[cloud]\nroot_gib = -1\n", "cloud.root_gib: must be at least 0, not -1"),
        ("[cloud]\nregion = 1\n", "cloud.region: must be text"),
        ("[cloud]\ndefault_vpc_cidrs = [1]\n", "must be a list of texts"),
        ("[cloud]\ndefault_vpc_cidrs = 1\n", "cloud.default_vpc_cidrs: must be a list of texts"),
        ("[work]\nstop_grace_s = inf\n", "work.stop_grace_s"),
        ("[work]\nstop_grace_s = nan\n", "work.stop_grace_s"),
        ('engine = "xen"\n', "engine: must be one of qemu, simulator, opennebula"),
        ('[server]\nlisten = "4567"\n', "listen must be HOST:PORT"),
        ("[server\n", "not TOML"),
        ("[server.tls]\nkey = 1\n", "unknown setting server.tls"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_with_its_name(tmp_path, text, said):
    file = write(tmp_path, text)
    with pytest.raises(SettingsError) as refused:
        load(file)
    assert said in str(refused.value)
    assert str(file) in str(refused.value) or "listen" in said
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ECONE_SERVER_LISTN", "x", "did you mean ECONE_SERVER_LISTEN?"),
        ("ECONE_SERVER_THREADS", "many", "must be a number"),
        ("ECONE_SERVER_THREADS", "-1", "must be at least 1"),
        ("ECONE_WORK_STOP_GRACE_S", "nan", "ECONE_WORK_STOP_GRACE_S"),
        ("ECONE_STATE", "", "ECONE_STATE"),
    ],
)
def test_a_variable_that_cannot_be_used_is_refused(variable, value, said):
    with pytest.raises(SettingsError) as refused:
        load(environ={variable: value})
    assert said in str(refused.value)


def test_a_list_in_the_environment_is_separated_by_commas():
    environ = {"ECONE_CLOUD_DEFAULT_VPC_CIDRS": "10.0.0.0/16, 10.1.0.0/16"}
    assert load(environ=environ).cloud.default_vpc_cidrs == ("10.0.0.0/16", "10.1.0.0/16")


def test_a_missing_file_is_said_by_its_name(tmp_path):
    with pytest.raises(SettingsError, match="No such file"):
        load(tmp_path / "nowhere.toml")


def test_what_is_written_is_read_back_to_the_same(tmp_path):
    settings = load(
        flags={"state": Path('/a "b"\\c\n'), "cloud.region": "köln", "server.threads": 9}
    )
    assert load(write(tmp_path, write_toml(settings))) == settings


@pytest.mark.parametrize("text", ["", "4567", ":4567", "host:", "host:x", "host:65536", "host:-1"])
def test_listen_must_be_a_host_and_a_port(text):
    with pytest.raises(SettingsError):
        read_listen(text)


def test_listen_may_be_ipv6():
    assert read_listen("[::1]:0") == ("::1", 0)


def test_every_setting_says_what_it_is_for():
    assert [key.name for key in known().values() if not key.said] == []


def test_ranges_and_choices_are_of_settings_that_exist():
    assert {*RANGES, *CHOICES} <= set(known())


def test_every_section_of_the_settings_is_read():
    leaves = sum(
        len(fields(getattr(Settings(), f.name))) if is_dataclass(getattr(Settings(), f.name)) else 1
        for f in fields(Settings)
    )
    assert len(known()) == leaves


def test_what_the_test_suite_is_told_is_no_setting():
    assert load(None, {"ECONE_TEST_ONED": "http://127.0.0.1:2633/RPC2"}) == load(None, {})
