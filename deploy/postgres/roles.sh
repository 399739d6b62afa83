#!/bin/sh
# Runs once, when the database is created: roles of the parts beside the platform. The platform's own roles are made by
# `platform-server migrate`.
set -eu
psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
    --set=exporter_password="$(cat /run/secrets/postgres_exporter_password)" \
    --set=litellm_password="$(cat /run/secrets/litellm_database_password)" <<'SQL'
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
CREATE ROLE postgres_exporter LOGIN NOSUPERUSER PASSWORD :'exporter_password' IN ROLE pg_monitor;
CREATE ROLE litellm LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'litellm_password';
CREATE DATABASE litellm OWNER litellm;
REVOKE CONNECT ON DATABASE litellm FROM PUBLIC;
-- Others than the platform's roles do not get into the platform's database.
REVOKE CONNECT ON DATABASE platform FROM PUBLIC;
GRANT CONNECT ON DATABASE platform TO postgres_exporter;
SQL
