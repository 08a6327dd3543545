-- +goose Up

-- Which host is which project's: one host has one project, in this installation.
create table hosts (
    host       text primary key,
    project    text not null,
    claimed_at timestamptz not null default now()
);
create index hosts_project on hosts (project);
