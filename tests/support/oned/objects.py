"""What the pools hold, but for machines: plain objects that render themselves as oned does."""

from dataclasses import dataclass, field
from hashlib import sha256

from tests.support.oned.quotas import Quotas
from tests.support.oned.templates import Template, cdata

_RIGHTS = ("OWNER_U", "OWNER_M", "OWNER_A", "GROUP_U", "GROUP_M", "GROUP_A")
RIGHTS = (*_RIGHTS, "OTHER_U", "OTHER_M", "OTHER_A")


def ids_xml(tag: str, ids: list[int]) -> str:
    return f"<{tag}>{''.join(f'<ID>{number}</ID>' for number in ids)}</{tag}>"


def private() -> list[int]:
    """DEFAULT_UMASK 177: use and manage for the owner."""
    return [1, 1, 0, 0, 0, 0, 0, 0, 0]


@dataclass
class Lock:
    level: int
    """1 use, 2 manage, 3 admin: what is as strong or stronger is refused to all but admins."""
    uid: int
    time: int
    request: int

    def xml(self) -> str:
        return (
            f"<LOCK><LOCKED>{self.level}</LOCKED><OWNER>{self.uid}</OWNER>"
            f"<TIME>{self.time}</TIME><REQ_ID>{self.request}</REQ_ID></LOCK>"
        )


@dataclass(kw_only=True)
class Owned:
    id: int
    uid: int = 0
    gid: int = 0
    uname: str = "oneadmin"
    gname: str = "oneadmin"
    name: str = ""
    rights: list[int] = field(default_factory=private)
    lock: Lock | None = None

    kind = ""
    """As messages name it in `Not authorized to perform USE IMAGE [0]`."""
    word = ""
    """As messages name it in `Error getting image [0]`."""

    @property
    def obeys_rules(self) -> bool:
        """Whether ACL rules say anything of it, beside its own bits."""
        return True

    def head(self) -> str:
        return (
            f"<ID>{self.id}</ID><UID>{self.uid}</UID><GID>{self.gid}</GID>"
            f"<UNAME>{self.uname}</UNAME><GNAME>{self.gname}</GNAME><NAME>{self.name}</NAME>"
        )

    def rights_xml(self) -> str:
        inner = "".join(
            f"<{name}>{right}</{name}>" for name, right in zip(RIGHTS, self.rights, strict=True)
        )
        return f"<PERMISSIONS>{inner}</PERMISSIONS>"

    def lock_xml(self) -> str:
        return self.lock.xml() if self.lock else ""

    def xml(self) -> str:
        raise NotImplementedError


@dataclass
class LoginToken:
    token: str
    expires: int
    egid: int = -1

    def xml(self) -> str:
        return (
            f"<LOGIN_TOKEN><TOKEN>{self.token}</TOKEN><EXPIRATION_TIME>{self.expires}"
            f"</EXPIRATION_TIME><EGID>{self.egid}</EGID></LOGIN_TOKEN>"
        )


@dataclass(kw_only=True)
class User(Owned):
    password: str
    """The stored hash, as USER/PASSWORD shows it."""
    driver: str = "core"
    enabled: bool = True
    groups: list[int] = field(default_factory=list)
    tokens: list[LoginToken] = field(default_factory=list)
    template: Template = field(default_factory=Template)
    quotas: Quotas = field(default_factory=Quotas)

    kind = "USER"
    word = "user"

    def body(self) -> str:
        return (
            f"<ID>{self.id}</ID><GID>{self.gid}</GID>{ids_xml('GROUPS', self.groups)}"
            f"<GNAME>{self.gname}</GNAME><NAME>{self.name}</NAME>"
            f"<PASSWORD>{cdata(self.password)}</PASSWORD>"
            f"<AUTH_DRIVER>{cdata(self.driver)}</AUTH_DRIVER><ENABLED>{int(self.enabled)}</ENABLED>"
            f"{''.join(token.xml() for token in self.tokens)}{self.template.xml()}"
        )

    def xml(self) -> str:
        """As one.user.info gives it: quotas inside."""
        return (
            f"<USER>{self.body()}{self.quotas.xml()}"
            f"<DEFAULT_USER_QUOTAS>{Quotas().xml()}</DEFAULT_USER_QUOTAS></USER>"
        )


