BEGIN TRANSACTION;
CREATE TABLE access_keys (
            access_key TEXT NOT NULL PRIMARY KEY CHECK (access_key <> ''),
            account TEXT NOT NULL REFERENCES accounts (number),
            sealed BLOB NOT NULL,
            created_at TEXT NOT NULL,
            enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)), is_password INTEGER NOT NULL DEFAULT 0
            CHECK (is_password IN (0, 1)), last_used_at TEXT);
INSERT INTO "access_keys" VALUES('AKIAIOSFODNN7EXAMPLE','740281935566',X'0125B216EE8BBB989DDC46D3BDFD3A9D8710A0C07DF20179AB6F1853C89818D9DB05B45D3CBBB541D712A6C38929E46657A870BC487FC2641469A11A6D36FCECB47A7B5BC59DE1C53F','2026-11-23T16:00:00.123456Z',1,0,NULL);
CREATE TABLE accounts (
            number TEXT NOT NULL PRIMARY KEY CHECK (length(number) = 12),
            name TEXT NOT NULL UNIQUE CHECK (name <> ''),
            created_at TEXT NOT NULL,
            enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)), engine_ref TEXT NOT NULL DEFAULT '', group_refs TEXT NOT NULL DEFAULT '', limit_instances INTEGER, limit_vcpus INTEGER, limit_memory_mib INTEGER, limit_images INTEGER, limit_storage_gib INTEGER, metadata_http_tokens TEXT NOT NULL DEFAULT '', metadata_hop_limit INTEGER NOT NULL DEFAULT 0, metadata_http_endpoint TEXT NOT NULL DEFAULT '', metadata_instance_tags TEXT NOT NULL DEFAULT '');
INSERT INTO "accounts" VALUES('740281935566','helen','2026-11-23T16:00:00.123456Z',1,'','',NULL,NULL,NULL,NULL,NULL,'',0,'','');
INSERT INTO "accounts" VALUES('102938475610','john','2026-11-23T16:00:00.123456Z',1,'','',NULL,NULL,NULL,NULL,NULL,'',0,'','');
CREATE TABLE counters (prefix TEXT NOT NULL PRIMARY KEY, last INTEGER NOT NULL);
INSERT INTO "counters" VALUES('i',2);
CREATE TABLE image_shares (
            image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
            grantee TEXT NOT NULL CHECK (grantee <> ''),
            PRIMARY KEY (image_id, grantee));
CREATE TABLE "images" (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            name TEXT NOT NULL,
            location TEXT NOT NULL,
            disk_format TEXT NOT NULL CHECK (disk_format IN ('raw', 'qcow2')),
            size_bytes INTEGER NOT NULL CHECK (size_bytes > 0),
            created_at TEXT NOT NULL,
            registered INTEGER NOT NULL CHECK (registered IN (0, 1)),
            state TEXT NOT NULL CHECK (state IN ('pending','available','invalid','deregistered','transient','failed','error','disabled')),
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
            version INTEGER NOT NULL, deprecates_at TEXT, deprecated INTEGER NOT NULL DEFAULT 0
            CHECK (deprecated IN (0, 1)), protection TEXT NOT NULL DEFAULT 'disabled', protected_until TEXT, boot_mode TEXT, imds_v2 INTEGER NOT NULL DEFAULT 0
            CHECK (imds_v2 IN (0, 1)), uefi_data TEXT NOT NULL DEFAULT '');
INSERT INTO "images" VALUES('ami-00000001','740281935566','name of ami-00000001','0123456789abcdef0123456789abcdef','qcow2',1099511627776,'2026-11-23T16:00:00.123456Z',1,'available',0,'Ünïcödé <&> ''quoted''','x86_64','/dev/vda','','','',0,'','','','',0,NULL,'',1,NULL,0,'disabled',NULL,NULL,0,'');
CREATE TABLE instance_types (
            owner TEXT NOT NULL,
            name TEXT NOT NULL CHECK (name <> ''),
            vcpus INTEGER NOT NULL CHECK (vcpus > 0),
            memory_mib INTEGER NOT NULL CHECK (memory_mib > 0),
            engine_ref TEXT NOT NULL,
            PRIMARY KEY (owner, name));
