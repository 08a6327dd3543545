-- +goose Up

-- An operation's snapshot is the body of its last legal event, operation_events.seq
-- = operations.last_seq: storing it twice was a third of all that was written.
alter table operations drop column doc;
