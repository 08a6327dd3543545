-- +goose Up

-- Where events are sent to.
create table endpoints (
    id          text collate "C" primary key,
    url         text        not null,
    events      text[]      not null, -- operation.completed, operation.*, *
    projects    text[]      not null, -- slugs; empty for all
    description text        not null,
    secret      text        not null, -- whsec_…: deliveries are signed with it
    created_at  timestamptz not null,
    after_seq   bigint      not null  -- events up to this sequence came before it
);

-- Every event that an endpoint was to be sent.
create table deliveries (
    endpoint        text        not null references endpoints (id) on delete cascade,
    event_id        text        not null,
    seq             bigint      not null, -- of the event in RDEV_EVENTS
    prev_seq        bigint      not null, -- of the endpoint's event before it, 0 for the first
    type            text        not null, -- operation.completed
    status          text        not null default 'pending', -- pending, delivered, dead
    attempts        jsonb       not null default '[]',      -- [{at, status_code, duration_ms, error}]
    next_attempt_at timestamptz,
    primary key (endpoint, event_id)
);

create index deliveries_listed on deliveries (endpoint, seq desc);
