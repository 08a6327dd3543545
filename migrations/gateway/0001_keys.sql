-- +goose Up

-- A projection of the events of API keys: what the log has forgotten is here.
create table keys (
    id       text collate "C" primary key,
    last_seq bigint not null, -- of its last event in RDEV_EVENTS
    doc      json   not null  -- the key as that event has it: hashes, no secrets
);

-- When keys were used last, written now and then and not with each use.
create table key_uses (
    key_id       text collate "C" primary key,
    last_used_at timestamptz not null
);

-- How far each projection has come: the sequence of the last event it holds.
create table positions (
    projection text primary key,
    seq        bigint not null
);
