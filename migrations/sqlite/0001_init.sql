-- Times are INTEGER milliseconds since 1970 UTC, NULL where there is none. Hashes are BLOB of 32 bytes. Lists and maps
-- are JSON TEXT. Text that is missing is ''. Rows that outlive what they name (sessions, entries) carry no foreign key.

-- +goose Up

CREATE TABLE installation (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    name           TEXT    NOT NULL, -- tells one database from another
    marker         TEXT    NOT NULL DEFAULT '', -- 'demo' where passwords are public
    minimum_schema INTEGER NOT NULL -- a program that knows less than this must not serve
) STRICT;

INSERT INTO installation (id, name, minimum_schema) VALUES (1, lower(hex(randomblob(16))), 1);

CREATE TABLE client (
    id            TEXT    PRIMARY KEY,
    name          TEXT    NOT NULL,
    public        INTEGER NOT NULL,
    exchange      INTEGER NOT NULL,
    scopes        TEXT    NOT NULL,
    resources     TEXT    NOT NULL,
    serves        TEXT    NOT NULL,
    redirect_uris TEXT    NOT NULL,
    secret_hash   BLOB,
    settings      TEXT    NOT NULL, -- JSON; of it a query asks only whether there is a backchannel_logout_uri
    created_at    INTEGER,
    deleted_at    INTEGER -- the row stays, so that the id is not free again
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_key (
    id           TEXT PRIMARY KEY,
    algorithm    TEXT NOT NULL,
    sealed       BLOB NOT NULL,
    created_at   INTEGER,
    activates_at INTEGER, -- it signs from then on
    retires_at   INTEGER, -- it verifies until then; NULL while no other is to take its place
    revoked_at   INTEGER
) STRICT;

CREATE TABLE app_user (
    id              TEXT    PRIMARY KEY,
    email           TEXT    NOT NULL,
    email_key       TEXT    UNIQUE, -- the address without case; NULL where there is none
    name            TEXT    NOT NULL,
    search_key      TEXT    NOT NULL, -- name and address without case
    organisation    TEXT    NOT NULL,
    roles           TEXT    NOT NULL,
    attributes      TEXT    NOT NULL,
    enabled         INTEGER NOT NULL,
    protected       INTEGER NOT NULL,
    password        TEXT    NOT NULL DEFAULT '',
    totp            BLOB,
    created_at      INTEGER,
    updated_at      INTEGER,
    last_sign_in_at INTEGER,
    source          TEXT NOT NULL DEFAULT '', -- who keeps the user, '' for whoever works here
    user_name       TEXT NOT NULL DEFAULT '', -- what the source calls them
    user_name_key   TEXT, -- the same without case; NULL where there is none
    external_id     TEXT NOT NULL DEFAULT '',
    disabled_by     TEXT NOT NULL DEFAULT '' -- the source that disabled the user, '' for whoever works here and while enabled
) STRICT, WITHOUT ROWID;

CREATE INDEX app_user_by_name ON app_user (name, id);
CREATE INDEX app_user_by_organisation ON app_user (organisation, name, id);
CREATE UNIQUE INDEX app_user_by_user_name ON app_user (source, user_name_key);
CREATE INDEX app_user_by_external_id ON app_user (source, external_id) WHERE external_id <> '';

-- The IDs of users who were deleted: none is given to anybody else.
CREATE TABLE user_gone (
    id      TEXT PRIMARY KEY,
    gone_at INTEGER
) STRICT;

-- Who a user is at other issuers: (iss, sub), compared byte by byte.
CREATE TABLE user_identity (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES app_user (id) ON DELETE CASCADE,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX user_identity_by_user ON user_identity (user_id, issuer);

CREATE TABLE user_group (
    user_id  TEXT    NOT NULL REFERENCES app_user (id) ON DELETE CASCADE,
    name     TEXT    NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (user_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_group_by_name ON user_group (name, user_id);

-- Who provisions users.
CREATE TABLE source (
    name                   TEXT    PRIMARY KEY,
    organisation           TEXT    NOT NULL,
    organisation_attribute TEXT    NOT NULL,
    issuer                 TEXT    NOT NULL,
    may_grant              INTEGER NOT NULL,
    may_staff              INTEGER NOT NULL,
    created_at             INTEGER,
    updated_at             INTEGER,
    removed_at             INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE source_token (
    id           TEXT    PRIMARY KEY,
    source       TEXT    NOT NULL REFERENCES source (name),
    hash         BLOB    NOT NULL UNIQUE,
    created_at   INTEGER,
    expires_at   INTEGER, -- NULL for never
    last_used_at INTEGER,
    revoked_at   INTEGER
) STRICT, WITHOUT ROWID;

-- The groups that a source keeps. Their members are in user_group, by the name.
CREATE TABLE directory_group (
    id          TEXT    PRIMARY KEY,
    source      TEXT    NOT NULL,
    name        TEXT    NOT NULL UNIQUE,
    external_id TEXT    NOT NULL,
    created_at  INTEGER,
    updated_at  INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX directory_group_by_source ON directory_group (source, name);
CREATE INDEX directory_group_by_external_id ON directory_group (source, external_id) WHERE external_id <> '';

CREATE TABLE login (
    id           TEXT PRIMARY KEY,
    cookie       BLOB NOT NULL UNIQUE,
    user_id      TEXT NOT NULL,
    auth_time    INTEGER,
    acr          TEXT NOT NULL,
    amr          TEXT NOT NULL,
    created_at   INTEGER,
    last_used_at INTEGER,
    expires_at   INTEGER,
    ended_at     INTEGER,
    upstream      TEXT NOT NULL DEFAULT '', -- the issuer by which they signed in; '' by credentials of ours
    upstream_sid  TEXT NOT NULL DEFAULT '', -- its sid
    upstream_hint BLOB -- its ID token, sealed, for its end_session_endpoint
) STRICT;

CREATE INDEX login_by_user ON login (user_id) WHERE ended_at IS NULL;
CREATE INDEX login_by_end ON login (coalesce(ended_at, expires_at));
CREATE INDEX login_by_upstream ON login (upstream, upstream_sid) WHERE ended_at IS NULL AND upstream_sid <> '';

-- What another issuer said is over, so that a sign-in which was under way when it said so is none.
CREATE TABLE upstream_end (
    upstream TEXT NOT NULL,
    what     TEXT NOT NULL, -- 'sid', 'sub', or 'sub-unnamed' for what has no sid
    value    TEXT NOT NULL,
    ended_at INTEGER,
    until_at INTEGER, -- the row says nothing after that
    PRIMARY KEY (upstream, what, value)
) STRICT, WITHOUT ROWID;

CREATE INDEX upstream_end_by_end ON upstream_end (until_at);

CREATE TABLE oauth_grant (
    id              TEXT PRIMARY KEY,
    client          TEXT NOT NULL,
    user_id         TEXT NOT NULL,
    login           TEXT NOT NULL,
    redirect_uri    TEXT NOT NULL,
    scope           TEXT NOT NULL,
    audience        TEXT NOT NULL,
    nonce           TEXT NOT NULL,
    code_hash       BLOB UNIQUE,
    code_challenge  TEXT NOT NULL,
    auth_time       INTEGER,
    acr             TEXT NOT NULL,
    amr             TEXT NOT NULL,
    created_at      INTEGER,
    code_expires_at INTEGER,
    code_used_at    INTEGER,
    jti             TEXT UNIQUE,
    issued_at       INTEGER,
    expires_at      INTEGER,
    revoked_at      INTEGER,
    jkt             TEXT NOT NULL DEFAULT '', -- the key that the code and its tokens are bound to (RFC 9449)
    family             TEXT NOT NULL DEFAULT '', -- the id of the grant whose code all else came of
    refresh_hash       BLOB UNIQUE,
    refresh_expires_at INTEGER,
    refresh_used_at    INTEGER,
    token_sub          TEXT NOT NULL DEFAULT '' -- the sub of its tokens, where that is not user_id
) STRICT;

CREATE INDEX oauth_grant_by_client ON oauth_grant (client);
CREATE INDEX oauth_grant_by_user ON oauth_grant (user_id) WHERE revoked_at IS NULL;
CREATE INDEX oauth_grant_by_login ON oauth_grant (login);
CREATE INDEX oauth_grant_by_end ON oauth_grant (coalesce(refresh_expires_at, expires_at, code_expires_at));
CREATE INDEX oauth_grant_by_family ON oauth_grant (family) WHERE family <> '';

CREATE TABLE pushed_request (
    hash       BLOB PRIMARY KEY,
    client     TEXT NOT NULL,
    form       TEXT NOT NULL, -- the parameters, as application/x-www-form-urlencoded
    created_at INTEGER,
    expires_at INTEGER,
    used_at    INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX pushed_request_by_end ON pushed_request (expires_at);

CREATE TABLE ticket (
    hash           BLOB PRIMARY KEY,
    client         TEXT NOT NULL,
    redirect_uri   TEXT NOT NULL,
    actor          TEXT NOT NULL,
    subject        TEXT NOT NULL,
    login          TEXT NOT NULL,
    mode           TEXT NOT NULL,
    scope          TEXT NOT NULL,
    resource       TEXT NOT NULL,
    duration       INTEGER NOT NULL, -- milliseconds
    reason         TEXT NOT NULL,
    ticket_number  TEXT NOT NULL,
    code_challenge TEXT NOT NULL,
    created_at     INTEGER,
    expires_at     INTEGER,
    used_at        INTEGER,
    session        TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE INDEX ticket_by_client ON ticket (client);
CREATE INDEX ticket_by_end ON ticket (expires_at);

CREATE TABLE impersonation_session (
    seq               INTEGER PRIMARY KEY AUTOINCREMENT,
    id                TEXT NOT NULL UNIQUE,
    request           TEXT NOT NULL, -- of the start, to recognise its repetition
    audit             TEXT NOT NULL,
    client            TEXT NOT NULL,
    actor             TEXT NOT NULL,
    subject           TEXT NOT NULL,
    login             TEXT NOT NULL,
    mode              TEXT NOT NULL,
    scope             TEXT NOT NULL,
    resource          TEXT NOT NULL,
    reason            TEXT NOT NULL,
    ticket_number     TEXT NOT NULL,
    via               TEXT NOT NULL,
    jti               TEXT NOT NULL,
    policy            TEXT NOT NULL,
    started_at        INTEGER,
    expires_at        INTEGER,
    last_active_at    INTEGER,
    login_expires_at  INTEGER,
    ended_at          INTEGER,
    end_reason        TEXT NOT NULL DEFAULT '',
    ended_by          TEXT NOT NULL DEFAULT '',
    before_jti        TEXT NOT NULL,
    before_scope      TEXT NOT NULL,
    before_audience   TEXT NOT NULL,
    before_left       INTEGER NOT NULL, -- milliseconds
    before_issued_at  INTEGER,
    before_expires_at INTEGER,
    actor_kind        TEXT NOT NULL DEFAULT '',
    jkt               TEXT NOT NULL DEFAULT '', -- the key that the token is bound to (RFC 9449)
    consent           TEXT NOT NULL DEFAULT '', -- the grant of the subject that it stands on
    once              TEXT NOT NULL DEFAULT '', -- what can start only once, beside a ticket
    token_sub         TEXT NOT NULL DEFAULT '', -- the sub of its token, where that is not subject
    act_iss           TEXT NOT NULL DEFAULT '', -- the act of its token, where that is not actor at our issuer
    act_sub           TEXT NOT NULL DEFAULT '',
    foreign_token     BLOB CHECK (foreign_token IS NULL OR ended_at IS NULL), -- the actor's, sealed, of the issuer who is asked about it
    heard_at          INTEGER, -- when that issuer last said that it is good; NULL where nobody is asked
    ask_at            INTEGER -- when to ask again
) STRICT;

CREATE INDEX session_by_actor ON impersonation_session (actor);
CREATE INDEX session_of_actor ON impersonation_session (actor) WHERE ended_at IS NULL;
CREATE INDEX session_by_consent ON impersonation_session (consent) WHERE consent <> '';
CREATE UNIQUE INDEX session_once ON impersonation_session (once) WHERE once <> '';
CREATE INDEX session_by_subject ON impersonation_session (subject);
CREATE INDEX session_by_client ON impersonation_session (client);
CREATE INDEX session_live ON impersonation_session (login, client) WHERE ended_at IS NULL;
CREATE INDEX session_expiring ON impersonation_session (expires_at) WHERE ended_at IS NULL;
CREATE INDEX session_idling ON impersonation_session (last_active_at) WHERE ended_at IS NULL;
CREATE INDEX session_unheard ON impersonation_session (heard_at) WHERE ended_at IS NULL AND heard_at IS NOT NULL;
CREATE INDEX session_asking ON impersonation_session (act_iss, ask_at) WHERE ask_at IS NOT NULL;

-- What people let others do in their name. One that is not revoked may be over.
CREATE TABLE consent (
    id         TEXT    PRIMARY KEY,
    subject    TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    actor_kind TEXT    NOT NULL,
    client     TEXT    NOT NULL,
    scopes     TEXT    NOT NULL,
    mode       TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    until_at   INTEGER NOT NULL,
    created_at INTEGER,
    created_by TEXT    NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX consent_living ON consent (subject, client) WHERE revoked_at IS NULL;
CREATE INDEX consent_by_actor ON consent (actor);

CREATE TABLE return_token (
    hash       BLOB PRIMARY KEY,
    session    TEXT NOT NULL REFERENCES impersonation_session (id),
    expires_at INTEGER,
    used_at    INTEGER,
    void_at    INTEGER,
    given      TEXT NOT NULL DEFAULT '' -- the id of the grant that its use gave
) STRICT, WITHOUT ROWID;

CREATE INDEX return_token_open ON return_token (session) WHERE used_at IS NULL AND void_at IS NULL;
CREATE INDEX return_token_by_end ON return_token (expires_at);

CREATE TABLE jti_seen (
    space    TEXT NOT NULL,
    value    TEXT NOT NULL,
    until_at INTEGER,
    PRIMARY KEY (space, value)
) STRICT, WITHOUT ROWID;

CREATE INDEX jti_seen_by_end ON jti_seen (until_at);

CREATE TABLE epoch (
    scope     TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    n         INTEGER NOT NULL,
    killed_at INTEGER, -- NULL once lifted
    killed_by TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    PRIMARY KEY (scope, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE authz_version (
    organisation TEXT    PRIMARY KEY,
    n            INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE policy_version (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    version    TEXT NOT NULL,
    document   BLOB NOT NULL,
    created_at INTEGER
) STRICT;

CREATE TABLE audit_entry (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    id        TEXT NOT NULL UNIQUE,
    time_at   INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    actor     TEXT NOT NULL,
    subject   TEXT NOT NULL,
    client    TEXT NOT NULL,
    session   TEXT NOT NULL,
    canonical BLOB NOT NULL,
    opening   BLOB -- NULL where nothing is personal, and once erased
) STRICT;

CREATE INDEX audit_entry_by_kind ON audit_entry (kind);
CREATE INDEX audit_entry_by_time ON audit_entry (time_at);
CREATE INDEX audit_entry_by_actor ON audit_entry (actor) WHERE actor <> '';
CREATE INDEX audit_entry_by_subject ON audit_entry (subject) WHERE subject <> '';
CREATE INDEX audit_entry_by_client ON audit_entry (client) WHERE client <> '';
CREATE INDEX audit_entry_by_session ON audit_entry (session) WHERE session <> '';

-- +goose StatementBegin
CREATE TRIGGER audit_entry_never_changes BEFORE UPDATE ON audit_entry
WHEN NEW.opening IS NOT NULL
  OR (NEW.seq, NEW.id, NEW.time_at, NEW.kind, NEW.actor, NEW.subject, NEW.client, NEW.session, NEW.canonical)
     IS NOT (OLD.seq, OLD.id, OLD.time_at, OLD.kind, OLD.actor, OLD.subject, OLD.client, OLD.session, OLD.canonical)
BEGIN
    SELECT raise(ABORT, 'an audit entry never changes; only its opening may be erased');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_entry_never_goes BEFORE DELETE ON audit_entry
BEGIN
    SELECT raise(ABORT, 'an audit entry is never deleted');
END;
-- +goose StatementEnd

CREATE TABLE outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind     TEXT NOT NULL,
    session  TEXT NOT NULL,
    actor    TEXT NOT NULL,
    subject  TEXT NOT NULL,
    client   TEXT NOT NULL,
    reason   TEXT NOT NULL,
    time_at  INTEGER
) STRICT;

CREATE INDEX outbox_to_tell ON outbox (client, position) WHERE kind IN ('session.ended', 'stream.verify');

-- How far a process of a client has heard of the outbox.
CREATE TABLE ssf_stream (
    id          TEXT    NOT NULL PRIMARY KEY,
    client      TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    description TEXT    NOT NULL,
    events      TEXT    NOT NULL,
    position    INTEGER NOT NULL, -- all until there was acknowledged
    acked       TEXT    NOT NULL, -- what was, behind it
    fresh       INTEGER NOT NULL,
    push        INTEGER NOT NULL,
    verified_at INTEGER,
    created_at  INTEGER,
    polled_at   INTEGER -- of one that is pushed, until when a server is at work with it
) STRICT;

CREATE TABLE logout_notice (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    client     TEXT    NOT NULL, -- who is to be told
    sid        TEXT    NOT NULL, -- of the session or login that ended
    created_at INTEGER NOT NULL,
    next_at    INTEGER NOT NULL -- when to try
) STRICT;

CREATE INDEX logout_notice_due ON logout_notice (next_at);
CREATE INDEX logout_notice_by_client ON logout_notice (client, next_at);

CREATE TABLE sign_in_attempt (
    key       BLOB PRIMARY KEY,
    counting  TEXT NOT NULL, -- until when each failure counts: a list of times
    locked_at INTEGER, -- until when nobody may try
    forget_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX sign_in_attempt_by_end ON sign_in_attempt (forget_at);
