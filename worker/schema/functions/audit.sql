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
