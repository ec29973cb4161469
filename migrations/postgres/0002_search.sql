-- What finds people by a part of their name or address among a million, in the order of their names.

-- +goose Up

-- Servers may run meanwhile. Changes to users, and sign-ins, which note their time there, wait until all is built, and are refused
-- after some seconds; starts, stops and whoever else reads users wait for the moment of the DROP alone. So the new indexes come
-- first, under names of their own; and who keeps the migration from a lock for longer than readers would wait makes it fail: then
-- nothing is changed and it may be run again.
SET LOCAL lock_timeout = '2s';

-- user_grams are the pieces of three characters that key consists of, and the organisation, each behind the first character of
-- name: who looks for the first of many matches goes from letter to letter. The last two characters of key begin a piece too,
-- filled up with line breaks, so that every text in it, however short, is the beginning of one.
--
-- They are not those of pg_trgm, which knows letters and digits only, and only such as the database's locale knows; and it is an
-- extension, which some databases do not have and on others only a superuser may add.

-- +goose StatementBegin
CREATE FUNCTION user_grams(name text, organisation text, key text) RETURNS tsvector LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT array_to_tsvector(array_agg(left(name || chr(1), 1) || substr(key || E'\n\n', i, 3)) || (left(name || chr(1), 1) || chr(2) || left(organisation, 255)))
    FROM generate_series(1, length(key)) i
$$;
-- +goose StatementEnd

-- Without a list of rows yet to be put in their place: each search would have to read all of it.
CREATE INDEX app_user_by_gram ON app_user USING gin (user_grams(name, organisation, search_key)) WITH (fastupdate = off);

-- Those who walk through the names read nothing but these indexes.
CREATE INDEX app_user_by_name_2 ON app_user (name, id) INCLUDE (search_key);
CREATE INDEX app_user_by_organisation_2 ON app_user (organisation, name, id) INCLUDE (search_key);
DROP INDEX app_user_by_name, app_user_by_organisation;
ALTER INDEX app_user_by_name_2 RENAME TO app_user_by_name;
ALTER INDEX app_user_by_organisation_2 RENAME TO app_user_by_organisation;
