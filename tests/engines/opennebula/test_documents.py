"""Templates and networks as oned shows them."""

import ipaddress
import xmlrpc.client

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from tests.support.oned import Oned as StandIn
from tests.support.oned import prepared_world
from tests.support.oned_recordings import exchanges

from econe.domain.engine_ports import EngineBusy, Phase, Seen
from econe.domain.hidden import Hidden
from econe.engines.opennebula.directory import read_users
from econe.engines.opennebula.documents import (
    Attributes,
    number,
    read_attributes,
    read_networks,
    read_templates,
)
from econe.engines.opennebula.image_documents import read_images
from econe.engines.opennebula.rpc import Oned
from econe.engines.opennebula.strangers import stranger
from econe.engines.opennebula.vms import read_pool
from econe.engines.opennebula.xmltree import parse


def recorded(n):
    (exchange,) = (each for each in exchanges() if each["n"] == n)
    return xmlrpc.client.loads(exchange["response"])[0][0][1]


def pool(tag, *documents):
    return f"<{tag}_POOL>{''.join(documents)}</{tag}_POOL>"


def template(attributes="", **given):
    fields = {"ID": "7", "UID": "2", "GID": "100", "NAME": "x"} | given
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return f"<VMTEMPLATE>{inner}<TEMPLATE>{attributes}</TEMPLATE></VMTEMPLATE>"


def network(attributes="", ranges=""):
    return (
        "<VNET><ID>7</ID><UID>0</UID><GID>0</GID><NAME>x</NAME>"
        f"<TEMPLATE>{attributes}</TEMPLATE><AR_POOL>{ranges}</AR_POOL></VNET>"
    )


def test_a_recorded_template():
    (found,) = read_templates(pool("VMTEMPLATE", recorded(98)))
    assert (found.id, found.uid, found.gid, found.name) == (0, 2, 100, "tmpl-t1")
    assert (found.instance_type, found.cpu, found.vcpus, found.memory_mib) == (
        *("t1.micro", 0.1),
        *(1, 128),
    )
    assert found.attributes.vector("DISK") == {"IMAGE_ID": "0"}
    assert (
        found.attributes.vector("CONTEXT")["SSH_PUBLIC_KEY"] == "ssh-ed25519 AAAAC3Nza test@helen"
    )


def test_a_recorded_network():
    (found,) = read_networks(recorded(164))
    assert (found.id, found.uid, found.name) == (0, 0, "public")
    assert found.usable_by == {"owner", "group", "other"}
    assert found.cidr == ipaddress.IPv4Network("147.96.80.0/24")
    (only,) = found.ranges
    assert (str(only.first), str(only.last), only.size) == ("147.96.80.33", "147.96.80.232", 200)
    assert found.attributes.text("DNS") == "147.96.1.9"


def test_the_stand_ins_are_read():
    with StandIn(prepared_world().world) as stand_in:
        oned = Oned(stand_in.url, timeout_s=5)
        session = Hidden("helen:helen-pw1")
        (found,) = read_templates(oned.text(session, "one.templatepool.info", -2, -1, -1))
        networks = read_networks(oned.text(session, "one.vnpool.info", -2, -1, -1))
        oned.close()
    assert (found.instance_type, found.memory_mib) == ("m1.small", 256)
    assert found.may_use(2, [100])
    assert networks[0].cidr is not None


@pytest.mark.parametrize(
    ("usable_by", "uid", "gids", "may"),
    [
        ("OWNER", 2, [5], True),
        ("OWNER", 3, [100], False),
        ("GROUP", 3, [5, 100], True),
        ("GROUP", 3, [5], False),
        ("OTHER", 3, [5], True),
        ("", 2, [100], False),
        ("", 0, [5], True),
        ("", 3, [5, 0], True),
    ],
)
def test_who_may_use_it(usable_by, uid, gids, may):
    rights = f"<{usable_by}_U>1</{usable_by}_U>" if usable_by else ""
    (found,) = read_templates(pool("VMTEMPLATE", template(PERMISSIONS=rights)))
    assert found.may_use(uid, gids) is may