CREATE TABLE instances (
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
            state TEXT NOT NULL CHECK (state IN ('pending','running','shutting-down','terminated','stopping','stopped')),
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
            user_data BLOB, at_least INTEGER NOT NULL DEFAULT 1, vcpus INTEGER NOT NULL DEFAULT 0, memory_mib INTEGER NOT NULL DEFAULT 0, adopted INTEGER NOT NULL DEFAULT 0
            CHECK (adopted IN (0, 1)), disable_api_termination INTEGER NOT NULL DEFAULT 0
            CHECK (disable_api_termination IN (0, 1)), disable_api_stop INTEGER NOT NULL DEFAULT 0
            CHECK (disable_api_stop IN (0, 1)), reconnect INTEGER NOT NULL DEFAULT 0
            CHECK (reconnect IN (0, 1)), booted_at TEXT, system_check TEXT NOT NULL DEFAULT 'initializing', system_failed_at TEXT, guest_check TEXT NOT NULL DEFAULT 'initializing', guest_failed_at TEXT, monitoring TEXT NOT NULL DEFAULT 'disabled', hibernation INTEGER NOT NULL DEFAULT 0
            CHECK (hibernation IN (0, 1)), hibernating INTEGER NOT NULL DEFAULT 0
            CHECK (hibernating IN (0, 1)), threads_per_core INTEGER NOT NULL DEFAULT 1, boot_mode TEXT, firmware TEXT NOT NULL DEFAULT 'legacy-bios', first_launched_at TEXT);
INSERT INTO "instances" VALUES('i-00000001','740281935566','r-00000001',0,'ami-00000001','0123456789abcdef0123456789abcdef','m1.small','vpc-00000001','subnet-00000001','us-east-1a','2026-11-23T16:00:00.123456Z','pending','','','',NULL,NULL,'','stop','optional',1,'enabled','disabled','x86_64','/dev/sda1',1,NULL,0,0,0,'','',0,NULL,'',NULL,0,4,NULL,1,0,0,0,0,0,0,NULL,'initializing',NULL,'initializing',NULL,'disabled',0,0,1,NULL,'legacy-bios','2026-11-23T16:00:00.123456Z');
INSERT INTO "instances" VALUES('i-00000002','740281935566','r-00000001',3,'ami-00000001','0123456789abcdef0123456789abcdef','m1.small','vpc-00000001','subnet-00000001','us-east-1a','2026-11-23T16:00:00.123456Z','stopping','Client.UserInitiatedShutdown','Client…: stop','User initiated (2026-11-23 16:00:00 GMT)','mykey','ssh-ed25519 AAAA mykey','a-token','terminate','required',5,'disabled','enabled','arm64','/dev/vda',7,'2026-11-23T16:00:01.123456Z',1,3,2,'one-17','127.0.0.1:2222',4,'2026-11-23T16:00:02.123456Z','no space left','2026-11-23T16:00:03.123456Z',0,1,X'00FF23212F62696E2F7368',1,0,0,0,0,0,0,NULL,'initializing',NULL,'initializing',NULL,'disabled',0,0,1,NULL,'legacy-bios','2026-11-23T16:00:00.123456Z');
CREATE TABLE "interface_groups" (
            interface_id TEXT NOT NULL REFERENCES "interfaces" (id) ON DELETE CASCADE,
            id TEXT NOT NULL REFERENCES security_groups (id),
            name TEXT NOT NULL,
            PRIMARY KEY (interface_id, id));
INSERT INTO "interface_groups" VALUES('eni-00000001','sg-00000001','default');
CREATE TABLE "interfaces" (
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
            version INTEGER NOT NULL, source_dest_check INTEGER NOT NULL DEFAULT 1
            CHECK (source_dest_check IN (0, 1)),
            UNIQUE (mac, subnet_id),
            UNIQUE (subnet_id, private_ip),
            UNIQUE (instance_id, device_index));
INSERT INTO "interfaces" VALUES('eni-00000001','740281935566','vpc-00000001','subnet-00000001','02:00:00:00:00:01','172.31.0.1','2026-11-23T16:00:00.123456Z','i-00000001',NULL,'2026-11-23T16:00:00.123456Z',0,1,1,1);
CREATE TABLE key_pairs (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            name TEXT NOT NULL CHECK (name <> ''),
            type TEXT NOT NULL CHECK (type IN ('rsa', 'ed25519')),
            fingerprint TEXT NOT NULL,
            public_key TEXT NOT NULL,
            created_at TEXT NOT NULL,
            version INTEGER NOT NULL,
            UNIQUE (account, name));
