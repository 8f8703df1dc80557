"""What happens to images: they are copied, used, given back, removed."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.support.oned import capacity
from tests.support.oned.drivers import Outcome
from tests.support.oned.errors import ACTION, ALLOCATE, INTERNAL, Refused
from tests.support.oned.images import Image, ImageState
from tests.support.oned.machine import State
from tests.support.oned.templates import Template

if TYPE_CHECKING:
    from tests.support.oned.world import World

# How messages name the states (Image::state_to_str): the two kinds of use look the same.
STATE_NAMES = {state: state.name for state in ImageState} | {
    ImageState.USED_PERS: "USED",
    ImageState.LOCKED_USED: "LOCKED",
    ImageState.LOCKED_USED_PERS: "LOCKED",
}

_USE = {
    ImageState.READY: (ImageState.USED, ImageState.USED_PERS),
    ImageState.LOCKED: (ImageState.LOCKED_USED, ImageState.LOCKED_USED_PERS),
}
_GIVE_BACK = {
    ImageState.USED: ImageState.READY,
    ImageState.USED_PERS: ImageState.READY,
    ImageState.LOCKED_USED: ImageState.LOCKED,
    ImageState.LOCKED_USED_PERS: ImageState.LOCKED,
}
_COPIED = {
    ImageState.LOCKED: ImageState.READY,
    ImageState.LOCKED_USED: ImageState.USED,
    ImageState.LOCKED_USED_PERS: ImageState.USED_PERS,
}


def log_time(seconds: float) -> str:
    """As one_util::log_time writes it; the recording's host was in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%a %b %e %H:%M:%S %Y")


