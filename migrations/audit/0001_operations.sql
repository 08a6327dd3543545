-- +goose Up

-- Every event of the log, of all entities, as it came.
create table operation_events (
    seq       bigint primary key,       -- of RDEV_EVENTS
    event_id  text not null,            -- ce-id; empty on what was published by hand
    entity    text not null,
    entity_id text collate "C" not null,
    type      text not null,
    project   text not null,
    actor     text not null,
    time      timestamptz not null,
    legal     boolean not null,         -- false: it could not follow the event before, and changed nothing
    -- The body. json, not jsonb, keeps it as it was written, and takes \u0000.
    data      json,
    raw       bytea,                    -- instead of data, where that is no JSON
    headers   json not null,
    check ((data is null) <> (raw is null))
);
create index operation_events_entity on operation_events (entity_id, seq);

-- Every operation as its last legal event left it: a fold of operation_events.
create table operations (
    id               text collate "C" primary key,
    kind             text not null,
    project          text not null,
    state            text not null,
    rev              integer not null,
    attempt          integer not null,
    cancel_requested boolean not null,
    actor            text not null,
    created_at       timestamptz not null,
    finished_at      timestamptz,
    last_seq         bigint not null,
    doc              json not null
);
create index operations_newest on operations (created_at, id);
create index operations_project on operations (project, created_at, id);
create index operations_open on operations (state, created_at, id) where state in ('pending', 'running');

-- How far the tables have come; changed in the same transaction as they.
create table projection (
    name text primary key,
    seq  bigint not null
);
insert into projection (name, seq) values ('operations', 0);
