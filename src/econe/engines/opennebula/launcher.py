"""Making a virtual machine, as the user whose it is."""

from collections.abc import Callable
from typing import TypeVar

from econe.domain.engine_ports import EngineBusy, MachineSpec
from econe.domain.hidden import Hidden
from econe.engines.opennebula import launching
from econe.engines.opennebula.directory import Directory
from econe.engines.opennebula.documents import Attributes, read_attributes
from econe.engines.opennebula.launching import Wish
from econe.engines.opennebula.marks import Marks
from econe.engines.opennebula.rpc import Oned
from econe.engines.opennebula.template import template_text
from econe.engines.opennebula.xmltree import parse
from econe.settings import Opennebula

T = TypeVar("T")


class Launcher:
    def __init__(
        self, oned: Oned, directory: Directory, marks: Marks, settings: Opennebula
    ) -> None:
        self._oned, self._directory, self._marks = oned, directory, marks
        self._settings = settings

    def make(self, spec: MachineSpec, uid: str) -> str:
        """The number of a new machine, on hold: no host has it before start().

        Raises EngineRefused where the user may not have it, EngineLost where the answer is lost:
        its mark then tells whether it was made.
        """
        session = self._directory.session_of(uid)
        image_mib = self._image_mib(session, spec.image_ref)
        wish = Wish(spec, uid, image_mib, self._settings.uefi_firmware)
        if not spec.template_ref:
            text = template_text(launching.of_numbers(wish, self._marks, self._settings))
            return str(self._oned.number(session, "one.vm.allocate", text, True))
        template = self._template(session, spec.template_ref)
        text = template_text(launching.of_template(wish, template, self._marks))
        number = self._oned.number(
            session,
            "one.template.instantiate",
            int(spec.template_ref),
            wish.name,
            True,
            text,
            False,
        )
        return str(number)

    def _image_mib(self, session: Hidden[str], image_ref: str) -> int:
        """Also tells early, and in one place, that the user may not use the image."""
        answer = self._oned.text(session, "one.image.info", int(image_ref), False)
        return _understood(lambda: int(parse(answer.encode()).findtext("SIZE") or ""))

    def _template(self, session: Hidden[str], template_ref: str) -> Attributes:
        """With its encrypted values readable: they are encrypted again where they are used."""
        answer = self._oned.text(session, "one.template.info", int(template_ref), False, True)
        return _understood(lambda: read_attributes(parse(answer.encode()).find("TEMPLATE")))


def _understood(read: Callable[[], T]) -> T:
    try:
        return read()
    except ValueError as error:
        raise EngineBusy(f"oned's answer is not understood: {error}") from None