INSERT INTO "key_pairs" VALUES('key-00000001','740281935566','name of key-00000001','ed25519','xyz=','ssh-ed25519 AAAA me','2026-11-23T16:00:00.123456Z',1);
CREATE TABLE launch_templates (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            name TEXT NOT NULL,
            created_at TEXT NOT NULL,
            default_number INTEGER NOT NULL,
            latest_number INTEGER NOT NULL,
            last_number INTEGER NOT NULL,
            version INTEGER NOT NULL,
            UNIQUE (account, name));
INSERT INTO "launch_templates" VALUES('lt-00000001','740281935566','name-of-lt-00000001','2026-11-23T16:00:00.123456Z',2,3,5,1);
CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL);
INSERT INTO "meta" VALUES('schema_version',X'3134');
INSERT INTO "meta" VALUES('triggers',X'69FD8A8225C250E5799437DB60F365F232501532D7D7F4A177F1119B94D57DEE');
INSERT INTO "meta" VALUES('key_mark',X'01098A009A3ED3E7F7016D315586DD3E74A90C6FF37B267E73F42F2C5A7B5CFD3E3151FDED28F851F5082621510CAFEF104AFDC8ACBF37072A9C46');
CREATE TABLE security_groups (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            vpc_id TEXT NOT NULL REFERENCES vpcs (id),
            name TEXT NOT NULL CHECK (name <> ''),
            description TEXT NOT NULL,
            created_at TEXT NOT NULL,
            version INTEGER NOT NULL,
            UNIQUE (vpc_id, name));
INSERT INTO "security_groups" VALUES('sg-00000001','740281935566','vpc-00000001','default','default VPC security group','2026-11-23T16:00:00.123456Z',1);
CREATE TABLE subnets (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            vpc_id TEXT NOT NULL REFERENCES vpcs (id),
            cidr TEXT NOT NULL,
            zone TEXT NOT NULL,
            is_default INTEGER NOT NULL CHECK (is_default IN (0, 1)),
            created_at TEXT NOT NULL,
            version INTEGER NOT NULL, engine_ref TEXT NOT NULL DEFAULT '',
            UNIQUE (vpc_id, cidr));
INSERT INTO "subnets" VALUES('subnet-00000001','740281935566','vpc-00000001','172.31.0.0/20','us-east-1a',1,'2026-11-23T16:00:00.123456Z',1,'');
CREATE TABLE tags (
            resource_id TEXT NOT NULL,
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            resource_type TEXT NOT NULL,
            account TEXT NOT NULL REFERENCES accounts (number),
            PRIMARY KEY (resource_id, key));
INSERT INTO "tags" VALUES('i-00000001','Name','it''s','instance','740281935566');
CREATE TABLE template_versions (
            template_id TEXT NOT NULL REFERENCES launch_templates (id) ON DELETE CASCADE,
            number INTEGER NOT NULL CHECK (number > 0),
            created_at TEXT NOT NULL,
            data TEXT NOT NULL,
            description TEXT NOT NULL,
            PRIMARY KEY (template_id, number));
INSERT INTO "template_versions" VALUES('lt-00000001',2,'2026-11-23T16:00:02.123456Z','{"ImageId":"ami-00000001","KeyName":"\u00dcn\u00efc\u00f6d\u00e9 <&> ''quoted''"}','number 2');
CREATE TABLE tokens (
            account TEXT NOT NULL REFERENCES accounts (number),
            action TEXT NOT NULL,
            token TEXT NOT NULL,
            digest TEXT NOT NULL,
            answer BLOB NOT NULL,
            created_at TEXT NOT NULL,
            PRIMARY KEY (account, action, token));
INSERT INTO "tokens" VALUES('740281935566','RunInstances','t','d',X'00616E73776572','2026-11-23T16:00:00.123456Z');
CREATE TABLE volumes (
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
            UNIQUE (instance_id, device));
INSERT INTO "volumes" VALUES('vol-00000001','740281935566',8,'us-east-1a','in-use','2026-11-23T16:00:00.123456Z','ami-00000001','gp2','i-00000001','/dev/sda1','2026-11-23T16:00:00.123456Z',0,1);
CREATE TABLE vpcs (
            id TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL REFERENCES accounts (number),
            cidr TEXT NOT NULL,
            is_default INTEGER NOT NULL CHECK (is_default IN (0, 1)),
            created_at TEXT NOT NULL,
            version INTEGER NOT NULL, engine_ref TEXT NOT NULL DEFAULT '');
