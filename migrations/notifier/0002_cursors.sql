-- +goose Up

-- An endpoint is a cursor over the log: what comes after it is still to be sent, in
-- order. Deliveries are what was tried.
alter table endpoints
    add column name                text,                         -- unique, where it has one
    add column headers             jsonb       not null default '{}',
    add column rate                integer     not null default 0, -- requests in a second, 0 for no limit
    add column retry_client_errors boolean     not null default false,
    add column enabled             boolean     not null default true,
    add column disabled_reason     text        not null default '',
    add column enabled_at          timestamptz not null default now(), -- when it was last
    add column updated_at          timestamptz not null default now(),
    add column deleted             boolean     not null default false, -- until the log knows
    add column old_secret          text        not null default '',
    add column old_secret_until    timestamptz,
    add column rotated_by          text        not null default '', -- the request that did it last
    add column cursor              bigint      not null default 0, -- events up to it are settled
    add column prev_seq            bigint      not null default 0, -- of the last that was sent
    add column epoch               integer     not null default 0, -- counts how often it was set back
    add column failures            integer     not null default 0, -- attempts since one went well
    add column failing_since       timestamptz,
    add column next_attempt_at     timestamptz,
    add column last_error          text        not null default '',
    -- Changes that somebody asked for: how many, what the last was, how many of them
    -- the log knows, and their order among those of all endpoints.
    add column rev                 integer     not null default 1,
    add column change              text        not null default 'created',
    add column announced_rev       integer     not null default 0,
    add column change_seq          bigint      not null default 0;

-- The last change of any. Whoever makes one holds its row until the end of the
-- transaction: changes are committed in their order.
create table endpoint_changes (seq bigint not null);
insert into endpoint_changes select count(*) from endpoints;

-- What was planned before there were cursors is sent from the first that is open.
update endpoints e set
    updated_at = e.created_at, announced_rev = 1, change_seq = n.n,
    cursor = coalesce((select min(seq) - 1 from deliveries d where d.endpoint = e.id and d.status = 'pending'),
                      (select max(seq) from deliveries d where d.endpoint = e.id), e.after_seq),
    prev_seq = coalesce((select max(seq) from deliveries d where d.endpoint = e.id and d.status <> 'pending'), 0)
from (select id, row_number() over (order by id) as n from endpoints) as n where n.id = e.id;

alter table endpoints drop column after_seq;
create unique index endpoints_named on endpoints (name) where not deleted;
create unique index endpoints_changed on endpoints (change_seq);
create index endpoints_unannounced on endpoints (id) where announced_rev < rev;

-- To look the endpoint up for each of its rows costs a fifth of what storing them does:
-- who deletes an endpoint deletes its deliveries.
alter table deliveries drop constraint deliveries_endpoint_fkey;
delete from deliveries where status = 'pending' and attempts = '[]';
-- They come in the order of the log, so that each endpoint's are appended to the index.
alter table deliveries drop constraint deliveries_pkey;
alter table deliveries add primary key (endpoint, seq);
drop index deliveries_listed;
alter table deliveries add column at timestamptz not null default now(); -- of the last attempt
create index deliveries_unsettled on deliveries (endpoint, status, seq desc) where status <> 'delivered'; -- nearly all are
create index deliveries_aged on deliveries using brin (at); -- they come in that order

-- Deliveries that somebody wants to be made again.
create table redeliveries (
    endpoint text   not null,
    seq      bigint not null,
    primary key (endpoint, seq),
    foreign key (endpoint, seq) references deliveries (endpoint, seq) on delete cascade
);
