-- What an administrator does once, in the database that jaxalign is to use:
--   JAXALIGN_PASSWORD=... psql "postgresql://postgres@HOST/jaxalign" -f prepare.sql
\set ON_ERROR_STOP on
\getenv password JAXALIGN_PASSWORD
CREATE EXTENSION IF NOT EXISTS vector;
-- The role of each transaction, which row-level security holds: no login, no powers.
CREATE ROLE jaxalign_rows NOLOGIN;
CREATE ROLE jaxalign LOGIN PASSWORD :'password';
GRANT jaxalign_rows TO jaxalign;
SELECT format('GRANT CREATE ON DATABASE %I TO jaxalign', current_database()) \gexec
