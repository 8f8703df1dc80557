"""ports.Disks where they come and go with their machine (Capabilities.keeps_disks is false)."""


class NoDisks:
    def remove(self, volume_id: str) -> None:
        """It went with its machine."""

    def look(self) -> set[str]:
        return set()
