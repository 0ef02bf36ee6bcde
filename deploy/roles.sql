-- Lets the scheduler, the worker and the sender log in as their own database role. Run it with psql as a superuser, or as the user
-- who runs `dravo migrate` if that one has CREATEROLE; before or after the migrations, and again for new passwords:
--   SCHEDULER_PASSWORD=… WORKER_PASSWORD=… SENDER_PASSWORD=… psql --file deploy/roles.sql "$DRAVO_DATABASE_URL"
-- Then DRAVO_DATABASE_URL is postgresql://dravo_scheduler:…@…/dravo for the scheduler, and so for the others.
-- The migrations stay with the owner of the tables, and so does the API: its events and the operators' page write.
\set ON_ERROR_STOP on
\getenv scheduler_password SCHEDULER_PASSWORD
\getenv worker_password WORKER_PASSWORD
\getenv sender_password SENDER_PASSWORD
SELECT format('CREATE ROLE %I', role) FROM unnest(ARRAY['dravo_scheduler', 'dravo_worker', 'dravo_sender']) AS role
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec
ALTER ROLE dravo_scheduler LOGIN PASSWORD :'scheduler_password';
SELECT current_setting('server_version_num')::int >= 160000 AND EXISTS (
       SELECT FROM pg_roles WHERE rolname = 'dravo_eraser') AS may_erase \gset
\if :may_erase
-- The scheduler runs erasures in this role; it does not inherit its rights.
GRANT dravo_eraser TO dravo_scheduler WITH INHERIT FALSE;
\endif
ALTER ROLE dravo_worker LOGIN PASSWORD :'worker_password';
\if :{?sender_password}
ALTER ROLE dravo_sender LOGIN PASSWORD :'sender_password';
\endif
