"""`python -m tests.support.oned --port 2633 --upload-dir DIR`: the stand-in as a process.

Prints one line of JSON when it serves: the URL and who there is. Ends on SIGTERM, SIGINT or when
its standard input closes with `--until-eof`.
"""

import argparse
import json
import signal
import sys
import threading

from tests.support.oned.clock import Pace
from tests.support.oned.prepared import BOB, HELEN, ONEADMIN, SECRET, prepared_world
from tests.support.oned.server import Oned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--upload-dir", default="/var/tmp", help="where images may come from")
    parser.add_argument("--version", default="7.0.2", help="whose login and hashes it has")
    parser.add_argument("--stage-s", type=float, default=0.05, help="seconds that each stage takes")
    parser.add_argument("--until-eof", action="store_true", help="end with the standard input")
    asked = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    pace = Pace.even(asked.stage_s)
    prepared = prepared_world(upload_dir=asked.upload_dir, version=asked.version, pace=pace)
    with Oned(prepared.world, port=asked.port) as oned:
        ready = {
            "url": oned.url,
            "version": asked.version,
            "serveradmin": f"serveradmin:{SECRET}",
            "oneadmin": f"oneadmin:{ONEADMIN}",
            "users": {"helen": HELEN, "bob": BOB},
            "datastore": prepared.datastore.id,
            "network": prepared.network.id,
            "template": prepared.m1_small.id,
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        if asked.until_eof:
            sys.stdin.read()
        else:
            ended.wait()


main()
