-- A statement of BETCORE's side is copied into a table of the session's own, to be held against the books.

-- Made by the owner, as the caller may not make tables; gone with the session. The caller fills and reads it, and no function
-- that acts as the owner ever looks into it. One row for each of the statement; the amount is in major units.
CREATE OR REPLACE FUNCTION prepare_statement() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMPORARY TABLE betcore_statement (
        line_number bigint NOT NULL,
        cashback_id bigint NOT NULL,
        transaction_type integer NOT NULL,
        user_id text,
        currency text,
        amount numeric,
        status text NOT NULL CHECK (status IN ('confirmed', 'cancelled', 'open')),
        at timestamptz
    );
    EXECUTE format('GRANT INSERT, SELECT ON betcore_statement TO %I',
        coalesce(nullif(current_setting('role'), 'none'), session_user));
END $$;
