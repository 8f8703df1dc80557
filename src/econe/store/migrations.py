"""The schema, as numbered steps that are only ever added to.

A step that was released is never edited: databases have run it. Each is plain SQL, run inside
one transaction with the steps before it. Triggers are no part of the steps: dialect.py makes
them afresh whenever they differ.
"""

from typing import Final

_STATES: Final = "'pending','running','shutting-down','terminated','stopping','stopped'"
_IMAGE_STATES: Final = (
    "'pending','available','invalid','deregistered','transient','failed','error','disabled'"
)
"""All that EC2 has (API reference, Image)."""

STEPS: Final[tuple[tuple[str, ...], ...]] = (
    # 1: the first schema
    (
        "CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL)",
        "CREATE TABLE counters (prefix TEXT NOT NULL PRIMARY KEY, last INTEGER NOT NULL)",
        """CREATE TABLE accounts (
            number TEXT NOT NULL PRIMARY KEY CHECK (length(number) = 12),
            name TEXT NOT NULL UNIQUE CHECK (name <> ''),
            created_at TEXT NOT NULL,
            enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)))""",
        """CREATE TABLE access_keys (
            access_key TEXT NOT NULL PRIMARY KEY CHECK (access_key <> ''),
            account TEXT NOT NULL REFERENCES accounts (number),
            sealed BLOB NOT NULL,
            created_at TEXT NOT NULL,
            enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)))""",
        "CREATE INDEX access_keys_of ON access_keys (account)",
        """CREATE TABLE images (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            name TEXT NOT NULL,
            location TEXT NOT NULL,
            disk_format TEXT NOT NULL CHECK (disk_format IN ('raw', 'qcow2')),
            size_bytes INTEGER NOT NULL CHECK (size_bytes > 0),
            created_at TEXT NOT NULL,
            registered INTEGER NOT NULL CHECK (registered IN (0, 1)),
            state TEXT NOT NULL CHECK (state IN ('available', 'deregistered')),
            public INTEGER NOT NULL CHECK (public IN (0, 1)),
            description TEXT NOT NULL,
            architecture TEXT NOT NULL,
            root_device TEXT NOT NULL,
            version INTEGER NOT NULL)""",
        "CREATE INDEX images_of ON images (account, id, version)",
        "CREATE UNIQUE INDEX images_name ON images (account, name) WHERE state = 'available'",
        "CREATE INDEX images_public ON images (id) WHERE public = 1",
        "CREATE INDEX images_at ON images (location)",
        """CREATE TABLE key_pairs (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            name TEXT NOT NULL CHECK (name <> ''),
            type TEXT NOT NULL CHECK (type IN ('rsa', 'ed25519')),
            fingerprint TEXT NOT NULL,
            public_key TEXT NOT NULL,
            created_at TEXT NOT NULL,
            version INTEGER NOT NULL,
            UNIQUE (account, name))""",
        "CREATE INDEX key_pairs_of ON key_pairs (account, id, version)",
        """CREATE TABLE vpcs (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            cidr TEXT NOT NULL,
            is_default INTEGER NOT NULL CHECK (is_default IN (0, 1)),
            created_at TEXT NOT NULL,
            version INTEGER NOT NULL)""",
        "CREATE INDEX vpcs_of ON vpcs (account, id, version)",
        "CREATE UNIQUE INDEX vpcs_default ON vpcs (account) WHERE is_default = 1",
        # Default VPCs are reached from the host, so their addresses must not overlap.
        "CREATE UNIQUE INDEX vpcs_default_cidr ON vpcs (cidr) WHERE is_default = 1",
        """CREATE TABLE subnets (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            vpc_id TEXT NOT NULL REFERENCES vpcs (id),
            cidr TEXT NOT NULL,
            zone TEXT NOT NULL,
            is_default INTEGER NOT NULL CHECK (is_default IN (0, 1)),
            created_at TEXT NOT NULL,
            version INTEGER NOT NULL,
            UNIQUE (vpc_id, cidr))""",
        "CREATE INDEX subnets_of ON subnets (account, id, version)",
        "CREATE UNIQUE INDEX subnets_default ON subnets (vpc_id, zone) WHERE is_default = 1",
        """CREATE TABLE security_groups (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            vpc_id TEXT NOT NULL REFERENCES vpcs (id),
            name TEXT NOT NULL CHECK (name <> ''),
            description TEXT NOT NULL,
            created_at TEXT NOT NULL,
            version INTEGER NOT NULL,
            UNIQUE (vpc_id, name))""",
        "CREATE INDEX security_groups_of ON security_groups (account, id, version)",
        f"""CREATE TABLE instances (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            reservation_id TEXT NOT NULL,
            launch_index INTEGER NOT NULL,
            image_id TEXT NOT NULL,
            image_location TEXT NOT NULL,
            instance_type TEXT NOT NULL,
            vpc_id TEXT NOT NULL,
            subnet_id TEXT NOT NULL,
            zone TEXT NOT NULL,
            launched_at TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ({_STATES})),
            state_reason_code TEXT NOT NULL,
            state_reason_message TEXT NOT NULL,
            transition_reason TEXT NOT NULL,
            key_name TEXT,
            public_key TEXT,
            client_token TEXT NOT NULL,
            shutdown_behavior TEXT NOT NULL CHECK (shutdown_behavior IN ('stop', 'terminate')),
            metadata_options_http_tokens TEXT NOT NULL
                CHECK (metadata_options_http_tokens IN ('optional', 'required')),
            metadata_options_hop_limit INTEGER NOT NULL,
            metadata_options_http_endpoint TEXT NOT NULL
                CHECK (metadata_options_http_endpoint IN ('enabled', 'disabled')),
            metadata_options_instance_tags TEXT NOT NULL
                CHECK (metadata_options_instance_tags IN ('enabled', 'disabled')),
            architecture TEXT NOT NULL,
            root_device TEXT NOT NULL,
            generation INTEGER NOT NULL,
            asked_at TEXT,
            forced INTEGER NOT NULL CHECK (forced IN (0, 1)),
            reboots_asked INTEGER NOT NULL,
            reboots_done INTEGER NOT NULL,
            engine_ref TEXT NOT NULL,
            reach TEXT NOT NULL,
            attempts INTEGER NOT NULL,
            retry_at TEXT,
            problem TEXT NOT NULL,
            terminated_at TEXT,
            settled INTEGER NOT NULL CHECK (settled IN (0, 1)),
            version INTEGER NOT NULL,
            user_data BLOB)""",
        # Covers what a listing of views needs, so that rows with user data are not touched.
        "CREATE INDEX instances_of ON instances (account, id, version, reservation_id)",
        "CREATE INDEX instances_unsettled ON instances (id) WHERE settled = 0",
        "CREATE INDEX instances_live ON instances (id) WHERE state <> 'terminated'",
        "CREATE INDEX instances_terminated ON instances (terminated_at) WHERE state = 'terminated'",
        """CREATE TABLE interfaces (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            vpc_id TEXT NOT NULL REFERENCES vpcs (id),
            subnet_id TEXT NOT NULL REFERENCES subnets (id),
            mac TEXT NOT NULL UNIQUE,
            private_ip TEXT NOT NULL,
            created_at TEXT NOT NULL,
            instance_id TEXT REFERENCES instances (id) DEFERRABLE INITIALLY DEFERRED,
            attachment_id TEXT,
            attached_at TEXT,
            device_index INTEGER NOT NULL,
            delete_on_termination INTEGER NOT NULL CHECK (delete_on_termination IN (0, 1)),
            version INTEGER NOT NULL,
            UNIQUE (subnet_id, private_ip),
            UNIQUE (instance_id, device_index))""",
        "CREATE INDEX interfaces_of ON interfaces (account, id, version)",
        "CREATE INDEX interfaces_at ON interfaces (private_ip, vpc_id)",
        """CREATE TABLE interface_groups (
            interface_id TEXT NOT NULL REFERENCES interfaces (id) ON DELETE CASCADE,
            id TEXT NOT NULL REFERENCES security_groups (id),
            name TEXT NOT NULL,
            PRIMARY KEY (interface_id, id))""",
        "CREATE INDEX interface_groups_by ON interface_groups (id)",
        """CREATE TABLE volumes (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            size_gib INTEGER NOT NULL CHECK (size_gib > 0),
            zone TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('creating', 'available', 'in-use', 'deleting')),
            created_at TEXT NOT NULL,
            image_id TEXT,
            volume_type TEXT NOT NULL,
            instance_id TEXT REFERENCES instances (id) DEFERRABLE INITIALLY DEFERRED,
            device TEXT,
            attached_at TEXT,
            delete_on_termination INTEGER NOT NULL CHECK (delete_on_termination IN (0, 1)),
            version INTEGER NOT NULL,
            UNIQUE (instance_id, device))""",
        "CREATE INDEX volumes_of ON volumes (account, id, version)",
        """CREATE TABLE tags (
            resource_id TEXT NOT NULL,
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            resource_type TEXT NOT NULL,
            account TEXT NOT NULL REFERENCES accounts (number),
            PRIMARY KEY (resource_id, key))""",
        "CREATE INDEX tags_by_value ON tags (account, key, value, resource_type, resource_id)",
        "CREATE INDEX tags_of ON tags (account, resource_id, key, value, resource_type)",
        """CREATE TABLE tokens (
            account TEXT NOT NULL REFERENCES accounts (number),
            action TEXT NOT NULL,
            token TEXT NOT NULL,
            digest TEXT NOT NULL,
            answer BLOB NOT NULL,
            created_at TEXT NOT NULL,
            PRIMARY KEY (account, action, token))""",
        "CREATE INDEX tokens_old ON tokens (created_at)",
    ),
    # 2: engines that have users, types, networks and images of their own
    (
        "ALTER TABLE accounts ADD COLUMN engine_ref TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE accounts ADD COLUMN group_refs TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE accounts ADD COLUMN limit_instances INTEGER",
        "ALTER TABLE accounts ADD COLUMN limit_vcpus INTEGER",
        "ALTER TABLE accounts ADD COLUMN limit_memory_mib INTEGER",
        "ALTER TABLE accounts ADD COLUMN limit_images INTEGER",
        "ALTER TABLE accounts ADD COLUMN limit_storage_gib INTEGER",
        "CREATE UNIQUE INDEX accounts_ref ON accounts (engine_ref) WHERE engine_ref <> ''",
        """ALTER TABLE access_keys ADD COLUMN is_password INTEGER NOT NULL DEFAULT 0
            CHECK (is_password IN (0, 1))""",
        "UPDATE access_keys SET is_password = 1 WHERE access_key IN (SELECT name FROM accounts)",
        # SQLite cannot change a CHECK: the table is made anew.
        f"""CREATE TABLE images_2 (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            name TEXT NOT NULL,
            location TEXT NOT NULL,
            disk_format TEXT NOT NULL CHECK (disk_format IN ('raw', 'qcow2')),
            size_bytes INTEGER NOT NULL CHECK (size_bytes > 0),
            created_at TEXT NOT NULL,
            registered INTEGER NOT NULL CHECK (registered IN (0, 1)),
            state TEXT NOT NULL CHECK (state IN ({_IMAGE_STATES})),
            public INTEGER NOT NULL CHECK (public IN (0, 1)),
            description TEXT NOT NULL,
            architecture TEXT NOT NULL,
            root_device TEXT NOT NULL,
            state_reason_code TEXT NOT NULL,
            state_reason_message TEXT NOT NULL,
            engine_ref TEXT NOT NULL,
            adopted INTEGER NOT NULL CHECK (adopted IN (0, 1)),
            placing_datastore TEXT NOT NULL,
            placing_type TEXT NOT NULL,
            placing_format TEXT NOT NULL,
            placing_driver TEXT NOT NULL,
            attempts INTEGER NOT NULL,
            retry_at TEXT,
            problem TEXT NOT NULL,
            version INTEGER NOT NULL)""",
        """INSERT INTO images_2 SELECT id, account, name, location, disk_format, size_bytes,
            created_at, registered, state, public, description, architecture, root_device,
            '', '', '', 0, '', '', '', '', 0, NULL, '', version FROM images""",
        "DROP TABLE images",
        "ALTER TABLE images_2 RENAME TO images",
        "CREATE INDEX images_of ON images (account, id, version)",
        """CREATE UNIQUE INDEX images_name ON images (account, name)
            WHERE state IN ('available', 'pending')""",
        "CREATE INDEX images_public ON images (id) WHERE public = 1",
        "CREATE INDEX images_at ON images (location)",
        "CREATE INDEX images_ref ON images (engine_ref) WHERE engine_ref <> ''",
        """CREATE TABLE image_shares (
            image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
            grantee TEXT NOT NULL CHECK (grantee <> ''),
            PRIMARY KEY (image_id, grantee))""",
        "CREATE INDEX image_shares_with ON image_shares (grantee, image_id)",
        """CREATE TABLE instance_types (
            owner TEXT NOT NULL,
            name TEXT NOT NULL CHECK (name <> ''),
            vcpus INTEGER NOT NULL CHECK (vcpus > 0),
            memory_mib INTEGER NOT NULL CHECK (memory_mib > 0),
            engine_ref TEXT NOT NULL,
            PRIMARY KEY (owner, name))""",
        "ALTER TABLE instances ADD COLUMN at_least INTEGER NOT NULL DEFAULT 1",
        "ALTER TABLE instances ADD COLUMN vcpus INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE instances ADD COLUMN memory_mib INTEGER NOT NULL DEFAULT 0",
        """ALTER TABLE instances ADD COLUMN adopted INTEGER NOT NULL DEFAULT 0
            CHECK (adopted IN (0, 1))""",
        "CREATE INDEX instances_ref ON instances (engine_ref) WHERE engine_ref <> ''",
        "CREATE INDEX instances_reservation ON instances (reservation_id)",
        "ALTER TABLE vpcs ADD COLUMN engine_ref TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE subnets ADD COLUMN engine_ref TEXT NOT NULL DEFAULT ''",
        # A network that the engine has is the default one of many accounts.
        "DROP INDEX vpcs_default_cidr",
        """CREATE UNIQUE INDEX vpcs_default_cidr ON vpcs (cidr)
            WHERE is_default = 1 AND engine_ref = ''""",
        """CREATE UNIQUE INDEX vpcs_ref ON vpcs (account, engine_ref) WHERE engine_ref <> ''""",
        # Networks of an engine may have the same MACs: OpenNebula makes them of the address. The
        # groups' table is made anew with the interfaces', whose removal would empty it.
        """CREATE TABLE interfaces_2 (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            vpc_id TEXT NOT NULL REFERENCES vpcs (id),
            subnet_id TEXT NOT NULL REFERENCES subnets (id),
            mac TEXT NOT NULL,
            private_ip TEXT NOT NULL,
            created_at TEXT NOT NULL,
            instance_id TEXT REFERENCES instances (id) DEFERRABLE INITIALLY DEFERRED,
            attachment_id TEXT,
            attached_at TEXT,
            device_index INTEGER NOT NULL,
            delete_on_termination INTEGER NOT NULL CHECK (delete_on_termination IN (0, 1)),
            version INTEGER NOT NULL,
            UNIQUE (mac, subnet_id),
            UNIQUE (subnet_id, private_ip),
            UNIQUE (instance_id, device_index))""",
        "INSERT INTO interfaces_2 SELECT * FROM interfaces",
        """CREATE TABLE interface_groups_2 (
            interface_id TEXT NOT NULL REFERENCES interfaces_2 (id) ON DELETE CASCADE,
            id TEXT NOT NULL REFERENCES security_groups (id),
            name TEXT NOT NULL,
            PRIMARY KEY (interface_id, id))""",
        "INSERT INTO interface_groups_2 SELECT * FROM interface_groups",
        "DROP TABLE interface_groups",
        "DROP TABLE interfaces",
        "ALTER TABLE interfaces_2 RENAME TO interfaces",
        "ALTER TABLE interface_groups_2 RENAME TO interface_groups",
        "CREATE INDEX interfaces_of ON interfaces (account, id, version)",
        "CREATE INDEX interfaces_at ON interfaces (private_ip, vpc_id)",
        "CREATE INDEX interface_groups_by ON interface_groups (id)",
    ),
    # 3: attributes of instances
    (
        """ALTER TABLE instances ADD COLUMN disable_api_termination INTEGER NOT NULL DEFAULT 0
            CHECK (disable_api_termination IN (0, 1))""",
        """ALTER TABLE instances ADD COLUMN disable_api_stop INTEGER NOT NULL DEFAULT 0
            CHECK (disable_api_stop IN (0, 1))""",
        """ALTER TABLE instances ADD COLUMN reconnect INTEGER NOT NULL DEFAULT 0
            CHECK (reconnect IN (0, 1))""",
        """ALTER TABLE interfaces ADD COLUMN source_dest_check INTEGER NOT NULL DEFAULT 1
            CHECK (source_dest_check IN (0, 1))""",
        "ALTER TABLE accounts ADD COLUMN metadata_http_tokens TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE accounts ADD COLUMN metadata_hop_limit INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE accounts ADD COLUMN metadata_http_endpoint TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE accounts ADD COLUMN metadata_instance_tags TEXT NOT NULL DEFAULT ''",
    ),
    # 4: how long images are offered
    (
        "ALTER TABLE images ADD COLUMN deprecates_at TEXT",
        """ALTER TABLE images ADD COLUMN deprecated INTEGER NOT NULL DEFAULT 0
            CHECK (deprecated IN (0, 1))""",
        "ALTER TABLE images ADD COLUMN protection TEXT NOT NULL DEFAULT 'disabled'",
        "ALTER TABLE images ADD COLUMN protected_until TEXT",
    ),
    # 5: launch templates
    (
        """CREATE TABLE launch_templates (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            name TEXT NOT NULL,
            created_at TEXT NOT NULL,
            default_number INTEGER NOT NULL,
            latest_number INTEGER NOT NULL,
            last_number INTEGER NOT NULL,
            version INTEGER NOT NULL,
            UNIQUE (account, name))""",
        "CREATE INDEX launch_templates_of ON launch_templates (account, id, version)",
        """CREATE TABLE template_versions (
            template_id TEXT NOT NULL REFERENCES launch_templates (id) ON DELETE CASCADE,
            number INTEGER NOT NULL CHECK (number > 0),
            created_at TEXT NOT NULL,
            data TEXT NOT NULL,
            description TEXT NOT NULL,
            PRIMARY KEY (template_id, number))""",
    ),
    # 6: status checks
    (
        "ALTER TABLE instances ADD COLUMN booted_at TEXT",
        "ALTER TABLE instances ADD COLUMN system_check TEXT NOT NULL DEFAULT 'initializing'",
        "ALTER TABLE instances ADD COLUMN system_failed_at TEXT",
        "ALTER TABLE instances ADD COLUMN guest_check TEXT NOT NULL DEFAULT 'initializing'",
        "ALTER TABLE instances ADD COLUMN guest_failed_at TEXT",
    ),
    # 7: detailed monitoring
    ("ALTER TABLE instances ADD COLUMN monitoring TEXT NOT NULL DEFAULT 'disabled'",),
    # 8: hibernation
    (
        """ALTER TABLE instances ADD COLUMN hibernation INTEGER NOT NULL DEFAULT 0
            CHECK (hibernation IN (0, 1))""",
        """ALTER TABLE instances ADD COLUMN hibernating INTEGER NOT NULL DEFAULT 0
            CHECK (hibernating IN (0, 1))""",
    ),
    # 9: threads of cores. Until now each vCPU was a core.
    ("ALTER TABLE instances ADD COLUMN threads_per_core INTEGER NOT NULL DEFAULT 1",),
    # 10: boot modes
    (
        "ALTER TABLE images ADD COLUMN boot_mode TEXT",
        "ALTER TABLE instances ADD COLUMN boot_mode TEXT",
        "ALTER TABLE instances ADD COLUMN firmware TEXT NOT NULL DEFAULT 'legacy-bios'",
    ),
    # 11: images whose software asks the metadata service with tokens
    (
        """ALTER TABLE images ADD COLUMN imds_v2 INTEGER NOT NULL DEFAULT 0
            CHECK (imds_v2 IN (0, 1))""",
    ),
    # 12: when keys were used
    ("ALTER TABLE access_keys ADD COLUMN last_used_at TEXT",),
    # 13: UEFI variables of images
    ("ALTER TABLE images ADD COLUMN uefi_data TEXT NOT NULL DEFAULT ''",),
    # 14: the first launch of instances, which later ones do not forget
    (
        "ALTER TABLE instances ADD COLUMN first_launched_at TEXT",
        """UPDATE instances SET first_launched_at = coalesce(
            (SELECT min(attached_at) FROM volumes WHERE instance_id = instances.id),
            launched_at)""",
    ),
)

VERSION: Final = len(STEPS)