@pytest.mark.parametrize(
    ("attributes", "vcpus", "cpu", "memory_mib"),
    [
        ("<CPU>0.5</CPU><VCPU>2</VCPU><MEMORY>512</MEMORY>", 2, 0.5, 512),
        ("<CPU>2</CPU><MEMORY>512</MEMORY>", 1, 2.0, 512),
        ("", 1, None, None),
        ("<CPU>nan</CPU><VCPU>-1</VCPU><MEMORY>0</MEMORY>", None, None, None),
        ("<CPU>1e9</CPU><VCPU>many</VCPU><MEMORY>1.5</MEMORY>", None, None, None),
        ("<VCPU>٣</VCPU><MEMORY>" + "9" * 5000 + "</MEMORY>", None, None, None),
        ("<VCPU><A>1</A></VCPU><MEMORY><B/></MEMORY>", 1, None, None),
    ],
)
def test_nonsense_in_a_template_is_no_figure(attributes, vcpus, cpu, memory_mib):
    (found,) = read_templates(pool("VMTEMPLATE", template(attributes)))
    assert (found.vcpus, found.cpu, found.memory_mib) == (vcpus, cpu, memory_mib)


@pytest.mark.parametrize(
    ("attributes", "ranges", "cidr"),
    [
        (
            "<NETWORK_ADDRESS>10.1.0.0</NETWORK_ADDRESS><NETWORK_MASK>255.255.0.0</NETWORK_MASK>",
            *("", "10.1.0.0/16"),
        ),
        ("<NETWORK_MASK>24</NETWORK_MASK>", "10.9.8.7 5", "10.9.8.0/24"),
        ("<GATEWAY>10.2.0.1</GATEWAY>", "", "10.2.0.0/24"),
        ("", "10.3.0.10 20", "10.3.0.0/24"),
        ("", "10.3.0.250 20", "10.3.0.0/23"),
        ("", "10.3.0.1 9,10.3.2.1 9", "10.3.0.0/22"),
        ("<NETWORK_MASK>rubbish</NETWORK_MASK>", "10.3.0.10 20", "10.3.0.0/24"),
        ("<NETWORK_ADDRESS>rubbish</NETWORK_ADDRESS>", "10.3.0.10 20", "10.3.0.0/24"),
        ("<NETWORK_ADDRESS>10.1.0.0</NETWORK_ADDRESS>", "10.3.0.10 x", "10.1.0.0/24"),
        ("", "", None),
        ("", "fe80::1 20", None),
        ("", "255.255.255.250 20", None),
    ],
)
def test_the_range_of_a_network(attributes, ranges, cidr):
    written = "".join(
        f"<AR><AR_ID>0</AR_ID><IP>{ip}</IP><SIZE>{size}</SIZE></AR>"
        for ip, size in (each.split() for each in ranges.split(",") if each)
    )
    (found,) = read_networks(pool("VNET", network(attributes, written)))
    assert found.cidr == (ipaddress.IPv4Network(cidr) if cidr else None)


def test_attributes_of_one_name_are_all_there():
    found = read_attributes(
        etree.fromstring("<T><A>1</A><A>2</A><V><B>1</B></V><V><B>2</B></V><C/><V>3</V></T>")
    )
    assert found == Attributes(
        {"A": ("1", "2"), "C": ("",), "V": ("3",)}, {"V": ({"B": "1"}, {"B": "2"})}
    )
    assert (found.text("A"), found.text("none"), found.vector("V"), found.vector("none")) == (
        *("1", ""),
        *({"B": "2"}, {}),
    )
    assert read_attributes(None) == Attributes({}, {})


@pytest.mark.parametrize("text", [None, "", "x", "1.0", "٣", "1_0", " 1", "9" * 19, "--1"])
def test_what_is_no_number(text):
    assert number(text) is None


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "rubbish",
        "<VNET_POOL>",
        "<VM_POOL/>",
        "<VNET_POOL><VNET/></VNET_POOL>",
        "<VNET_POOL><VNET><ID>x</ID><UID>0</UID><GID>0</GID></VNET></VNET_POOL>",
        "<!DOCTYPE a><VNET_POOL/>",
    ],
)
def test_rubbish_of_oneds_own_is_busy(xml):
    for read, at in ((read_networks, "VNET"), (read_templates, "VMTEMPLATE")):
        with pytest.raises(EngineBusy, match="rubbish"):
            read(xml.replace("VNET", at))


