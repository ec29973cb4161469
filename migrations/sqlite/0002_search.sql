-- What finds people by a part of their name or address among a million, in the order of their names.

-- +goose Up

-- user_search has what a search looks at. Its number begins with the first two characters of the name, so that the index below
-- gives matches in this order: 21 bits and 11, a second one beyond them as the last of them. The other 31 tell users apart.
CREATE TABLE user_search (
    n            INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    organisation TEXT NOT NULL,
    search_key   TEXT NOT NULL
) STRICT;

-- The pieces of three characters that a search_key consists of. Its last two characters begin a piece too, filled up with line
-- breaks, so that every text in it, however short, is the beginning of one.
CREATE VIRTUAL TABLE user_gram USING fts5 (search_key, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram case_sensitive 1');

-- Which pieces there are.
CREATE VIRTUAL TABLE user_gram_term USING fts5vocab (user_gram, row);

-- +goose StatementBegin
CREATE TRIGGER user_search_added AFTER INSERT ON user_search
BEGIN
    INSERT INTO user_gram (rowid, search_key) VALUES (NEW.n, NEW.search_key || char(10, 10));
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER user_search_removed AFTER DELETE ON user_search
BEGIN
    DELETE FROM user_gram WHERE rowid = OLD.n;
END;
-- +goose StatementEnd

INSERT INTO user_search (n, id, name, organisation, search_key)
    SELECT first + row_number() OVER (PARTITION BY first) - 1, id, name, organisation, search_key
    FROM (SELECT (coalesce(unicode(name), 0) << 42) + (min(coalesce(unicode(substr(name, 2)), 0), 2047) << 31) AS first, * FROM app_user);

-- +goose StatementBegin
CREATE TRIGGER app_user_added AFTER INSERT ON app_user
BEGIN
    INSERT INTO user_search (n, id, name, organisation, search_key)
        SELECT coalesce((SELECT max(s.n) + 1 FROM user_search s WHERE s.n >= first AND s.n < first + (1 << 31)), first), NEW.id, NEW.name, NEW.organisation, NEW.search_key
        FROM (SELECT (coalesce(unicode(NEW.name), 0) << 42) + (min(coalesce(unicode(substr(NEW.name, 2)), 0), 2047) << 31) AS first);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER app_user_changed AFTER UPDATE OF id, name, organisation, search_key ON app_user
WHEN (NEW.id, NEW.name, NEW.organisation, NEW.search_key) IS NOT (OLD.id, OLD.name, OLD.organisation, OLD.search_key)
BEGIN
    DELETE FROM user_search WHERE id = OLD.id;
    INSERT INTO user_search (n, id, name, organisation, search_key)
        SELECT coalesce((SELECT max(s.n) + 1 FROM user_search s WHERE s.n >= first AND s.n < first + (1 << 31)), first), NEW.id, NEW.name, NEW.organisation, NEW.search_key
        FROM (SELECT (coalesce(unicode(NEW.name), 0) << 42) + (min(coalesce(unicode(substr(NEW.name, 2)), 0), 2047) << 31) AS first);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER app_user_removed AFTER DELETE ON app_user
BEGIN
    DELETE FROM user_search WHERE id = OLD.id;
END;
-- +goose StatementEnd

-- Those who walk through the names read nothing but these indexes.
DROP INDEX app_user_by_name;
DROP INDEX app_user_by_organisation;
CREATE INDEX app_user_by_name ON app_user (name, id, search_key);
CREATE INDEX app_user_by_organisation ON app_user (organisation, name, id, search_key);
