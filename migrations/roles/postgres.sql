-- Who may do what on Postgres. Three roles, none of which is more than its work needs:
--
--   the owner           made the database and runs "understudy migrate up". It alone can erase what is personal in an audit
--                       entry; nobody can change or delete one otherwise, the triggers of the schema hold the owner too.
--   understudy_app      what "understudy serve" runs as. It adds audit entries and reads them.
--   understudy_auditor  reads the audit trail and nothing of the people in it beyond that.
--
-- Run this in the database after every "understudy migrate up", as a role that may create roles and owns the tables or is
-- superuser; again is no harm, also while servers run. "understudy migrate roles" prints it. Then make the roles that sign in:
--
--   CREATE ROLE understudy LOGIN PASSWORD '...' IN ROLE understudy_app;

BEGIN; -- no server ever sees the moment between taking a right away and giving it again

DO $$ BEGIN CREATE ROLE understudy_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE understudy_auditor NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, understudy_app, understudy_auditor;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, understudy_app, understudy_auditor;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO understudy_app, understudy_auditor;

-- Which schema there is, which both need to know before they begin.
GRANT SELECT ON goose_db_version, installation TO understudy_app, understudy_auditor;

-- What is added and does not change. The trail and the outbox number their rows themselves: who could choose a number could put an entry
-- before others, or take the numbers that are to come and so keep everybody from ending anything.
GRANT SELECT, INSERT ON policy_version, signing_key TO understudy_app;
GRANT UPDATE (activates_at, retires_at, revoked_at) ON signing_key TO understudy_app;
GRANT SELECT, INSERT (id, time_at, kind, actor, subject, client, session, canonical, opening) ON audit_entry TO understudy_app;
GRANT SELECT, DELETE, INSERT (kind, session, actor, subject, client, reason, time_at) ON outbox TO understudy_app; -- what is old is swept

-- What changes and stays. The right to update is also what a row lock asks for.
GRANT SELECT, INSERT, UPDATE ON client, consent, impersonation_session, epoch, authz_version, source, source_token TO understudy_app;
GRANT UPDATE (marker) ON installation TO understudy_app;
GRANT SELECT, INSERT ON user_gone TO understudy_app;

-- What is deleted or swept.
GRANT SELECT, INSERT, UPDATE, DELETE ON app_user, user_group, user_identity, directory_group, login, upstream_end, oauth_grant, pushed_request, ticket, return_token, jti_seen, logout_notice, ssf_stream, sign_in_attempt TO understudy_app;

GRANT SELECT ON audit_entry TO understudy_auditor;

COMMIT;