INSERT INTO "vpcs" VALUES('vpc-00000001','740281935566','172.31.0.0/16',1,'2026-11-23T16:00:00.123456Z',1,'');
CREATE INDEX access_keys_of ON access_keys (account);
CREATE INDEX key_pairs_of ON key_pairs (account, id, version);
CREATE INDEX vpcs_of ON vpcs (account, id, version);
CREATE UNIQUE INDEX vpcs_default ON vpcs (account) WHERE is_default = 1;
CREATE INDEX subnets_of ON subnets (account, id, version);
CREATE UNIQUE INDEX subnets_default ON subnets (vpc_id, zone) WHERE is_default = 1;
CREATE INDEX security_groups_of ON security_groups (account, id, version);
CREATE INDEX instances_of ON instances (account, id, version, reservation_id);
CREATE INDEX instances_unsettled ON instances (id) WHERE settled = 0;
CREATE INDEX instances_live ON instances (id) WHERE state <> 'terminated';
CREATE INDEX instances_terminated ON instances (terminated_at) WHERE state = 'terminated';
CREATE INDEX volumes_of ON volumes (account, id, version);
CREATE INDEX tags_by_value ON tags (account, key, value, resource_type, resource_id);
CREATE INDEX tags_of ON tags (account, resource_id, key, value, resource_type);
CREATE INDEX tokens_old ON tokens (created_at);
CREATE UNIQUE INDEX accounts_ref ON accounts (engine_ref) WHERE engine_ref <> '';
CREATE INDEX images_of ON images (account, id, version);
CREATE UNIQUE INDEX images_name ON images (account, name)
            WHERE state IN ('available', 'pending');
CREATE INDEX images_public ON images (id) WHERE public = 1;
CREATE INDEX images_at ON images (location);
CREATE INDEX images_ref ON images (engine_ref) WHERE engine_ref <> '';
CREATE INDEX image_shares_with ON image_shares (grantee, image_id);
CREATE INDEX instances_ref ON instances (engine_ref) WHERE engine_ref <> '';
CREATE INDEX instances_reservation ON instances (reservation_id);
CREATE UNIQUE INDEX vpcs_default_cidr ON vpcs (cidr)
            WHERE is_default = 1 AND engine_ref = '';
