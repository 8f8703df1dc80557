"""Names that follow from where something is: host names and the zone's id."""

from typing import Final

_DIRECTIONS: Final = {
    "central": "c",
    "east": "e",
    "north": "n",
    "northeast": "ne",
    "northwest": "nw",
    "south": "s",
    "southeast": "se",
    "southwest": "sw",
    "west": "w",
}


def hostname(private_ip: str) -> str:
    """EC2's `ip-172-31-0-5` (User Guide, "EC2 instance hostnames": IP name)."""
    return "ip-" + private_ip.replace(".", "-")


def private_domain(region: str) -> str:
    """`ec2.internal` in us-east-1, elsewhere with the region's name (VPC User Guide, DNS)."""
    return "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"


def private_dns_name(private_ip: str, region: str) -> str:
    return f"{hostname(private_ip)}.{private_domain(region)}"


def address_named(name: str) -> str:
    """The address in a name that private_dns_name() may have made; empty for any other text."""
    first, _, _ = name.partition(".")
    words = first.split("-")
    if len(words) != 5 or words[0] != "ip":
        return ""
    return ".".join(words[1:])


def zone_id(region: str, zone: str) -> str:
    """`use1-az1` for us-east-1a, by Amazon's scheme; the zone's name where none applies."""
    words = region.split("-")
    area, middle, number = words[0], words[1:-1], words[-1]
    letter = zone.removeprefix(region)
    way = "".join(_DIRECTIONS.get(word, word[:1]) for word in middle)
    if not middle or not number.isdigit() or len(letter) != 1 or not "a" <= letter <= "z":
        return zone
    return f"{area}{way}{number}-az{ord(letter) - ord('a') + 1}"