def test_empty_pools():
    assert read_networks("<VNET_POOL></VNET_POOL>") == read_templates("<VMTEMPLATE_POOL/>") == []


def read_machines(xml):
    """As Pool reads them."""
    found = list(read_pool(parse(xml.encode())))
    for vm in found:
        assert isinstance(vm.last("HOSTNAME") + vm.graphics("PORT"), str)
        stranger(vm, Seen(Phase.RUNNING, vm.ref, nics=vm.nics()), "")
    return found


def read_pictures(xml):
    """As OpennebulaImages reads them."""
    return list(read_images(parse(xml.encode())))


MACHINE = """<VM_POOL><VM><ID>1</ID><UID>2</UID><NAME>x</NAME><STATE>3</STATE>
<LCM_STATE>3</LCM_STATE><STIME>1</STIME><TEMPLATE><CPU>1</CPU><MEMORY>64</MEMORY>
<NIC><NIC_ID>0</NIC_ID><IP>10.0.0.1</IP></NIC><DISK><DISK_ID>0</DISK_ID></DISK></TEMPLATE>
<USER_TEMPLATE><A>1</A></USER_TEMPLATE><HISTORY_RECORDS><HISTORY><ACTION>1</ACTION></HISTORY>
</HISTORY_RECORDS></VM></VM_POOL>"""
IMAGE = """<IMAGE_POOL><IMAGE><ID>1</ID><UID>2</UID><GID>3</GID><NAME>x</NAME>
<PERMISSIONS><OTHER_U>1</OTHER_U></PERMISSIONS><TYPE>0</TYPE><REGTIME>1</REGTIME><SIZE>1</SIZE>
<STATE>1</STATE><TEMPLATE><EC2_AMI>YES</EC2_AMI><EC2_TAGS><A>1</A></EC2_TAGS></TEMPLATE></IMAGE>
</IMAGE_POOL>"""
READERS = [
    (read_templates, pool("VMTEMPLATE", template("<CPU>1</CPU><V><A>1</A></V>"))),
    (read_networks, pool("VNET", network("<A>1</A>", "<AR><AR_ID>0</AR_ID></AR>"))),
    (read_users, "<USER_POOL><USER><ID>1</ID></USER><QUOTAS><ID>1</ID></QUOTAS></USER_POOL>"),
    (read_machines, MACHINE),
    (read_pictures, IMAGE),
]


def damaged(xml, data):
    """A tree whose parts were lost, doubled, moved, and whose texts are anything."""
    root = etree.fromstring(xml)
    for _ in range(data.draw(st.integers(1, 6))):
        everything = list(root.iter(etree.Element))
        one, other = (data.draw(st.sampled_from(everything)) for _ in range(2))
        match data.draw(st.sampled_from(["text", "lose", "double", "rename", "comment"])):
            case "text":
                one.text = data.draw(st.sampled_from(["", "-1", "x", "10.0.0.1", "9" * 30, " "]))
            case "lose" if one.getparent() is not None:
                one.getparent().remove(one)
            case "double":
                other.append(etree.fromstring(etree.tostring(one, with_tail=False)))
            case "rename":
                one.tag = other.tag
            case "comment":
                one.append(etree.Comment("x"))
    return etree.tostring(root, encoding="unicode")


def check_that_it_is_rubbish_at_most(read, xml):
    try:
        for each in list(read(xml)):
            for name in (
                "cidr",
                "vcpus",
                "cpu",
                "memory_mib",
                "instance_type",
                "state_name",
                "tags",
            ):
                getattr(each, name, None)
    except (EngineBusy, ValueError) as error:
        # Users, machines and images: whoever asks makes EngineBusy of ValueError.
        assert isinstance(error, EngineBusy) or read not in (read_networks, read_templates)


@given(st.sampled_from(READERS), st.data())
def test_no_damage_is_more_than_rubbish(reader, data):
    read, xml = reader
    check_that_it_is_rubbish_at_most(read, damaged(xml, data))


@pytest.mark.parametrize(
    ("read", "n"),
    [(read_users, 15), (read_machines, 104), (read_networks, 164), (read_pictures, 72)],
)
@given(data=st.data())
@settings(max_examples=40)
def test_no_damage_of_a_recorded_pool_is_more_than_rubbish(read, n, data):
    check_that_it_is_rubbish_at_most(read, damaged(recorded(n), data))