def password_hash(password: str, version: str) -> str:
    """SHA-1 up to 5.8, SHA-256 from 5.10 (facts: econe.md, H8)."""
    if version_of(version) < (5, 10):
        from hashlib import sha1

        return sha1(password.encode()).hexdigest()
    return sha256(password.encode()).hexdigest()


def version_of(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


@dataclass(kw_only=True)
class Group(Owned):
    template: Template = field(default_factory=Template)
    users: list[int] = field(default_factory=list)
    quotas: Quotas = field(default_factory=Quotas)

    kind = "GROUP"
    word = "group"

    def body(self) -> str:
        return (
            f"<ID>{self.id}</ID><NAME>{self.name}</NAME>{self.template.xml()}"
            f"{ids_xml('USERS', self.users)}<ADMINS></ADMINS>"
        )

    def xml(self) -> str:
        return (
            f"<GROUP>{self.body()}{self.quotas.xml()}"
            f"<DEFAULT_GROUP_QUOTAS>{Quotas().xml()}</DEFAULT_GROUP_QUOTAS></GROUP>"
        )


@dataclass(kw_only=True)
class Datastore(Owned):
    type: int = 0
    """0 images, 1 system, 2 files."""
    ds_mad: str = "fs"
    tm_mad: str = "ssh"
    total_mb: int = 102_400
    free_mb: int = 81_920
    used_mb: int = 20_480
    images: list[int] = field(default_factory=list)
    template: Template = field(default_factory=Template)

    kind = "DATASTORE"
    word = "datastore"

    def directories(self, name: str) -> list[str]:
        """SAFE_DIRS or RESTRICTED_DIRS."""
        return self.template.get(name).split()

    def xml(self) -> str:
        return (
            f"<DATASTORE>{self.head()}{self.rights_xml()}<DS_MAD>{cdata(self.ds_mad)}</DS_MAD>"
            f"<TM_MAD>{cdata(self.tm_mad)}</TM_MAD>"
            f"<BASE_PATH>{cdata(f'/var/lib/one//datastores/{self.id}')}</BASE_PATH>"
            f"<TYPE>{self.type}</TYPE><DISK_TYPE>0</DISK_TYPE><STATE>0</STATE>"
            f"<CLUSTERS><ID>0</ID></CLUSTERS><TOTAL_MB>{self.total_mb}</TOTAL_MB>"
            f"<FREE_MB>{self.free_mb}</FREE_MB><USED_MB>{self.used_mb}</USED_MB>"
            f"{ids_xml('IMAGES', self.images)}{self.template.xml()}</DATASTORE>"
        )


@dataclass(kw_only=True)
class MachineTemplate(Owned):
    """A VM template, which one.template.instantiate makes machines of."""

    registered: int
    template: Template

    kind = "TEMPLATE"
    word = "virtual machine template"

    def xml(self) -> str:
        return self.xml_with(self.template)

    def xml_with(self, template: Template) -> str:
        return (
            f"<VMTEMPLATE>{self.head()}{self.lock_xml()}{self.rights_xml()}"
            f"<REGTIME>{self.registered}</REGTIME>{template.xml()}</VMTEMPLATE>"
        )


@dataclass(kw_only=True)
class SecurityGroup(Owned):
    template: Template
    machines: list[int] = field(default_factory=list)
    outdated: list[int] = field(default_factory=list)

    kind = "SECGROUP"
    word = "security group"

    def xml(self) -> str:
        return (
            f"<SECURITY_GROUP>{self.head()}{self.rights_xml()}"
            f"{ids_xml('UPDATED_VMS', self.machines)}{ids_xml('OUTDATED_VMS', self.outdated)}"
            f"<UPDATING_VMS></UPDATING_VMS><ERROR_VMS></ERROR_VMS>{self.template.xml()}"
            "</SECURITY_GROUP>"
        )


@dataclass(kw_only=True)
class Document(Owned):
    type: int
    template: Template

    kind = "DOCUMENT"
    word = "document"

    def xml(self) -> str:
        return (
            f"<DOCUMENT>{self.head()}{self.lock_xml()}<TYPE>{self.type}</TYPE>{self.rights_xml()}"
            f"{self.template.xml()}</DOCUMENT>"
        )