CREATE UNIQUE INDEX vpcs_ref ON vpcs (account, engine_ref) WHERE engine_ref <> '';
CREATE INDEX interfaces_of ON interfaces (account, id, version);
CREATE INDEX interfaces_at ON interfaces (private_ip, vpc_id);
CREATE INDEX interface_groups_by ON interface_groups (id);
CREATE INDEX launch_templates_of ON launch_templates (account, id, version);
CREATE TRIGGER version_images_tags_insert AFTER INSERT ON tags WHEN NEW.resource_type = 'image' BEGIN UPDATE images SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_images_tags_update AFTER UPDATE ON tags WHEN NEW.resource_type = 'image' BEGIN UPDATE images SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_images_tags_delete AFTER DELETE ON tags WHEN OLD.resource_type = 'image' BEGIN UPDATE images SET version = version + 1 WHERE id IN (OLD.resource_id); END;
CREATE TRIGGER version_key_pairs_tags_insert AFTER INSERT ON tags WHEN NEW.resource_type = 'key-pair' BEGIN UPDATE key_pairs SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_key_pairs_tags_update AFTER UPDATE ON tags WHEN NEW.resource_type = 'key-pair' BEGIN UPDATE key_pairs SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_key_pairs_tags_delete AFTER DELETE ON tags WHEN OLD.resource_type = 'key-pair' BEGIN UPDATE key_pairs SET version = version + 1 WHERE id IN (OLD.resource_id); END;
CREATE TRIGGER version_launch_templates_tags_insert AFTER INSERT ON tags WHEN NEW.resource_type = 'launch-template' BEGIN UPDATE launch_templates SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_launch_templates_tags_update AFTER UPDATE ON tags WHEN NEW.resource_type = 'launch-template' BEGIN UPDATE launch_templates SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_launch_templates_tags_delete AFTER DELETE ON tags WHEN OLD.resource_type = 'launch-template' BEGIN UPDATE launch_templates SET version = version + 1 WHERE id IN (OLD.resource_id); END;
CREATE TRIGGER version_vpcs_tags_insert AFTER INSERT ON tags WHEN NEW.resource_type = 'vpc' BEGIN UPDATE vpcs SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_vpcs_tags_update AFTER UPDATE ON tags WHEN NEW.resource_type = 'vpc' BEGIN UPDATE vpcs SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_vpcs_tags_delete AFTER DELETE ON tags WHEN OLD.resource_type = 'vpc' BEGIN UPDATE vpcs SET version = version + 1 WHERE id IN (OLD.resource_id); END;
CREATE TRIGGER version_subnets_tags_insert AFTER INSERT ON tags WHEN NEW.resource_type = 'subnet' BEGIN UPDATE subnets SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_subnets_tags_update AFTER UPDATE ON tags WHEN NEW.resource_type = 'subnet' BEGIN UPDATE subnets SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_subnets_tags_delete AFTER DELETE ON tags WHEN OLD.resource_type = 'subnet' BEGIN UPDATE subnets SET version = version + 1 WHERE id IN (OLD.resource_id); END;
CREATE TRIGGER version_security_groups_tags_insert AFTER INSERT ON tags WHEN NEW.resource_type = 'security-group' BEGIN UPDATE security_groups SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_security_groups_tags_update AFTER UPDATE ON tags WHEN NEW.resource_type = 'security-group' BEGIN UPDATE security_groups SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_security_groups_tags_delete AFTER DELETE ON tags WHEN OLD.resource_type = 'security-group' BEGIN UPDATE security_groups SET version = version + 1 WHERE id IN (OLD.resource_id); END;
CREATE TRIGGER version_volumes_tags_insert AFTER INSERT ON tags WHEN NEW.resource_type = 'volume' BEGIN UPDATE volumes SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_volumes_tags_update AFTER UPDATE ON tags WHEN NEW.resource_type = 'volume' BEGIN UPDATE volumes SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_volumes_tags_delete AFTER DELETE ON tags WHEN OLD.resource_type = 'volume' BEGIN UPDATE volumes SET version = version + 1 WHERE id IN (OLD.resource_id); END;
CREATE TRIGGER version_interfaces_tags_insert AFTER INSERT ON tags WHEN NEW.resource_type = 'network-interface' BEGIN UPDATE interfaces SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_interfaces_tags_update AFTER UPDATE ON tags WHEN NEW.resource_type = 'network-interface' BEGIN UPDATE interfaces SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_interfaces_tags_delete AFTER DELETE ON tags WHEN OLD.resource_type = 'network-interface' BEGIN UPDATE interfaces SET version = version + 1 WHERE id IN (OLD.resource_id); END;
CREATE TRIGGER version_instances_tags_insert AFTER INSERT ON tags WHEN NEW.resource_type = 'instance' BEGIN UPDATE instances SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_instances_tags_update AFTER UPDATE ON tags WHEN NEW.resource_type = 'instance' BEGIN UPDATE instances SET version = version + 1 WHERE id IN (NEW.resource_id); END;
CREATE TRIGGER version_instances_tags_delete AFTER DELETE ON tags WHEN OLD.resource_type = 'instance' BEGIN UPDATE instances SET version = version + 1 WHERE id IN (OLD.resource_id); END;
CREATE TRIGGER version_instances_interfaces_insert AFTER INSERT ON interfaces BEGIN UPDATE instances SET version = version + 1 WHERE id IN (NEW.instance_id); END;
CREATE TRIGGER version_instances_interfaces_update AFTER UPDATE ON interfaces BEGIN UPDATE instances SET version = version + 1 WHERE id IN (OLD.instance_id, NEW.instance_id); END;
CREATE TRIGGER version_instances_interfaces_delete AFTER DELETE ON interfaces BEGIN UPDATE instances SET version = version + 1 WHERE id IN (OLD.instance_id); END;
CREATE TRIGGER version_instances_volumes_insert AFTER INSERT ON volumes BEGIN UPDATE instances SET version = version + 1 WHERE id IN (NEW.instance_id); END;
CREATE TRIGGER version_instances_volumes_update AFTER UPDATE ON volumes BEGIN UPDATE instances SET version = version + 1 WHERE id IN (OLD.instance_id, NEW.instance_id); END;
CREATE TRIGGER version_instances_volumes_delete AFTER DELETE ON volumes BEGIN UPDATE instances SET version = version + 1 WHERE id IN (OLD.instance_id); END;
COMMIT;
