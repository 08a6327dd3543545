-- +goose Up

-- Who this installation is: what it makes on servers of others, as databases of projects,
-- has this id in its mark and in its name.
create table installation (
    one boolean primary key default true check (one), -- there is one row
    id  text not null
);
insert into installation (id) values (gen_random_uuid()::text);
