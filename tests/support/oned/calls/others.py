"""Datastores, hosts, clusters, zones, documents, the system itself."""

from tests.support.oned.calls.finding import found, page
from tests.support.oned.errors import missing
from tests.support.oned.machine import State
from tests.support.oned.names import checked_name
from tests.support.oned.objects import Datastore, Document
from tests.support.oned.protocol import Answer, Args
from tests.support.oned.registry import method
from tests.support.oned.rights import Caller, Op
from tests.support.oned.templates import Template, cdata
from tests.support.oned.world import World


@method("one.system.version")
def version(world: World, caller: Caller, args: Args) -> Answer:
    return world.version


@method("one.system.config")
def config(world: World, caller: Caller, args: Args) -> Answer:
    """Only what a client of ours may ask for; the real one has 300 lines."""
    shown = {
        "API_LIST_ORDER": "DESC",
        "DEFAULT_UMASK": "177",
        "MAC_PREFIX": "02:00",
        "SESSION_EXPIRATION_TIME": "900",
    }
    inner = "".join(f"<{name}>{cdata(value)}</{name}>" for name, value in shown.items())
    return f"<OPENNEBULA_CONFIGURATION>{inner}</OPENNEBULA_CONFIGURATION>"


@method("one.datastore.info")
def datastore(world: World, caller: Caller, args: Args) -> Answer:
    return found(world, caller, world.datastores, Datastore, args.integer(0), Op.USE).xml()


@method("one.datastorepool.info")
def datastores(world: World, caller: Caller, args: Args) -> Answer:
    every = sorted(world.datastores.values(), key=lambda each: -each.id)
    inner = "".join(each.xml() for each in every if world.rights.allowed(caller, Op.USE, each))
    return f"<DATASTORE_POOL>{inner}</DATASTORE_POOL>"


@method("one.zonepool.info")
def zones(world: World, caller: Caller, args: Args) -> Answer:
    endpoint = f"<ENDPOINT>{cdata('http://localhost:2633/RPC2')}</ENDPOINT>"
    zone = f"<ID>0</ID><NAME>OpenNebula</NAME><STATE>0</STATE><TEMPLATE>{endpoint}</TEMPLATE>"
    return f"<ZONE_POOL><ZONE>{zone}<SERVER_POOL></SERVER_POOL></ZONE></ZONE_POOL>"


@method("one.clusterpool.info")
def clusters(world: World, caller: Caller, args: Args) -> Answer:
    """Ordinary users see none (256)."""
    if not caller.is_admin:
        return "<CLUSTER_POOL></CLUSTER_POOL>"
    networks = "".join(f"<ID>{number}</ID>" for number in world.networks)
    stores = "".join(f"<ID>{number}</ID>" for number in world.datastores)
    inner = (
        "<ID>0</ID><NAME>default</NAME><HOSTS><ID>0</ID></HOSTS>"
        f"<DATASTORES>{stores}</DATASTORES><VNETS>{networks}</VNETS><TEMPLATE></TEMPLATE>"
    )
    return f"<CLUSTER_POOL><CLUSTER>{inner}</CLUSTER></CLUSTER_POOL>"


@method("one.hostpool.info")
def hosts(world: World, caller: Caller, args: Args) -> Answer:
    """Ordinary users see none (257)."""
    inner = _host(world) if caller.is_admin else ""
    return f"<HOST_POOL>{inner}</HOST_POOL>"


@method("one.host.info")
def host(world: World, caller: Caller, args: Args) -> Answer:
    number = args.integer(0)
    if number != 0:
        raise missing("host", number)
    if not caller.is_admin:
        raise world.rights.refusal(caller, Op.USE, "HOST", 0)
    return _host(world)


def _host(world: World) -> str:
    here = [each.id for each in world.machines.values() if _is_on_host(each.state)]
    every = [world.machines[number].template for number in here]
    cpu = sum(int(100 * (each.number("CPU") or 0)) for each in every)
    memory = sum(int(1024 * (each.number("MEMORY") or 0)) for each in every)
    total = world.host
    ids = "".join(f"<ID>{number}</ID>" for number in here)
    return (
        f"<HOST><ID>0</ID><NAME>{total.name}</NAME><STATE>2</STATE><PREV_STATE>2</PREV_STATE>"
        f"<IM_MAD>{cdata('dummy')}</IM_MAD><VM_MAD>{cdata('dummy')}</VM_MAD>"
        "<CLUSTER_ID>0</CLUSTER_ID><CLUSTER>default</CLUSTER><HOST_SHARE>"
        f"<MEM_USAGE>{memory}</MEM_USAGE><CPU_USAGE>{cpu}</CPU_USAGE>"
        f"<TOTAL_MEM>{total.memory_kib}</TOTAL_MEM><TOTAL_CPU>{total.cpu_percent}</TOTAL_CPU>"
        f"<MAX_MEM>{total.memory_kib}</MAX_MEM><MAX_CPU>{total.cpu_percent}</MAX_CPU>"
        f"<RUNNING_VMS>{len(here)}</RUNNING_VMS><VMS_THREAD>1</VMS_THREAD></HOST_SHARE>"
        f"<VMS>{ids}</VMS><TEMPLATE></TEMPLATE></HOST>"
    )


def _is_on_host(state: State) -> bool:
    return state in (State.ACTIVE, State.POWEROFF, State.SUSPENDED)


@method("one.document.allocate")
def allocate_document(world: World, caller: Caller, args: Args) -> Answer:
    template, kind = Template.parse(args.text(0)), args.integer(1)
    world.rights.check_create(caller, "DOCUMENT")
    name = checked_name(template.get("NAME"), 0x4000, "Error allocating a new document. ")
    template.drop("NAME")
    made = Document(**world.owned_by(caller, "document"), name=name, type=kind, template=template)
    world.documents[made.id] = made
    return made.id


@method("one.document.info")
def document(world: World, caller: Caller, args: Args) -> Answer:
    return found(world, caller, world.documents, Document, args.integer(0), Op.USE).xml()


@method("one.document.delete")
def delete_document(world: World, caller: Caller, args: Args) -> Answer:
    number = args.integer(0)
    found(world, caller, world.documents, Document, number, Op.MANAGE)
    del world.documents[number]
    return number


@method("one.documentpool.info")
def documents(world: World, caller: Caller, args: Args) -> Answer:
    kind = args.integer(3)
    listed = page(world, caller, args, (d for d in world.documents.values() if d.type == kind))
    return f"<DOCUMENT_POOL>{''.join(each.xml() for each in listed)}</DOCUMENT_POOL>"
