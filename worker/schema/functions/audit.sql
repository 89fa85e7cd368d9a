-- The audit, for the functions that let a person change something.

-- Put an action on record, in the transaction that does it. p_person and p_reason are what the person says; who PostgreSQL
-- has let in, and from where, the table takes down itself. Null reasons stand for actions that need none.
CREATE OR REPLACE FUNCTION note_action(
    p_action text, p_subject text, p_person text, p_reason text, p_before jsonb, p_after jsonb
) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO audit (action, subject, person, reason, before, after)
    VALUES (p_action, p_subject, p_person, nullif(p_reason, ''), p_before, p_after)
    RETURNING audit_id
$$;

-- Put an action on many subjects on record, in one statement. The arrays stand side by side.
CREATE OR REPLACE FUNCTION note_actions(
    p_action text, p_subjects text[], p_person text, p_reason text, p_before jsonb[], p_after jsonb[]
) RETURNS bigint LANGUAGE sql AS $$
    WITH noted AS (
        INSERT INTO audit (action, subject, person, reason, before, after)
        SELECT p_action, subject, p_person, nullif(p_reason, ''), before, after
        FROM unnest(p_subjects, p_before, p_after) AS acted (subject, before, after)
        RETURNING 1
    )
    SELECT count(*) FROM noted
$$;

-- Put on record that a process began with a setting that switches a check off. Returns false, and notes nothing, where this
-- database user has noted a thousand within the hour: who has its password cannot fill the audit.
CREATE OR REPLACE FUNCTION note_check_off(p_person text, p_setting text, p_value text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF p_setting !~ '^CASHBACK_[A-Z0-9_]{1,80}$' THEN
        RAISE EXCEPTION '% is no setting', quote_literal(left(p_setting, 100)) USING ERRCODE = 'invalid_parameter_value';
    ELSIF 1000 <= (
            SELECT count(*) FROM (
                SELECT happened_at FROM audit WHERE action = 'settings.check_off' AND database_user = session_user
                ORDER BY audit_id DESC LIMIT 1000
            ) AS latest WHERE happened_at > clock_timestamp() - interval '1 hour') THEN
        RETURN false;
    END IF;
    PERFORM note_action('settings.check_off', p_setting, left(p_person, 200), NULL, NULL,
        jsonb_build_object('value', left(p_value, 200)));
    RETURN true;
END $$;
