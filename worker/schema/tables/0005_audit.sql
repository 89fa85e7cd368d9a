-- Audit: what people have done, and what a process began with that switches a check off. One row for each action, written
-- in the transaction of the action itself, by the functions that act as the owner: no role can write, change or
-- delete one.

CREATE TABLE audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    action text NOT NULL CHECK (action ~ '^[a-z][a-z_.]{0,63}$'),
    -- What was acted on: an event id, a user id, a file, a setting.
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
    -- The one who cannot be made up: whom PostgreSQL let in, and from where.
    database_user name NOT NULL DEFAULT session_user,
    client_address inet DEFAULT inet_client_addr(),
    -- What the person says of itself, and why.
    person text NOT NULL CHECK (length(person) BETWEEN 1 AND 200),
    reason text CHECK (length(reason) BETWEEN 1 AND 500),
    before jsonb,
    after jsonb
);
CREATE INDEX audit_by_subject ON audit (subject, audit_id);
CREATE INDEX audit_by_action ON audit (action, audit_id);
COMMENT ON TABLE audit IS 'who did what, when, from where and why; append-only';

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
