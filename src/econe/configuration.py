"""Reads the settings: defaults, then a TOML file, then the environment, then flags.

    [server]
    listen = "127.0.0.1:4567"       # or ECONE_SERVER_LISTEN, or --listen

Keys outside a section (`state`, `engine`) are ECONE_STATE and ECONE_ENGINE. A key that is not
known is an error that names the nearest known one; so is a value of the wrong type or out of range.
"""

import ast
import difflib
import inspect
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, get_type_hints

from econe import settings as declared
from econe.domain.accounts import Limits
from econe.settings import Settings

PREFIX: Final = "ECONE_"
OF_TESTS: Final = "ECONE_TEST_"
"""What begins so is told to the test suite, in whose environment servers are started, too."""

RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "server.max_body_kib": (64, 65536),
    "server.max_header_kib": (8, 200),
    "server.header_timeout_s": (0.1, 600),
    "server.body_timeout_s": (0.1, 3600),
    "server.threads": (1, 256),
    "cloud.max_instances": (0, 1_000_000),
    "cloud.max_vcpus": (0, 10_000_000),
    "cloud.max_memory_gib": (0, 10_000_000),
    "cloud.max_images": (0, 1_000_000),
    "cloud.max_storage_gib": (0, 1_000_000_000),
    "cloud.clock_window_s": (1, 86400),
    "images.max_upload_gib": (1, 65536),
    "images.max_virtual_gib": (1, 65536),
    "images.probe_memory_mib": (256, 65536),
    "work.round_every_s": (0.01, 3600),
    "work.watch_every_s": (0.01, 3600),
    "work.check_every_s": (0.1, 3600),
    "work.check_again_s": (0.1, 3600),
    "work.sample_every_s": (1, 3600),
    "work.sample_basic_every_s": (1, 86400),
    "work.workers": (1, 256),
    "qemu.uid_base": (1000, 2_000_000_000),
    "opennebula.timeout_s": (0.1, 600),
    "opennebula.users_every_s": (0.1, 60),
    "opennebula.look_every_s": (0.1, 3600),
    "opennebula.cpu_per_vcpu": (0.01, 1),
}
"""Least and most. Numbers not listed here may be anything from 0."""

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "engine": ("qemu", "simulator", "opennebula"),
    "server.metrics": ("off", "loopback", "open"),
    "qemu.accelerator": ("auto", "kvm", "tcg"),
    "qemu.network": ("auto", "vpc", "user"),
    "opennebula.upload_by": ("auto", "path", "url"),
}


class SettingsError(Exception):
    """A setting that cannot be used; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Key:
    """One setting: its dotted name, its Python type and what the reference page says of it."""

    name: str
    kind: Any
    default: Any
    said: str

    @property
    def variable(self) -> str:
        return PREFIX + self.name.replace(".", "_").upper()


@cache
def known() -> Mapping[str, Key]:
    """All settings by dotted name, in the order of settings.py."""
    return {key.name: key for key in _keys(Settings, Settings(), "")}


def _keys(cls: type, defaults: Any, prefix: str) -> Iterator[Key]:
    hints, said = get_type_hints(cls), _texts(cls)
    for field in fields(cls):
        kind, default = hints[field.name], getattr(defaults, field.name)
        if is_dataclass(kind) and isinstance(kind, type):
            yield from _keys(kind, default, f"{field.name}.")
        else:
            yield Key(prefix + field.name, kind, default, said.get(field.name, ""))


@cache
def _module() -> ast.Module:
    return ast.parse(inspect.getsource(declared))


def _texts(cls: type) -> dict[str, str]:
    """What stands below each field of `cls`. Python keeps no such text, the source does."""
    (body,) = (
        n.body for n in _module().body if isinstance(n, ast.ClassDef) and n.name == cls.__name__
    )
    texts = {}
    for field, below in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            texts[field.target.id] = " ".join(str(below.value.value).split())
    return texts


def load(
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings in force. `flags` are dotted names; None in it means not given.

    Raises SettingsError.
    """
    given: dict[str, Any] = {}
    if config is not None:
        given.update(_from_file(config))
    given.update(_from_environment(environ or {}))
    given.update({name: value for name, value in (flags or {}).items() if value is not None})
    return _build(given)


