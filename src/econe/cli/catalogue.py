"""All tools, in the order of the user guide's story. Run as a program it prints docs/tools.md."""

from __future__ import annotations

from econe.cli.images import DEREGISTER, DESCRIBE_IMAGES, REGISTER
from econe.cli.instances import (
    DESCRIBE_INSTANCES,
    GET_CONSOLE_OUTPUT,
    REBOOT_INSTANCES,
    RUN_INSTANCES,
    START_INSTANCES,
    STOP_INSTANCES,
    TERMINATE_INSTANCES,
)
from econe.cli.keypairs import CREATE_KEYPAIR, DELETE_KEYPAIR, DESCRIBE_KEYPAIRS, IMPORT_KEYPAIR
from econe.cli.tool import Tool
from econe.cli.upload import UPLOAD

TOOLS: tuple[Tool, ...] = (
    UPLOAD,
    REGISTER,
    DESCRIBE_IMAGES,
    RUN_INSTANCES,
    DESCRIBE_INSTANCES,
    TERMINATE_INSTANCES,
    START_INSTANCES,
    STOP_INSTANCES,
    REBOOT_INSTANCES,
    GET_CONSOLE_OUTPUT,
    CREATE_KEYPAIR,
    IMPORT_KEYPAIR,
    DESCRIBE_KEYPAIRS,
    DELETE_KEYPAIR,
    DEREGISTER,
)

if __name__ == "__main__":
    import sys

    from econe.cli import admin_manual, server
    from econe.cli.manual import page

    servants = {module.NAME: module.MANUAL for module in (server, admin_manual)}
    sys.stdout.write(page(TOOLS, servants))
