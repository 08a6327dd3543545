-- The database rdev, the role that migrates it, and a role for each service that
-- keeps tables. What a service may do in its schema it is granted by who migrates it:
-- read and write, and change nothing of it (libs/database/roles.go).
\getenv migrate PASSWORD_MIGRATE
\getenv audit PASSWORD_AUDIT
\getenv gateway PASSWORD_GATEWAY
\getenv notifier PASSWORD_NOTIFIER
\getenv provisioner PASSWORD_PROVISIONER

select format('create role %I login', name)
from unnest(array['rdev_migrate', 'rdev_audit', 'rdev_gateway', 'rdev_notifier', 'rdev_provisioner']) as name
where not exists (select from pg_roles where rolname = name) \gexec

alter role rdev_migrate password :'migrate';
alter role rdev_audit password :'audit';
alter role rdev_gateway password :'gateway';
alter role rdev_notifier password :'notifier';
alter role rdev_provisioner password :'provisioner';

select 'create database rdev owner rdev_migrate'
where not exists (select from pg_database where datname = 'rdev') \gexec

\connect rdev
revoke all on database rdev from public;
revoke all on schema public from public;

select format(statement, schema, 'rdev_' || schema)
from unnest(array['audit', 'gateway', 'notifier', 'provisioner']) as schema,
  unnest(array[
    'create schema if not exists %1$I authorization rdev_migrate',
    'grant connect on database rdev to %2$I'
  ]) with ordinality as statements(statement, place)
order by schema, place \gexec