class ImageLife:
    def __init__(self, world: "World") -> None:
        self._world = world

    def add(self, image: Image) -> None:
        """Put it into its pool and datastore, and charge its owner."""
        self._world.images[image.id] = image
        datastore = self._world.datastores[image.datastore_id]
        datastore.images.append(image.id)
        self.charge(image, 1)

    def charge(self, image: Image, sign: int) -> None:
        more = {"IMAGES": sign, "SIZE": sign * image.size_mb}
        capacity.charge(self._world, image, "DATASTORE", image.datastore_id, more)

    def begin_copy(self, image: Image) -> None:
        """The driver's work: a copy of PATH, or an empty file."""
        outcome = self._world.drivers.next("image_copy")
        if outcome.never:
            return
        wait = self._world.pace.copy_s if outcome.seconds is None else outcome.seconds

        def end() -> None:
            if image.id not in self._world.images:
                return
            if outcome.fails:
                # The message as the driver framework wraps what a script prints (335).
                text = f"ERROR MESSAGE --8<------{outcome.text}ERROR MESSAGE ------>8--"
                self.not_copied(image.id, text)
                return
            datastore = self._world.datastores[image.datastore_id]
            self._world.copies.start(image, datastore)

        self._world.agenda.after(wait, end)

    @staticmethod
    def place_of(image: Image) -> str:
        """Where the copy lies; oned takes a hash for the name."""
        return f"/var/lib/one//datastores/{image.datastore_id}/{image.id:032x}"

    def copied(self, image_id: int, source: str | None, format_seen: str) -> None:
        image = self._world.images.get(image_id)
        if image is None or image.state not in _COPIED:
            return
        image.source = source or self.place_of(image)
        datastore = self._world.datastores[image.datastore_id]
        seen = "dummy_format" if datastore.ds_mad == "dummy" else format_seen or "raw"
        image.format = image.format or seen
        image.become(_COPIED[image.state])
        self._tell_waiting(image)

    def not_copied(self, image_id: int, text: str) -> None:
        image = self._world.images.get(image_id)
        if image is None or image.state not in _COPIED:
            return
        stamp = log_time(self._world.clock.now())
        image.template.set("ERROR", f"{stamp} : Error copying image in the datastore: {text}")
        image.become(ImageState.ERROR)
        self._tell_waiting(image)

    def _tell_waiting(self, image: Image) -> None:
        """Machines in CLONING look again at each image that they wait for."""
        for number in set(image.machines):
            machine = self._world.machines.get(number)
            waiting = (State.CLONING, State.CLONING_FAILURE)
            if machine is not None and machine.state in waiting:
                self._world.life.disks_changed(number)

    def acquire(self, image: Image, machine_id: int, *, attach: bool, code: int) -> None:
        """Raises Refused with `code`, and the text that follows `DISK 0: ` at allocation."""
        state = image.state
        if state in (ImageState.USED_PERS, ImageState.LOCKED_USED_PERS):
            text = f"Cannot acquire image {image.id}, it is persistent and already in use"
            raise Refused(code, text)
        if attach and state in (ImageState.LOCKED, ImageState.LOCKED_USED):
            raise Refused(code, f"Cannot acquire image {image.id}, it is locked")
        if state in _USE:
            image.become(_USE[state][image.persistent])
        elif state not in (ImageState.USED, ImageState.LOCKED_USED):
            text = f"Cannot acquire image {image.id}, it is in state: {STATE_NAMES[state]}"
            raise Refused(code, text)
        image.machines.append(machine_id)

    def release(self, image_id: int, machine_id: int) -> None:
        image = self._world.images.get(image_id)
        if image is None or machine_id not in image.machines:
            return
        image.machines.remove(machine_id)
        if image.persistent:
            image.has_snapshot_list = False
        if not image.machines and image.state in _GIVE_BACK and not image.clones:
            image.become(_GIVE_BACK[image.state])

    def enable(self, image: Image, *, to: bool) -> None:
        wanted = ImageState.READY if to else ImageState.DISABLED
        idle = (ImageState.READY, ImageState.DISABLED, ImageState.ERROR)
        if image.state not in idle:
            word = "enable" if to else "disable"
            state = STATE_NAMES[image.state]
            raise Refused(INTERNAL, f"Could not {word} image: Image cannot be in state {state}.")
        if to and image.state == ImageState.ERROR and image.machines:
            wanted = ImageState.USED_PERS if image.persistent else ImageState.USED
        image.become(wanted)
        self._tell_waiting(image)

    def delete(self, image: Image, *, force: bool) -> None:
        locked = (ImageState.LOCKED, ImageState.LOCKED_USED, ImageState.LOCKED_USED_PERS)
        if image.state in locked and not force:
            text = (
                "Image locked, use --force flag to remove the image."
                " Force delete may leave some files on Datastore"
            )
            raise Refused(INTERNAL, text, image.id)
        if image.machines:
            text = f"Cannot delete image. There are {len(image.machines)} VMs using it."
            raise Refused(ACTION, text)
        if image.clones:
            count = len(image.clones)
            text = f"Cannot delete image. There are {count} active clone operations."
            raise Refused(ACTION, text)
        if not image.source:
            self._gone(image)
            return
        image.become(ImageState.DELETE)
        outcome = self._world.drivers.next("image_remove")
        wait = self._world.pace.copy_s if outcome.seconds is None else outcome.seconds
        if not outcome.never:
            self._world.agenda.after(wait, lambda: self._removed(image, outcome))

    def _removed(self, image: Image, outcome: Outcome) -> None:
        if not outcome.fails or image.id not in self._world.images:
            self._gone(image)
            return
        text = (
            "Error removing image from datastore. Retry the operation or manually remove image"
            " source  and run the delete --force operation to completely delete the image"
        )
        image.template.set("ERROR", f"{log_time(self._world.clock.now())} : {text}")
        image.become(ImageState.ERROR)

    def _gone(self, image: Image) -> None:
        if self._world.images.pop(image.id, None) is None:
            return
        self._world.datastores[image.datastore_id].images.remove(image.id)
        self.charge(image, -1)

    def begin_clone(self, image: Image, original: Image) -> None:
        """Copy `original` inside the datastore. A driver that takes 0 s is done within the call."""
        if original.state == ImageState.READY:
            original.become(ImageState.CLONE if original.persistent else ImageState.USED)
        elif original.state not in (ImageState.USED, ImageState.CLONE):
            raise Refused(ALLOCATE, "Cannot clone image in current state")
        original.clones.append(image.id)
        outcome = self._world.drivers.next("image_clone")
        wait = self._world.pace.copy_s if outcome.seconds is None else outcome.seconds
        if outcome.seconds == 0:
            self._cloned(image, original, outcome)
        elif not outcome.never:
            self._world.agenda.after(wait, lambda: self._cloned(image, original, outcome))

    def _cloned(self, image: Image, original: Image, outcome: Outcome) -> None:
        original.clones.remove(image.id)
        if not original.clones and not original.machines:
            original.become(ImageState.READY)
        image.cloning_id = -1
        if outcome.fails:
            self.not_copied(image.id, outcome.text or "Error cloning")
        else:
            self.copied(image.id, original.source, original.format)

    def copy_of(self, original: Image, head: dict[str, Any], name: str) -> Image:
        """A clone's row, as ImageClone makes it: its own template, the content's attributes."""
        return Image(
            **head,
            name=name,
            type=original.type,
            persistent=original.persistent,
            registered=self._world.now,
            format=original.format,
            fs=original.fs,
            path=original.source,
            size_mb=original.size_mb,
            datastore_id=original.datastore_id,
            datastore=original.datastore,
            cloning_id=original.id,
            template=_without(original.template, "ERROR", "SAVED_VM_ID"),
        )


def _without(template: Template, *names: str) -> Template:
    copy = template.copy()
    for name in names:
        copy.drop(name)
    return copy
