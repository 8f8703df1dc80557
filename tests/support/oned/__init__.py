"""A stand-in for oned: XML-RPC over a small in-memory model of OpenNebula 7.0.2.

    prepared = prepared_world(upload_dir=str(tmp_path))    # helen, bob, a datastore, m1.small …
    with Oned(prepared.world) as oned:                     # oned.url; start()/stop() as well
        ...                                                # a client of oned's XML-RPC
        oned.world.vm(0).state_name                        # look into it
        oned.world.guest_powers_off(oned.world.vm(0))      # and do what happens outside

- Time: `Pace` says how long each stage takes, by default 5 ms. With `clock=ManualClock()` it stands
  still until `world.pass_s(...)`; `world.settle()` lets all that is under way come to its end.
- Drivers: `world.next_deploy_fails()`, `next_boot_takes(s)`, `next_shutdown_fails()`,
  `next_copy_fails()`, or any: `world.drivers.order("attach_disk", failing(), taking(3), HANGING)`.
- Outside: `guest_powers_off`, `guest_ignores_acpi`, `killed_outside`, `host_lost`/`host_back`,
  `stall_scheduler`/`resume_scheduler`, `set_capacity`.
- Faults: `oned.faults.fail(method, times, with_=..., before=...)`, boundaries: see `faults`.
- Calls: `oned.calls` is the list of what was asked (method, user, args), `oned.calls.counts()`.
- Login: `delegation(...)` in `sessions`; `world.sessions.checks` counts looks at new tokens.
- Versions: `World(version="5.12.0")` has that version's hashes and delegation tokens.
- Big pools: `world.fill(1000)`; fixed answers for measuring: `oned.serve_bytes(method, body)`.
- A process: `python -m tests.support.oned --port N`.

What it does is what the recordings in shared/opennebula-recordings show (tests/oned/ replays them)
and, beyond these, what the sources of 7.0.2 say; a comment says which where it is not plain. What
the model does not know is refused or missing, never made up.
"""

from tests.support.oned.clock import ManualClock, Pace
from tests.support.oned.prepared import Prepared, prepared_world
from tests.support.oned.server import Oned
from tests.support.oned.world import World

__all__ = ["ManualClock", "Oned", "Pace", "Prepared", "World", "prepared_world"]
