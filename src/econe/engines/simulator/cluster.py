"""What a cluster has of its own beside econe: users, networks, types, images, and machines that
were made by other means. Tests write here what others do."""

from dataclasses import dataclass, field, replace

from econe.domain.engine_ports import OfferedNetwork, Person, Stranger
from econe.domain.image_ports import SeenImage
from econe.domain.images import ImageState
from econe.domain.sizes import Size


@dataclass(slots=True)
class Cluster:
    """Part of a World, under its lock."""

    people: dict[str, Person] = field(default_factory=dict)
    """By ref."""
    networks: list[OfferedNetwork] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    images: dict[str, SeenImage] = field(default_factory=dict)
    """By ref, also those that look() does not show: neither ours nor marked."""
    images_made: int = 0
    """Images that econe ever made: a second one of the same id would show here."""
    strangers: dict[str, Stranger] = field(default_factory=dict)
    """By ref; also those that econe has taken up."""

    def put_person(self, person: Person) -> None:
        self.people[person.ref] = person

    def put_image(self, image: SeenImage) -> None:
        self.images[image.ref] = image

    def change_image(self, ref: str, **changes: object) -> None:
        self.images[ref] = replace(self.images[ref], **changes)  # type: ignore[arg-type]

    def refuse_image(self, ref: str, why: str) -> None:
        """Its content cannot be kept."""
        self.change_image(ref, state=ImageState.FAILED, why=why)

    def put_stranger(self, stranger: Stranger) -> None:
        self.strangers[stranger.ref] = stranger

    def free_ref(self) -> str:
        """A name for another image."""
        return str(max((int(ref) for ref in self.images), default=-1) + 1)
