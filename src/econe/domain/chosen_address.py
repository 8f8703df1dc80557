"""A private address that a launch asks for by name (API reference, RunInstances: PrivateIpAddress).

Where the engine gives addresses, nobody can choose one.
"""

from ipaddress import IPv4Address, IPv4Network

from econe.domain.default_network import KEPT_FROM_START
from econe.domain.engine_networks import AccountNetwork
from econe.domain.engine_ports import Capabilities
from econe.domain.faults import Conflict, InUse, Invalid, Noun, Unsupported
from econe.domain.launch import LaunchOrder
from econe.domain.ports import Transaction
from econe.domain.queries import Criterion, Query


def check_address(order: LaunchOrder, network: AccountNetwork, can: Capabilities) -> None:
    """It can be given out in the network, to one instance."""
    asked = order.network.address
    if asked is None:
        return
    if can.gives_addresses:
        raise Unsupported(
            Noun.PARAMETER, "PrivateIpAddress", "Private addresses cannot be chosen in this cloud."
        )
    if order.at_most > 1:
        raise Conflict(
            Noun.PARAMETER,
            "PrivateIpAddress",
            "A private IP address cannot be specified for more than one instance.",
        )
    _check_place(asked, IPv4Network(network.subnet.cidr))


def _check_place(asked: str, subnet: IPv4Network) -> None:
    try:
        address = IPv4Address(asked)
    except ValueError as fault:
        raise Invalid(
            Noun.PARAMETER, asked, f"Invalid value '{asked}' for privateIpAddress."
        ) from fault
    if address not in subnet:
        raise Invalid(
            Noun.PARAMETER,
            asked,
            f"Address {asked} does not fall within the subnet's address range",
        )
    place = int(address) - int(subnet.network_address)
    if not KEPT_FROM_START <= place < subnet.num_addresses - 1:
        raise Invalid(
            Noun.PARAMETER, asked, f"Address {asked} is in the subnet's reserved address range"
        )


def take_address(tx: Transaction, network: AccountNetwork, asked: str) -> str:
    """The address, if no interface of the subnet has it."""
    here = Criterion("subnet_id", (network.subnet.id,))
    query = Query(criteria=(here, Criterion("private_ip", (asked,))), limit=1)
    if tx.interfaces.keys(query).items:
        raise InUse(Noun.ADDRESS, asked)
    return asked
