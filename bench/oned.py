"""`python -m bench.oned COUNT STATE_KEY_HEX`: OpenNebula's stand-in with so many machines running,
each with our mark, as a process. One line of JSON says that it serves, and where."""

import json
import signal
import sys
import threading

from tests.support.oned import Oned, prepared_world
from tests.support.oned.prepared import SECRET

from econe.domain.hidden import Hidden
from econe.engines.opennebula.marks import Marks


def main() -> None:
    count, key = int(sys.argv[1]), bytes.fromhex(sys.argv[2])
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    world = prepared_world().world
    helen = world.user_named("helen")
    assert helen is not None
    world.add_image("base", helen)
    world.add_network("large", "10.0.0.1", count + 1)
    text = 'CPU="0.1"\nVCPU="1"\nMEMORY="128"\nDISK=[IMAGE_ID="0"]\nNIC=[NETWORK_ID="1"]\n'
    marks = Marks(Hidden(key))
    for vm in world.fill(count, owner=helen, text=text):
        for name, value in marks.attributes(f"i-{vm.id + 1:08x}", str(helen.id)).items():
            world.edit(vm.id).user_template.set(name, value)
    with Oned(world) as oned:
        ready = {"url": oned.url, "serveradmin": f"serveradmin:{SECRET}", "uid": str(helen.id)}
        print(json.dumps(ready), flush=True)
        ended.wait()


main()
