-- +goose Up

-- Keys that encrypt values. Each is here only as a master key wrapped it, and the
-- master keys are not here.
create table data_keys (
    id         text collate "C" primary key,   -- UUIDv7
    master_key text        not null,           -- id of the one that wraps it now
    wrapped    bytea       not null,
    sealed     integer     not null default 1, -- values that were encrypted under it, ever
    created_at timestamptz not null
);

create table credentials (
    project    text collate "C" not null,      -- slug; '' for one of the installation
    name       text collate "C" not null,      -- of an environment variable
    projects   text[]      not null,           -- slugs and patterns: who may name one of the installation
    data_key   text        not null references data_keys (id),
    nonce      bytea       not null,
    ciphertext bytea       not null,
    version    integer     not null,           -- from 1, with each value
    created_at timestamptz not null,
    updated_at timestamptz not null,
    actor      text        not null,           -- who set the value
    primary key (project, name)
);
