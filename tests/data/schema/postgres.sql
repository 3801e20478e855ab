SELECT pg_catalog.set_config('search_path', '', false);
CREATE TABLE public.account_roles (
    tenant_id uuid NOT NULL,
    account_id uuid NOT NULL,
    role text NOT NULL,
    scope_type text NOT NULL,
    scope_id text NOT NULL,
    granted_by text NOT NULL,
    granted_at bigint NOT NULL,
    expires_at bigint
);
CREATE TABLE public.accounts (
    id uuid NOT NULL,
    tenant_id uuid,
    username text NOT NULL,
    username_key text NOT NULL,
    email text,
    password_hash text NOT NULL,
    role text NOT NULL,
    status text NOT NULL,
    epoch bigint NOT NULL,
    epoch_changed_at bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    identity_id uuid,
    email_key text,
    display_name text DEFAULT ''::text NOT NULL,
    named_id boolean DEFAULT false NOT NULL,
    source text DEFAULT 'local'::text NOT NULL,
    external_id text,
    must_change boolean DEFAULT false NOT NULL,
    suspended_by text,
    last_login_at bigint,
    version bigint DEFAULT 1 NOT NULL,
    totp_state text DEFAULT 'none'::text NOT NULL,
    totp_secret text,
    totp_pending_until bigint,
    totp_last_step bigint,
    epoch_revision bigint DEFAULT 0 NOT NULL,
    search_key text DEFAULT ''::text NOT NULL
);
CREATE TABLE public.api_keys (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    prefix text NOT NULL,
    secret_hash text NOT NULL,
    allowed_cidrs text NOT NULL,
    created_by text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    last_used_at bigint,
    last_used_ip text,
    revoked_at bigint
);
CREATE TABLE public.audit_events (
    id uuid NOT NULL,
    seq bigint,
    prev_hash bytea,
    hash bytea,
    at bigint NOT NULL,
    caller_subject text NOT NULL,
    caller_role text NOT NULL,
    caller_kind text NOT NULL,
    tenant_id uuid,
    action text NOT NULL,
    target text NOT NULL,
    outcome text NOT NULL,
    request_id text NOT NULL,
    rpc text NOT NULL,
    details text NOT NULL,
    place bigint
);
CREATE SEQUENCE public.audit_events_place
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.audit_events_place OWNED BY public.audit_events.place;
CREATE TABLE public.clusters (
    name text NOT NULL,
    service_url text,
    service_url_tls text,
    broker_service_url text,
    broker_service_url_tls text,
    proxy_service_url text,
    peer_cluster_names text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    settings text DEFAULT '{}'::text NOT NULL,
    sealed text
);
CREATE TABLE public.counters (
    name text NOT NULL,
    value bigint NOT NULL
);
CREATE TABLE public.data_keys (
    owner text NOT NULL,
    tenant_id uuid,
    wrapped text NOT NULL,
    created_at bigint NOT NULL,
    kek text,
    version bigint DEFAULT 1 NOT NULL
);
CREATE TABLE public.derived_names (
    kind text NOT NULL,
    name text NOT NULL,
    tenant_id uuid NOT NULL,
    created_at bigint NOT NULL
);
CREATE TABLE public.email_domains (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    domain text NOT NULL,
    created_at bigint NOT NULL
);
CREATE TABLE public.grants (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    identity_id uuid NOT NULL,
    role text NOT NULL,
    is_default boolean NOT NULL,
    expires_at bigint,
    created_at bigint NOT NULL
);
CREATE TABLE public.group_members (
    tenant_id uuid NOT NULL,
    group_id uuid NOT NULL,
    account_id uuid NOT NULL,
    created_at bigint NOT NULL
);
CREATE TABLE public.groups (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    name_key text NOT NULL,
    description text NOT NULL,
    source text NOT NULL,
    external_id text,
    policy_id text,
    version bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE TABLE public.idempotent_answers (
    id text NOT NULL,
    request_hash text NOT NULL,
    answer text,
    expires_at bigint NOT NULL
);
CREATE TABLE public.identities (
    id uuid NOT NULL,
    email text NOT NULL,
    email_key text NOT NULL,
    is_active boolean NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE TABLE public.key_encryption (
    id text NOT NULL,
    kek text NOT NULL,
    changed_at bigint NOT NULL,
    generation bigint NOT NULL,
    resealing boolean NOT NULL
);
CREATE TABLE public.leases (
    name text NOT NULL,
    holder text NOT NULL,
    fence bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE TABLE public.login_sessions (
    token_id text NOT NULL,
    account_id uuid NOT NULL,
    epoch bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE TABLE public.messaging_tenants (
    tenant_id uuid NOT NULL,
    admin_roles text NOT NULL,
    allowed_clusters text NOT NULL
);
CREATE TABLE public.namespaces (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    replication_clusters text NOT NULL,
    created_at bigint NOT NULL,
    policies text DEFAULT '{}'::text NOT NULL
);
CREATE TABLE public.outbox (
    id uuid NOT NULL,
    revision bigint,
    topic text NOT NULL,
    tenant_id uuid,
    key text NOT NULL,
    payload text NOT NULL,
    created_at bigint NOT NULL,
    place bigint
);
CREATE SEQUENCE public.outbox_place
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.outbox_place OWNED BY public.outbox.place;
CREATE TABLE public.recovery_codes (
    account_id uuid NOT NULL,
    code_hash text NOT NULL,
    created_at bigint NOT NULL
);
CREATE TABLE public.released_names (
    name_key text NOT NULL,
    released_at bigint NOT NULL
);
CREATE TABLE public.revoked_tokens (
    jti text NOT NULL,
    expires_at bigint NOT NULL,
    revoked_at bigint NOT NULL,
    revision bigint DEFAULT 0 NOT NULL
);
CREATE TABLE public.seaql_migrations (
    version character varying NOT NULL,
    applied_at bigint NOT NULL
);
CREATE TABLE public.tenants (
    id uuid NOT NULL,
    name text NOT NULL,
    name_key text NOT NULL,
    display_name text NOT NULL,
    status text NOT NULL,
    suspended_by text,
    version bigint NOT NULL,
    labels text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    purge_at bigint,
    list_key text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE public.warehouse_tenants (
    tenant_id uuid NOT NULL,
    auth_provider text NOT NULL,
    auth_config text NOT NULL
);
CREATE TABLE public.zerotrust_tenants (
    tenant_id uuid NOT NULL,
    plan text NOT NULL,
    overrides text NOT NULL
);
ALTER TABLE ONLY public.audit_events ALTER COLUMN place SET DEFAULT nextval('public.audit_events_place'::regclass);
ALTER TABLE ONLY public.outbox ALTER COLUMN place SET DEFAULT nextval('public.outbox_place'::regclass);
INSERT INTO public.clusters VALUES ('standalone', NULL, NULL, NULL, NULL, NULL, '[]', 1767225600000000, 1767225600000000, '{}', NULL);
INSERT INTO public.seaql_migrations VALUES ('m20260101_000001_registry', 1767225600);
INSERT INTO public.seaql_migrations VALUES ('m20260101_000002_messaging', 1767225600);
INSERT INTO public.seaql_migrations VALUES ('m20260101_000003_journal', 1767225600);
INSERT INTO public.seaql_migrations VALUES ('m20260101_000004_identity', 1767225600);
INSERT INTO public.seaql_migrations VALUES ('m20260101_000005_released_names', 1767225600);
INSERT INTO public.seaql_migrations VALUES ('m20260101_000006_lifecycle', 1767225600);
INSERT INTO public.seaql_migrations VALUES ('m20260101_000007_people', 1767225600);
INSERT INTO public.seaql_migrations VALUES ('m20260101_000008_directory', 1767225600);
INSERT INTO public.seaql_migrations VALUES ('m20260101_000010_login_sessions', 1767225600);
INSERT INTO public.seaql_migrations VALUES ('m20260101_000011_directory_indexes', 1767225600);
INSERT INTO public.seaql_migrations VALUES ('m20260101_000012_key_encryption', 1767225600);
INSERT INTO public.seaql_migrations VALUES ('m20260101_000013_revisions', 1767225600);
INSERT INTO public.seaql_migrations VALUES ('m20260101_000014_messaging_documents', 1767225600);
INSERT INTO public.seaql_migrations VALUES ('m20260101_000015_text', 1767225600);
INSERT INTO public.seaql_migrations VALUES ('m20260101_000016_list_key', 1767225600);
INSERT INTO public.seaql_migrations VALUES ('m20260101_000017_lists', 1767225600);
SELECT pg_catalog.setval('public.audit_events_place', 1, false);
SELECT pg_catalog.setval('public.outbox_place', 1, false);
ALTER TABLE ONLY public.account_roles
    ADD CONSTRAINT account_roles_pkey PRIMARY KEY (tenant_id, account_id, role, scope_type, scope_id);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (tenant_id, id);
ALTER TABLE ONLY public.audit_events
    ADD CONSTRAINT audit_events_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.clusters
    ADD CONSTRAINT clusters_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.counters
    ADD CONSTRAINT counters_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.data_keys
    ADD CONSTRAINT data_keys_pkey PRIMARY KEY (owner);
ALTER TABLE ONLY public.derived_names
    ADD CONSTRAINT derived_names_pkey PRIMARY KEY (kind, name);
ALTER TABLE ONLY public.email_domains
    ADD CONSTRAINT email_domains_pkey PRIMARY KEY (tenant_id, id);
ALTER TABLE ONLY public.grants
    ADD CONSTRAINT grants_pkey PRIMARY KEY (tenant_id, id);
ALTER TABLE ONLY public.group_members
    ADD CONSTRAINT group_members_pkey PRIMARY KEY (tenant_id, group_id, account_id);
ALTER TABLE ONLY public.groups
    ADD CONSTRAINT groups_pkey PRIMARY KEY (tenant_id, id);
ALTER TABLE ONLY public.idempotent_answers
    ADD CONSTRAINT idempotent_answers_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.identities
    ADD CONSTRAINT identities_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.key_encryption
    ADD CONSTRAINT key_encryption_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.login_sessions
    ADD CONSTRAINT login_sessions_pkey PRIMARY KEY (token_id);
ALTER TABLE ONLY public.messaging_tenants
    ADD CONSTRAINT messaging_tenants_pkey PRIMARY KEY (tenant_id);
ALTER TABLE ONLY public.namespaces
    ADD CONSTRAINT namespaces_pkey PRIMARY KEY (tenant_id, id);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.recovery_codes
    ADD CONSTRAINT recovery_codes_pkey PRIMARY KEY (account_id, code_hash);
ALTER TABLE ONLY public.released_names
    ADD CONSTRAINT released_names_pkey PRIMARY KEY (name_key);
ALTER TABLE ONLY public.revoked_tokens
    ADD CONSTRAINT revoked_tokens_pkey PRIMARY KEY (jti);
ALTER TABLE ONLY public.seaql_migrations
    ADD CONSTRAINT seaql_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.warehouse_tenants
    ADD CONSTRAINT warehouse_tenants_pkey PRIMARY KEY (tenant_id);
ALTER TABLE ONLY public.zerotrust_tenants
    ADD CONSTRAINT zerotrust_tenants_pkey PRIMARY KEY (tenant_id);
CREATE UNIQUE INDEX accounts_email_unique ON public.accounts USING btree (tenant_id, email_key) WHERE (tenant_id IS NOT NULL);
CREATE INDEX accounts_epoch_changed ON public.accounts USING btree (epoch_changed_at);
CREATE INDEX accounts_epoch_revision ON public.accounts USING btree (epoch_revision);
CREATE INDEX accounts_identity ON public.accounts USING btree (identity_id);
CREATE INDEX accounts_names ON public.accounts USING btree (tenant_id, username);
CREATE UNIQUE INDEX accounts_platform_email_unique ON public.accounts USING btree (email_key) WHERE (tenant_id IS NULL);
CREATE UNIQUE INDEX accounts_platform_username_unique ON public.accounts USING btree (username_key) WHERE (tenant_id IS NULL);
CREATE UNIQUE INDEX accounts_tenant_id_unique ON public.accounts USING btree (tenant_id, id);
CREATE UNIQUE INDEX accounts_username_unique ON public.accounts USING btree (tenant_id, username_key) WHERE (tenant_id IS NOT NULL);
CREATE UNIQUE INDEX api_keys_secret_unique ON public.api_keys USING btree (secret_hash);
CREATE UNIQUE INDEX audit_events_seq_unique ON public.audit_events USING btree (seq) WHERE (seq IS NOT NULL);
CREATE INDEX audit_events_tenant ON public.audit_events USING btree (tenant_id, id);
CREATE INDEX audit_events_unsealed ON public.audit_events USING btree (id) WHERE (seq IS NULL);
CREATE INDEX audit_events_waiting ON public.audit_events USING btree (place NULLS FIRST, id) WHERE (seq IS NULL);
CREATE INDEX data_keys_tenant_version ON public.data_keys USING btree (tenant_id, version);
CREATE UNIQUE INDEX derived_names_owner_unique ON public.derived_names USING btree (kind, tenant_id);
CREATE UNIQUE INDEX email_domains_domain_unique ON public.email_domains USING btree (tenant_id, domain);
CREATE UNIQUE INDEX grants_id_unique ON public.grants USING btree (id);
CREATE UNIQUE INDEX grants_member_unique ON public.grants USING btree (identity_id, tenant_id);
CREATE INDEX grants_of_identity ON public.grants USING btree (identity_id, id);
CREATE INDEX group_members_account ON public.group_members USING btree (tenant_id, account_id);
CREATE UNIQUE INDEX groups_name_unique ON public.groups USING btree (tenant_id, name_key);
CREATE INDEX idempotent_answers_expires ON public.idempotent_answers USING btree (expires_at);
CREATE UNIQUE INDEX identities_email_unique ON public.identities USING btree (email_key);
CREATE INDEX identities_emails ON public.identities USING btree (email_key COLLATE "C");
CREATE INDEX login_sessions_account ON public.login_sessions USING btree (account_id);
CREATE UNIQUE INDEX namespaces_name_unique ON public.namespaces USING btree (tenant_id, name);
CREATE INDEX namespaces_names ON public.namespaces USING btree (tenant_id, name COLLATE "C");
CREATE UNIQUE INDEX outbox_revision_unique ON public.outbox USING btree (revision) WHERE (revision IS NOT NULL);
CREATE INDEX outbox_unnumbered ON public.outbox USING btree (id) WHERE (revision IS NULL);
CREATE INDEX outbox_waiting ON public.outbox USING btree (place NULLS FIRST, id) WHERE (revision IS NULL);
CREATE INDEX revoked_tokens_expires ON public.revoked_tokens USING btree (expires_at);
CREATE INDEX revoked_tokens_revision ON public.revoked_tokens USING btree (revision);
CREATE INDEX revoked_tokens_revoked ON public.revoked_tokens USING btree (revoked_at);
CREATE INDEX tenants_list_key ON public.tenants USING btree (list_key, id);
CREATE UNIQUE INDEX tenants_name_key_unique ON public.tenants USING btree (name_key);
CREATE INDEX tenants_names ON public.tenants USING btree (name COLLATE "C", status);
ALTER TABLE ONLY public.account_roles
    ADD CONSTRAINT account_roles_account_fkey FOREIGN KEY (tenant_id, account_id) REFERENCES public.accounts(tenant_id, id) ON DELETE CASCADE;
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.data_keys
    ADD CONSTRAINT data_keys_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.email_domains
    ADD CONSTRAINT email_domains_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.grants
    ADD CONSTRAINT grants_identity_fkey FOREIGN KEY (identity_id) REFERENCES public.identities(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.grants
    ADD CONSTRAINT grants_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.group_members
    ADD CONSTRAINT group_members_account_fkey FOREIGN KEY (tenant_id, account_id) REFERENCES public.accounts(tenant_id, id) ON DELETE CASCADE;
ALTER TABLE ONLY public.group_members
    ADD CONSTRAINT group_members_group_fkey FOREIGN KEY (tenant_id, group_id) REFERENCES public.groups(tenant_id, id) ON DELETE CASCADE;
ALTER TABLE ONLY public.groups
    ADD CONSTRAINT groups_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.login_sessions
    ADD CONSTRAINT login_sessions_account_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.messaging_tenants
    ADD CONSTRAINT messaging_tenants_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.namespaces
    ADD CONSTRAINT namespaces_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id) ON DELETE RESTRICT;
ALTER TABLE ONLY public.recovery_codes
    ADD CONSTRAINT recovery_codes_account_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.warehouse_tenants
    ADD CONSTRAINT warehouse_tenants_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.zerotrust_tenants
    ADD CONSTRAINT zerotrust_tenants_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id) ON DELETE CASCADE;
