-- The intake is closed and opened by people; receivers ask how it stands. Decision 52.

-- Close it for p_seconds from now, up to a day, whatever stood before. Returns until when.
CREATE OR REPLACE FUNCTION pause_intake(p_person text, p_reason text, p_seconds double precision) RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
    v_before intake;
    v_after intake;
    v_now timestamptz := clock_timestamp();
BEGIN
    IF coalesce(p_reason, '') = '' THEN
        RAISE EXCEPTION 'a pause needs a reason' USING ERRCODE = 'invalid_parameter_value';
    ELSIF (p_seconds BETWEEN 1 AND 86400) IS NOT TRUE THEN
        RAISE EXCEPTION 'a pause lasts from 1 s to 24 h' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT * INTO STRICT v_before FROM intake WHERE is_only FOR UPDATE;
    UPDATE intake
    SET paused_until = v_now + make_interval(secs => p_seconds), changed_at = v_now, person = p_person, reason = p_reason
    WHERE is_only
    RETURNING * INTO v_after;
    PERFORM note_action('intake.pause', 'intake', p_person, p_reason,
        jsonb_build_object('paused_until', v_before.paused_until), jsonb_build_object('paused_until', v_after.paused_until));
    RETURN v_after.paused_until;
END $$;

-- Open it; true if it was closed, or else nothing is changed and nothing noted.
CREATE OR REPLACE FUNCTION resume_intake(p_person text, p_reason text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_before intake;
BEGIN
    IF coalesce(p_reason, '') = '' THEN
        RAISE EXCEPTION 'to resume needs a reason' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT * INTO STRICT v_before FROM intake WHERE is_only FOR UPDATE;
    IF (v_before.paused_until > clock_timestamp()) IS NOT TRUE THEN
        RETURN false;
    END IF;
    UPDATE intake SET paused_until = NULL, changed_at = clock_timestamp(), person = p_person, reason = p_reason
    WHERE is_only;
    PERFORM note_action('intake.resume', 'intake', p_person, p_reason,
        jsonb_build_object('paused_until', v_before.paused_until), jsonb_build_object('paused_until', NULL));
    RETURN true;
END $$;

-- How it stands: for how much longer it is closed, by this server's clock, and who closed or opened it last. No row: it is not
-- known.
CREATE OR REPLACE FUNCTION intake_state() RETURNS TABLE (
    paused_until timestamptz, seconds_left double precision, person text, reason text
) LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT intake.paused_until,
        coalesce(greatest(0, extract(epoch FROM intake.paused_until - clock_timestamp())), 0)::double precision,
        intake.person, intake.reason
    FROM intake WHERE is_only
$$;
