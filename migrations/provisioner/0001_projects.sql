-- +goose Up

-- A projection of the events of projects: it can be emptied and filled again.
create table projects (
    slug       text collate "C" primary key,
    state      text        not null, -- ready, deleting, deleted
    template   text        not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    last_seq   bigint      not null, -- of its last event in RDEV_EVENTS
    doc        json        not null  -- the project as that event has it
);

create index projects_listed on projects (slug) where state <> 'deleted';

-- How far each projection has come: the sequence of the last event it holds.
create table positions (
    projection text primary key,
    seq        bigint not null
);
