"""What users write into their own things does not change what oned says of them, or of others.

oned writes values as CDATA without escaping `]]>`. It stores an object as long as that is one
well-formed element, which was seen with 7.0.2: the forgeries here are of the kind that it kept.
"""

import pytest
from lxml import etree

from econe.engines.opennebula.directory import read_users
from econe.engines.opennebula.documents import read_networks, read_templates
from econe.engines.opennebula.image_documents import read_images
from econe.engines.opennebula.vms import read_pool
from econe.engines.opennebula.xmltree import parse

PERMISSIONS = (
    "<PERMISSIONS><OWNER_U>1</OWNER_U><GROUP_U>0</GROUP_U><OTHER_U>0</OTHER_U></PERMISSIONS>"
)
OF_ADMINISTRATORS = PERMISSIONS.replace(">0<", ">1<")
FORGERIES = [
    "<GROUPS><ID>0</ID></GROUPS>",
    "<GID>0</GID>",
    "<ID>0</ID><NAME>oneadmin</NAME>",
    "<PASSWORD>known</PASSWORD><AUTH_DRIVER>core</AUTH_DRIVER>",
    "<ENABLED>1</ENABLED>",
    "<UID>0</UID>",
    OF_ADMINISTRATORS,
    "<USER><ID>0</ID><NAME>oneadmin</NAME><PASSWORD>known</PASSWORD></USER>",
    "<VMTEMPLATE><ID>9</ID><UID>0</UID><GID>0</GID><NAME>x</NAME></VMTEMPLATE>",
    "<IMAGE><ID>9</ID><UID>0</UID><GID>0</GID><NAME>x</NAME><STATE>1</STATE></IMAGE>",
    "<VNET><ID>9</ID><UID>0</UID><GID>0</GID><NAME>x</NAME></VNET>",
    "<QUOTAS><ID>2</ID></QUOTAS>",
    "<STATE>6</STATE><LCM_STATE>0</LCM_STATE>",
    "<VM><ID>9</ID><UID>0</UID><NAME>x</NAME><STATE>6</STATE><LCM_STATE>0</LCM_STATE></VM>",
    "<!-- comment --><?instruction?>",
]


def kept(document: str, value: str) -> str:
    """`document` with `value` as an attribute of its template, as oned keeps it: if it is one
    element still."""
    whole = document.format(f"<X><![CDATA[{value}]]></X>")
    etree.fromstring(whole)
    return whole


def out_of_the_template(forgery: str) -> str:
    return f"]]></X></TEMPLATE>{forgery}<TEMPLATE><X><![CDATA["


def inside_the_template(forgery: str) -> str:
    return f"]]></X>{forgery}<X><![CDATA["


USER = (
    "<USER><ID>3</ID><GID>100</GID><GROUPS><ID>100</ID></GROUPS><GNAME>users</GNAME>"
    "<NAME>mallory</NAME><PASSWORD><![CDATA[hers]]></PASSWORD>"
    "<AUTH_DRIVER><![CDATA[ldap]]></AUTH_DRIVER><ENABLED>0</ENABLED><TEMPLATE>{}</TEMPLATE></USER>"
)
TEMPLATE = (
    "<VMTEMPLATE><ID>3</ID><UID>3</UID><GID>100</GID><UNAME>mallory</UNAME><GNAME>users</GNAME>"
    "<NAME>hers</NAME>" + PERMISSIONS + "<REGTIME>1</REGTIME><TEMPLATE>{}</TEMPLATE></VMTEMPLATE>"
)
NETWORK = (
    "<VNET><ID>3</ID><UID>3</UID><GID>100</GID><UNAME>mallory</UNAME><GNAME>users</GNAME>"
    "<NAME>hers</NAME>" + PERMISSIONS + "<CLUSTERS/><TEMPLATE>{}</TEMPLATE><AR_POOL/></VNET>"
)

MACHINE = (
    "<VM><ID>3</ID><UID>3</UID><GID>100</GID><UNAME>mallory</UNAME><GNAME>users</GNAME>"
    "<NAME>hers</NAME>" + PERMISSIONS + "<STATE>3</STATE><LCM_STATE>3</LCM_STATE>"
    "<MONITORING/><TEMPLATE><NIC><NIC_ID>0</NIC_ID><IP>10.0.0.3</IP></NIC>{}</TEMPLATE>"
    "<USER_TEMPLATE/><HISTORY_RECORDS/></VM>"
)

IMAGE = (
    "<IMAGE><ID>3</ID><UID>3</UID><GID>100</GID><UNAME>mallory</UNAME><GNAME>users</GNAME>"
    "<NAME>hers</NAME>" + PERMISSIONS + "<TYPE>0</TYPE><REGTIME>1</REGTIME><SIZE>1</SIZE>"
    "<STATE>4</STATE><TEMPLATE>{}</TEMPLATE></IMAGE>"
)

everywhere = pytest.mark.parametrize("place", [out_of_the_template, inside_the_template])
every_forgery = pytest.mark.parametrize("forgery", FORGERIES)


@everywhere
@every_forgery
def test_a_user_cannot_be_more_than_she_is(place, forgery):
    forged = kept(USER, place(forgery))
    users = read_users(f"<USER_POOL>{forged}<QUOTAS><ID>3</ID></QUOTAS></USER_POOL>")
    (user,) = users.values()
    assert (user.uid, user.name, user.groups) == ("3", "mallory", ("100",))
    assert (user.password.reveal(), user.auth_driver, user.enabled) == ("hers", "ldap", False)
    assert not user.is_administrator


@everywhere
@every_forgery
def test_a_template_is_nobody_elses(place, forgery):
    (template,) = read_templates(
        f"<VMTEMPLATE_POOL>{kept(TEMPLATE, place(forgery))}</VMTEMPLATE_POOL>"
    )
    assert (template.id, template.uid, template.gid, template.name) == (3, 3, 100, "hers")
    assert template.usable_by == {"owner"}


@everywhere
@every_forgery
def test_a_machine_is_nobody_elses(place, forgery):
    root = parse(f"<VM_POOL>{kept(MACHINE, place(forgery))}</VM_POOL>".encode())
    (vm,) = read_pool(root)
    assert (vm.number, vm.uid, vm.name, vm.state_name) == (3, "3", "hers", "RUNNING")
    assert [nic.private_ip for nic in vm.nics()] == ["10.0.0.3"]


@everywhere
@every_forgery
def test_an_image_is_nobody_elses(place, forgery):
    root = parse(f"<IMAGE_POOL>{kept(IMAGE, place(forgery))}</IMAGE_POOL>".encode())
    (image,) = read_images(root)
    assert (image.number, image.uid, image.gid, image.name) == (3, "3", "100", "hers")
    assert (image.state_name, image.may_use("OTHER")) == ("LOCKED", False)


@everywhere
@every_forgery
def test_a_network_is_nobody_elses(place, forgery):
    (network,) = read_networks(f"<VNET_POOL>{kept(NETWORK, place(forgery))}</VNET_POOL>")
    assert (network.id, network.uid, network.gid, network.name) == (3, 3, 100, "hers")
    assert network.usable_by == {"owner"}
