"""The tables as SQLAlchemy sees them. The schema itself is made by migrations.py.

A test holds the two to each other, so constraints and indexes stand only there. Moments are
text, `2026-11-23T16:00:00.000000Z`: they sort as they are, in every database.
"""

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData()


def _text(name: str, *, null: bool = False, key: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null, primary_key=key)


def _number(name: str, *, null: bool = False, key: bool = False) -> Column[int]:
    return Column(name, Integer, nullable=null, primary_key=key)


def _bytes(name: str, *, null: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=null)


meta = Table("meta", metadata, _text("name", key=True), _bytes("value"))

counters = Table("counters", metadata, _text("prefix", key=True), _number("last"))

accounts = Table(
    "accounts",
    metadata,
    _text("number", key=True),
    _text("name"),
    _text("created_at"),
    _number("enabled"),
    _text("engine_ref"),
    _text("group_refs"),
    _number("limit_instances", null=True),
    _number("limit_vcpus", null=True),
    _number("limit_memory_mib", null=True),
    _number("limit_images", null=True),
    _number("limit_storage_gib", null=True),
    _text("metadata_http_tokens"),
    _number("metadata_hop_limit"),
    _text("metadata_http_endpoint"),
    _text("metadata_instance_tags"),
)

access_keys = Table(
    "access_keys",
    metadata,
    _text("access_key", key=True),
    _text("account"),
    _bytes("sealed"),
    _text("created_at"),
    _number("enabled"),
    _number("is_password"),
    _text("last_used_at", null=True),
)

images = Table(
    "images",
    metadata,
    _text("id", key=True),
    _text("account"),
    _text("name"),
    _text("location"),
    _text("disk_format"),
    _number("size_bytes"),
    _text("created_at"),
    _number("registered"),
    _text("state"),
    _number("public"),
    _text("description"),
    _text("architecture"),
    _text("root_device"),
    _text("boot_mode", null=True),
    _number("imds_v2"),
    _text("uefi_data"),
    _text("state_reason_code"),
    _text("state_reason_message"),
    _text("engine_ref"),
    _number("adopted"),
    _text("placing_datastore"),
    _text("placing_type"),
    _text("placing_format"),
    _text("placing_driver"),
    _number("attempts"),
    _text("retry_at", null=True),
    _text("problem"),
    _text("deprecates_at", null=True),
    _number("deprecated"),
    _text("protection"),
    _text("protected_until", null=True),
    _number("version"),
)

image_shares = Table(
    "image_shares",
    metadata,
    _text("image_id", key=True),
    _text("grantee", key=True),
)

instance_types = Table(
    "instance_types",
    metadata,
    _text("owner", key=True),
    _text("name", key=True),
    _number("vcpus"),
    _number("memory_mib"),
    _text("engine_ref"),
)

key_pairs = Table(
    "key_pairs",
    metadata,
    _text("id", key=True),
    _text("account"),
    _text("name"),
    _text("type"),
    _text("fingerprint"),
    _text("public_key"),
    _text("created_at"),
    _number("version"),
)

launch_templates = Table(
    "launch_templates",
    metadata,
    _text("id", key=True),
    _text("account"),
    _text("name"),
    _text("created_at"),
    _number("default_number"),
    _number("latest_number"),
    _number("last_number"),
    _number("version"),
)

template_versions = Table(
    "template_versions",
    metadata,
    _text("template_id", key=True),
    _number("number", key=True),
    _text("created_at"),
    _text("data"),
    _text("description"),
)

vpcs = Table(
    "vpcs",
    metadata,
    _text("id", key=True),
    _text("account"),
    _text("cidr"),
    _number("is_default"),
    _text("created_at"),
    _text("engine_ref"),
    _number("version"),
)

subnets = Table(
    "subnets",
    metadata,
    _text("id", key=True),
    _text("account"),
    _text("vpc_id"),
    _text("cidr"),
    _text("zone"),
    _number("is_default"),
    _text("created_at"),
    _text("engine_ref"),
    _number("version"),
)

security_groups = Table(
    "security_groups",
    metadata,
    _text("id", key=True),
    _text("account"),
    _text("vpc_id"),
    _text("name"),
    _text("description"),
    _text("created_at"),
    _number("version"),
)

instances = Table(
    "instances",
    metadata,
    _text("id", key=True),
    _text("account"),
    _text("reservation_id"),
    _number("launch_index"),
    _text("image_id"),
    _text("image_location"),
    _text("instance_type"),
    _text("vpc_id"),
    _text("subnet_id"),
    _text("zone"),
    _text("launched_at"),
    _text("first_launched_at", null=True),
    _text("state"),
    _text("state_reason_code"),
    _text("state_reason_message"),
    _text("transition_reason"),
    _text("key_name", null=True),
    _text("public_key", null=True),
    _text("client_token"),
    _text("shutdown_behavior"),
    _text("metadata_options_http_tokens"),
    _number("metadata_options_hop_limit"),
    _text("metadata_options_http_endpoint"),
    _text("metadata_options_instance_tags"),
    _text("architecture"),
    _text("root_device"),
    _text("boot_mode", null=True),
    _text("firmware"),
    _number("generation"),
    _text("asked_at", null=True),
    _number("forced"),
    _number("reboots_asked"),
    _number("reboots_done"),
    _text("engine_ref"),
    _text("reach"),
    _number("attempts"),
    _text("retry_at", null=True),
    _text("problem"),
    _text("terminated_at", null=True),
    _number("at_least"),
    _number("vcpus"),
    _number("threads_per_core"),
    _number("memory_mib"),
    _number("adopted"),
    _number("disable_api_termination"),
    _number("disable_api_stop"),
    _number("reconnect"),
    _number("hibernation"),
    _number("hibernating"),
    _text("monitoring"),
    _text("booted_at", null=True),
    _text("system_check"),
    _text("system_failed_at", null=True),
    _text("guest_check"),
    _text("guest_failed_at", null=True),
    _number("settled"),
    _number("version"),
    _bytes("user_data", null=True),
)

interfaces = Table(
    "interfaces",
    metadata,
    _text("id", key=True),
    _text("account"),
    _text("vpc_id"),
    _text("subnet_id"),
    _text("mac"),
    _text("private_ip"),
    _text("created_at"),
    _text("instance_id", null=True),
    _text("attachment_id", null=True),
    _text("attached_at", null=True),
    _number("device_index"),
    _number("delete_on_termination"),
    _number("source_dest_check"),
    _number("version"),
)

interface_groups = Table(
    "interface_groups",
    metadata,
    _text("interface_id", key=True),
    _text("id", key=True),
    _text("name"),
)

volumes = Table(
    "volumes",
    metadata,
    _text("id", key=True),
    _text("account"),
    _number("size_gib"),
    _text("zone"),
    _text("state"),
    _text("created_at"),
    _text("image_id", null=True),
    _text("volume_type"),
    _text("instance_id", null=True),
    _text("device", null=True),
    _text("attached_at", null=True),
    _number("delete_on_termination"),
    _number("version"),
)

tags = Table(
    "tags",
    metadata,
    _text("resource_id", key=True),
    _text("key", key=True),
    _text("value"),
    _text("resource_type"),
    _text("account"),
)

tokens = Table(
    "tokens",
    metadata,
    _text("account", key=True),
    _text("action", key=True),
    _text("token", key=True),
    _text("digest"),
    _bytes("answer"),
    _text("created_at"),
)
