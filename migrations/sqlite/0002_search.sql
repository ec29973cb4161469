-- What finds people by a part of their name or address among a million, in the order of their names.

-- +goose Up

-- user_search has what a search looks at. Its number begins with the first characters of the name, so that the index below gives
-- matches in this order.
CREATE TABLE user_search (
    n            INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    organisation TEXT NOT NULL,
    search_key   TEXT NOT NULL
) STRICT;

-- The pieces of three characters that a search_key consists of. Its last two characters begin a piece too, filled up with line
-- breaks, so that every text in it, however short, is the beginning of one. Behind them is what tells most organisations apart:
-- a character for private use, thrice.
CREATE VIRTUAL TABLE user_gram USING fts5 (search_key, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram case_sensitive 1');

-- Which pieces there are.
CREATE VIRTUAL TABLE user_gram_term USING fts5vocab (user_gram, row);

-- +goose StatementBegin
CREATE TRIGGER user_search_added AFTER INSERT ON user_search
BEGIN
    INSERT INTO user_gram (rowid, search_key) SELECT NEW.n, NEW.search_key || char(10, 10, o, o, o)
        FROM (SELECT 983040 + (length(NEW.organisation) + 3 * coalesce(unicode(NEW.organisation), 0) + 101 * coalesce(unicode(substr(NEW.organisation, 3)), 0)
            + 1009 * coalesce(unicode(substr(NEW.organisation, -1)), 0) + 10007 * coalesce(unicode(substr(NEW.organisation, -2)), 0)) % 65521 AS o);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER user_search_removed AFTER DELETE ON user_search
BEGIN
    DELETE FROM user_gram WHERE rowid = OLD.n;
END;
-- +goose StatementEnd

-- The first number for each name: its first five bytes, as a number in hexadecimal of JSON5. Another 23 bits tell users apart.
CREATE VIEW user_search_first AS
    SELECT id, ('0x' || substr(hex(name) || '0000000000', 1, 10)) ->> '$' << 23 AS first FROM app_user;

INSERT INTO user_search (n, id, name, organisation, search_key)
    SELECT f.first + row_number() OVER (PARTITION BY f.first) - 1, u.id, u.name, u.organisation, u.search_key
    FROM app_user u JOIN user_search_first f ON f.id = u.id;

-- +goose StatementBegin
CREATE TRIGGER app_user_added AFTER INSERT ON app_user
BEGIN
    INSERT INTO user_search (n, id, name, organisation, search_key)
        SELECT coalesce((SELECT max(s.n) + 1 FROM user_search s WHERE s.n >= f.first AND s.n < f.first + (1 << 23)), f.first),
            NEW.id, NEW.name, NEW.organisation, NEW.search_key
        FROM user_search_first f WHERE f.id = NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER app_user_changed AFTER UPDATE OF id, name, organisation, search_key ON app_user
WHEN (NEW.id, NEW.name, NEW.organisation, NEW.search_key) IS NOT (OLD.id, OLD.name, OLD.organisation, OLD.search_key)
BEGIN
    DELETE FROM user_search WHERE id = OLD.id;
    INSERT INTO user_search (n, id, name, organisation, search_key)
        SELECT coalesce((SELECT max(s.n) + 1 FROM user_search s WHERE s.n >= f.first AND s.n < f.first + (1 << 23)), f.first),
            NEW.id, NEW.name, NEW.organisation, NEW.search_key
        FROM user_search_first f WHERE f.id = NEW.id;
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
