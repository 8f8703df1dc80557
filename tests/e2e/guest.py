"""The inside of a guest, by ssh. Most boot the tiny image."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.eventually import eventually

OPTIONS = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR",
           "ConnectTimeout=10", "BatchMode=yes", "IdentitiesOnly=yes")  # fmt: skip
METADATA = "169.254.169.254"


@dataclass(frozen=True)
class Guest:
    id: str
    host: str
    port: int
    key: Path
    user: str = "root"

    def try_run(self, command: str, within_s: float = 60.0) -> "subprocess.CompletedProcess[bytes]":
        words = [word for option in OPTIONS for word in ("-o", option)]
        words += ["-i", str(self.key), "-p", str(self.port), f"{self.user}@{self.host}", command]
        return subprocess.run(
            ["ssh", *words],
            check=False,
            capture_output=True,
            timeout=within_s,
            stdin=subprocess.DEVNULL,
        )

    def read(self, command: str) -> bytes:
        """What the command writes, to the byte; it must succeed."""
        done = self.try_run(command)
        assert done.returncode == 0, f"{self.id}: {command}: {done.stderr!r} {done.stdout!r}"
        return done.stdout

    def run(self, command: str) -> str:
        return self.read(command).decode().strip()

    def run_each(self, *commands: str) -> list[str]:
        """What each says, of one login: these take seconds where all is emulated."""
        mark = "--- next ---"
        said = self.run(" && ".join(f"{{ {command}; }} && echo '{mark}'" for command in commands))
        return [each.strip() for each in said.split(mark)[:-1]]

    def until_there(self, within_s: float = 90.0) -> "Guest":
        """Of the tiny image: somebody with the key can log in, and its start is at its end."""
        ready = "! pidof rc.start"
        eventually(lambda: self.try_run(ready).returncode == 0, within_s=within_s, every_s=0.3)
        return self

    def uptime_s(self) -> float:
        return float(self.run("cut -d' ' -f1 /proc/uptime"))

    def boot(self) -> str:
        """Another one for each boot."""
        return self.run("cat /proc/sys/kernel/random/boot_id")

    def metadata(self, path: str, *headers: str, method: str = "GET") -> tuple[int, bytes]:
        """Status and body of a request by hand, in the first version unless a header says else.

        From HTTP/1.0, so that the server hangs up after it.
        """
        lines = [f"{method} /{path} HTTP/1.0", f"Host: {METADATA}", *headers, "", ""]
        asked = "\\r\\n".join(lines)
        answer = self.read(f"printf '{asked}' | nc -w 10 {METADATA} 80")
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body