def _from_file(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise SettingsError(f"{path}: {problem.strerror}") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{path}: not TOML: {problem}") from problem
    for name, value in document.items():
        if isinstance(value, dict):
            for key, inner in value.items():
                dotted = f"{name}.{key}"
                yield dotted, _checked(_find(dotted, str(path)), inner, f"{path}: {dotted}")
        else:
            yield name, _checked(_find(name, str(path)), value, f"{path}: {name}")


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    by_variable = {key.variable: key for key in known().values()}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable.startswith(OF_TESTS):
            continue
        key = by_variable.get(variable)
        if key is None:
            raise SettingsError(f"unknown setting {variable}{_nearest(variable, by_variable)}")
        yield key.name, _checked(key, _from_text(key, environ[variable], variable), variable)


def _find(name: str, where: str) -> Key:
    key = known().get(name)
    if key is None:
        raise SettingsError(f"{where}: unknown setting {name}{_nearest(name, known())}")
    return key


def _nearest(name: str, names: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def _from_text(key: Key, text: str, where: str) -> Any:
    """The value that a variable's text stands for. Lists are separated by commas."""
    if key.kind is str or key.kind is Path:
        return text
    if key.kind is bool:
        if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        raise SettingsError(f"{where}: must be true or false, not {text!r}")
    if key.kind in (int, float):
        try:
            return key.kind(text)
        except ValueError:
            raise SettingsError(f"{where}: must be a number, not {text!r}") from None
    return [part.strip() for part in text.split(",") if part.strip()]


_TYPE_NAMES: Final = {
    str: "text",
    Path: "a path",
    bool: "true or false",
    int: "a whole number",
    tuple: "a list of texts",
}


def _checked(key: Key, value: Any, where: str) -> Any:
    """`value` as the field's type. Raises SettingsError."""
    if key.kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    elif key.kind is Path and isinstance(value, str) and value:
        value = Path(value)
    elif key.kind == tuple[str, ...] and isinstance(value, list):
        if not all(isinstance(part, str) for part in value):
            raise SettingsError(f"{where}: must be a list of texts")
        return tuple(value)
    wanted = key.kind if isinstance(key.kind, type) else tuple
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise SettingsError(f"{where}: must be {_TYPE_NAMES.get(wanted, 'a number')}")
    if isinstance(value, int | float) and wanted is not bool:
        least, most = RANGES.get(key.name, (0, float("inf")))
        if not (least <= value <= most and math.isfinite(value)):
            most_text = "" if most == float("inf") else f" and at most {most:g}"
            raise SettingsError(f"{where}: must be at least {least:g}{most_text}, not {value:g}")
    if key.name in CHOICES and value not in CHOICES[key.name]:
        raise SettingsError(f"{where}: must be one of {', '.join(CHOICES[key.name])}")
    if key.name == "server.listen":
        read_listen(value)
    return value


def read_listen(text: str) -> tuple[str, int]:
    """`HOST:PORT`, with an IPv6 host in brackets, as host and port; port 0 takes a free one."""
    host, colon, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SettingsError(f"listen must be HOST:PORT, not {text!r}")
    return host, int(port)


def _build(given: Mapping[str, Any]) -> Settings:
    top: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        key = _find(name, "flags")
        section, dot, field = name.rpartition(".")
        checked = _checked(key, list(value) if isinstance(value, tuple) else value, name)
        (sections.setdefault(section, {}) if dot else top)[field] = checked
    hints = get_type_hints(Settings)
    for section, values in sections.items():
        top[section] = hints[section](**values)
    return Settings(**top)


def write_toml(settings: Settings) -> str:
    """The settings in force, as a file that load() reads back to the same."""
    lines: list[str] = []
    section = ""
    for key in known().values():
        head, dot, field = key.name.rpartition(".")
        if dot and head != section:
            section = head
            lines += ["", f"[{section}]"]
        value = getattr(getattr(settings, head) if dot else settings, field)
        lines.append(f"{field} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    escaped = "".join(
        f"\\u{ord(c):04x}" if ord(c) < 32 or c in '"\\' or ord(c) == 127 else c for c in str(value)
    )
    return f'"{escaped}"'


def usual_limits(settings: Settings) -> Limits:
    """Of accounts that have none of their own."""
    said = settings.cloud
    return Limits(
        instances=said.max_instances,
        vcpus=said.max_vcpus or None,
        memory_mib=said.max_memory_gib * 1024 or None,
        images=said.max_images or None,
        storage_gib=said.max_storage_gib or None,
    )
