-- +goose Up

-- An operation that is held may not run before it was approved. The fold looks at it;
-- nothing was held before there was this column.
alter table operations add column held boolean not null default false;
