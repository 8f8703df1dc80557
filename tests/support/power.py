"""Power cuts: the server ends in the middle of a line, and another one starts."""

from tests.support.site import Site


class PowerCut(BaseException):
    """Nothing may catch it, as nothing catches a power cut."""


class Fuse:
    """Blows at the n-th boundary that a site crosses: before or after an engine call that may
    change something, before or after a commit."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._left = 0
        self.crossed: list[str] = []
        site.world.script.boundaries.append(self.cross)
        site.store.boundary = self.cross

    def arm(self, after: int) -> None:
        """0 never blows."""
        self._left = after
        self.crossed = []

    def cross(self, what: str, when: str) -> None:
        if what.endswith(".look"):
            return
        self.crossed.append(f"{when} {what}")
        if self._left:
            self._left -= 1
            if not self._left:
                raise PowerCut(self.crossed[-1])
