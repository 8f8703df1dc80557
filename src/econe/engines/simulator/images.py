"""Images in the simulated cluster's own store. Content takes until it is looked at: what is PENDING
when it is shown is AVAILABLE when it is looked at again."""

from collections.abc import Mapping

from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.domain.image_ports import ImageSpec, SeenImage
from econe.domain.images import ImageState
from econe.engines.simulator.world import World


class SimulatedImages:
    def __init__(self, world: World) -> None:
        self._world = world

    def ensure(self, spec: ImageSpec) -> str:
        """Refuses content that is not there."""
        with self._world.script.call("images.ensure"), self._world.lock:
            cluster = self._world.cluster
            for image in cluster.images.values():
                if image.id == spec.id and image.account == spec.account:
                    return image.ref
            if not spec.path.exists():
                raise EngineRefused("The image's content is gone.", hidden=str(spec.path))
            ref = cluster.free_ref()
            cluster.images_made += 1
            cluster.put_image(
                SeenImage(
                    ref=ref,
                    id=spec.id,
                    account=spec.account,
                    name=spec.name,
                    state=ImageState.PENDING,
                    registered=False,
                    public=False,
                    shares=(),
                    size_bytes=spec.size_bytes,
                    location=f"store/{ref}",
                    content_format=spec.content_format,
                    created_at=self._world.clock(),
                    description=spec.description,
                )
            )
            self._world.changed()
            return ref

    def look(self) -> Mapping[str, SeenImage]:
        with self._world.script.call("images.look"), self._world.lock:
            images = self._world.cluster.images
            shown = {ref: image for ref, image in images.items() if image.id or image.registered}
            for ref, image in shown.items():
                if image.state is ImageState.PENDING:
                    self._world.cluster.change_image(ref, state=ImageState.AVAILABLE)
            return shown

    def mark(self, ref: str, *, registered: bool) -> None:
        with self._world.script.call("images.mark"), self._world.lock:
            if ref in self._world.cluster.images:
                self._world.cluster.change_image(ref, registered=registered)
                self._world.changed()

    def remove(self, ref: str) -> None:
        """Refused while content arrives, as a cluster does."""
        with self._world.script.call("images.remove"), self._world.lock:
            image = self._world.cluster.images.get(ref)
            if image is not None and image.state is ImageState.PENDING:
                raise EngineBusy("The image is locked.")
            if self._world.cluster.images.pop(ref, None) is not None:
                self._world.changed()
