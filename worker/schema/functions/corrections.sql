-- What people may do to the account of a user, each on record in the audit by the transaction that does it: block and
-- unblock it, and adjust its balance.
--
-- Locks are taken in one order: the rules, which adjustments wait for each other at, then the user's account. A settlement
-- takes the account alone of these.

-- Why it is done must be said.
CREATE OR REPLACE FUNCTION require_reason(p_reason text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(trim(p_reason), '') = '' THEN
        RAISE EXCEPTION 'a reason must be given' USING ERRCODE = 'null_value_not_allowed';
    END IF;
END $$;

-- Block an account, or make it active again. Returns the status that stood before, null where the user has no account; a
-- status that stands already is left, and nothing is noted.
CREATE OR REPLACE FUNCTION set_account_status(p_user_id text, p_status text, p_person text, p_reason text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_before text;
BEGIN
    PERFORM require_reason(p_reason);
    SELECT status INTO v_before FROM accounts WHERE user_id = p_user_id FOR NO KEY UPDATE;
    IF v_before <> p_status THEN
        UPDATE accounts SET status = p_status WHERE user_id = p_user_id;
        PERFORM note_action(CASE p_status WHEN 'blocked' THEN 'accounts.block' ELSE 'accounts.unblock' END,
            p_user_id, p_person, p_reason,
            jsonb_build_object('status', v_before), jsonb_build_object('status', p_status));
    END IF;
    RETURN v_before;
END $$;

-- The rules, at which adjustments wait for each other until they commit.
CREATE OR REPLACE FUNCTION locked_rules() RETURNS correction_rules LANGUAGE plpgsql AS $$
DECLARE
    v_rules correction_rules;
BEGIN
    -- Written and not only locked: who looks at older books than those of now is refused here.
    UPDATE correction_rules SET is_only = true RETURNING * INTO v_rules;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the rules of corrections are missing: run `cashback migrate`, which writes them'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN v_rules;
END $$;

-- Adjust the balance of a user by p_amount, in major units: at once within the limits; above them it is put on record and
-- waits for a second person. p_key names it for ever.
--
-- outcome: `posted`, `asked`; `stands`, where the key has been used for the same (state says how that stands), and
-- changes nothing; or why it was refused, and nothing was changed: `no_account`, `no_amount` (zero, too large, or with more digits
-- than the currency has), `key_taken` (it names another user or amount), `overdraft`, `too_many_open`. `allowed` is what
-- the rule that held it up allows, in major units.
CREATE OR REPLACE FUNCTION adjust_account(
    p_key text, p_user_id text, p_amount numeric, p_person text, p_reason text,
    OUT outcome text, OUT state text, OUT transaction_id bigint, OUT currency text, OUT exponent smallint,
    OUT balance_minor bigint, OUT allowed numeric
) LANGUAGE plpgsql AS $$
DECLARE
    v_rules correction_rules;
    v_standing adjustments;
    v_account accounts;
    v_scale numeric;
    v_minor numeric;
    v_posted numeric;
BEGIN
    PERFORM require_reason(p_reason);
    PERFORM require_whole();
    v_rules := locked_rules();
    SELECT * INTO v_standing FROM adjustments WHERE adjustment_key = p_key;
    SELECT * INTO v_account FROM accounts WHERE user_id = p_user_id FOR NO KEY UPDATE;
    currency := v_account.currency;
    exponent := (SELECT currencies.exponent FROM currencies WHERE currencies.currency = v_account.currency);
    balance_minor := v_account.balance_minor;
    v_scale := power(10::numeric, exponent);
    v_minor := p_amount * v_scale;
    IF v_account.account_id IS NULL THEN
        outcome := 'no_account';
        RETURN;
    ELSIF v_standing.adjustment_key IS NOT NULL THEN
        outcome := CASE WHEN (v_standing.account_id, v_standing.amount_minor) = (v_account.account_id, v_minor)
            THEN 'stands' ELSE 'key_taken' END;
        state := v_standing.state;
        transaction_id := v_standing.transaction_id;
        RETURN;
    ELSIF v_minor = 0 OR abs(v_minor) >= 1e15 OR v_minor <> trunc(v_minor) THEN
        outcome := 'no_amount';
        RETURN;
    ELSIF is_overdraft(v_rules, v_account, v_minor) THEN
        outcome := 'overdraft';
        RETURN;
    END IF;

    SELECT coalesce(sum(abs(amount_minor)), 0) INTO v_posted FROM adjustments JOIN accounts USING (account_id)
    WHERE asked_by = session_user AND decided_at > clock_timestamp() - interval '24 hours'
        AND adjustments.state = 'posted' AND decided_by IS NULL AND accounts.currency = v_account.currency;
    allowed := CASE
        WHEN abs(p_amount) > v_rules.adjust_limit THEN v_rules.adjust_limit
        WHEN v_posted + abs(v_minor) > v_rules.adjust_daily_limit * v_scale
            THEN greatest(v_rules.adjust_daily_limit - v_posted / v_scale, 0)
    END;
    IF allowed IS NOT NULL AND (SELECT count(*) FROM adjustments WHERE adjustments.state = 'open') >= 1000 THEN
        outcome := 'too_many_open';
        RETURN;
    ELSIF allowed IS NOT NULL THEN
        INSERT INTO adjustments (adjustment_key, account_id, amount_minor, reason, asked_person)
        VALUES (p_key, v_account.account_id, v_minor, p_reason, p_person);
        PERFORM note_adjustment('accounts.adjust.ask', p_key, v_account, v_minor::bigint, NULL, p_person, p_reason);
        outcome := 'asked';
        state := 'open';
        RETURN;
    END IF;
    transaction_id := post_adjustment(v_account, v_minor::bigint);
    INSERT INTO adjustments
        (adjustment_key, account_id, amount_minor, state, transaction_id, reason, asked_person, decided_at)
    VALUES
        (p_key, v_account.account_id, v_minor, 'posted', transaction_id, p_reason, p_person, clock_timestamp());
    PERFORM note_adjustment('accounts.adjust', p_key, v_account, v_minor::bigint, transaction_id, p_person, p_reason);
    outcome := 'posted';
    state := 'posted';
    balance_minor := balance_minor + v_minor;
END $$;

-- Post an adjustment that waits, as a second person, or (not p_approves) let go of it for ever, as anybody.
--
-- outcome: `posted`, `rejected`; `stands`, where that was done before; or why it was refused, and nothing was changed:
-- `not_asked`, `decided` (the other way: state says which), `same_person`, `overdraft`. approver: the rule that says who
-- is a second person; asked_by and asked_person: the first one.
CREATE OR REPLACE FUNCTION decide_adjustment(
    p_key text, p_approves boolean, p_person text, p_reason text,
    OUT outcome text, OUT state text, OUT transaction_id bigint, OUT user_id text, OUT currency text,
    OUT exponent smallint, OUT amount_minor bigint, OUT balance_minor bigint, OUT approver text, OUT asked_by text, OUT asked_person text
) LANGUAGE plpgsql AS $$
DECLARE
    v_rules correction_rules;
    v_asked adjustments;
    v_account accounts;
BEGIN
    PERFORM require_reason(p_reason);
    PERFORM require_whole();
    v_rules := locked_rules();
    SELECT * INTO v_asked FROM adjustments WHERE adjustment_key = p_key;
    IF NOT FOUND THEN
        outcome := 'not_asked';
        RETURN;
    END IF;
    SELECT * INTO v_account FROM accounts WHERE account_id = v_asked.account_id FOR NO KEY UPDATE;
    state := v_asked.state;
    transaction_id := v_asked.transaction_id;
    user_id := v_account.user_id;
    currency := v_account.currency;
    exponent := (SELECT currencies.exponent FROM currencies WHERE currencies.currency = v_account.currency);
    amount_minor := v_asked.amount_minor;
    balance_minor := v_account.balance_minor;
    approver := v_rules.approver;
    asked_by := v_asked.asked_by;
    asked_person := v_asked.asked_person;
    IF state <> 'open' THEN
        outcome := CASE WHEN (state = 'posted') = p_approves THEN 'stands' ELSE 'decided' END;
        RETURN;
    ELSIF p_approves AND v_asked.asked_by = session_user
            AND (v_rules.approver = 'database_user' OR v_asked.asked_person = p_person) THEN
        outcome := 'same_person';
        RETURN;
    ELSIF p_approves AND is_overdraft(v_rules, v_account, amount_minor) THEN
        outcome := 'overdraft';
        RETURN;
    END IF;

    IF p_approves THEN
        transaction_id := post_adjustment(v_account, amount_minor);
        balance_minor := balance_minor + amount_minor;
    END IF;
    state := CASE WHEN p_approves THEN 'posted' ELSE 'rejected' END;
    outcome := state;
    UPDATE adjustments SET state = decide_adjustment.state, transaction_id = decide_adjustment.transaction_id,
        decided_at = clock_timestamp(), decided_by = session_user, decided_person = p_person
    WHERE adjustment_key = p_key;
    PERFORM note_adjustment(CASE WHEN p_approves THEN 'accounts.adjust.approve' ELSE 'accounts.adjust.reject' END,
        p_key, v_account, amount_minor, transaction_id, p_person, p_reason);
END $$;

-- Whether an adjustment would take a balance below zero, or further below, where the rules do not let it.
CREATE OR REPLACE FUNCTION is_overdraft(p_rules correction_rules, p_account accounts, p_amount_minor numeric)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT NOT p_rules.may_overdraw AND p_amount_minor < 0 AND p_account.balance_minor + p_amount_minor < 0
$$;

-- The transaction of an adjustment and its entries: what the user gets the house gives, and the other way round.
CREATE OR REPLACE FUNCTION post_adjustment(p_account accounts, p_amount_minor bigint) RETURNS bigint LANGUAGE sql AS $$
    WITH made AS (
        INSERT INTO transactions (kind, account_id, amount_minor)
        VALUES ('adjustment', p_account.account_id, p_amount_minor)
        RETURNING transactions.transaction_id
    ), entered AS (
        INSERT INTO entries (transaction_id, account_id, amount_minor)
        SELECT made.transaction_id, line.account_id, line.amount_minor
        FROM made CROSS JOIN LATERAL (
            VALUES (p_account.account_id, p_amount_minor),
                ((SELECT account_id FROM accounts WHERE kind = 'adjustment' AND currency = p_account.currency),
                    -p_amount_minor)
        ) AS line (account_id, amount_minor)
    )
    SELECT made.transaction_id FROM made
$$;

-- Put what became of an adjustment on record, under its user.
CREATE OR REPLACE FUNCTION note_adjustment(
    p_action text, p_key text, p_account accounts, p_amount_minor bigint, p_transaction_id bigint,
    p_person text, p_reason text
) RETURNS bigint LANGUAGE sql AS $$
    SELECT note_action(p_action, p_account.user_id, p_person, p_reason,
        jsonb_build_object('balance_minor', p_account.balance_minor),
        jsonb_build_object('key', p_key, 'currency', p_account.currency, 'amount_minor', p_amount_minor,
            'transaction_id', p_transaction_id,
            'balance_minor', p_account.balance_minor + CASE WHEN p_transaction_id IS NULL THEN 0 ELSE p_amount_minor END))
$$;

-- What the person at the command may do, as `cashback migrate` was told; a change is on record. For the owner alone.
CREATE OR REPLACE FUNCTION set_correction_rules(
    p_adjust_limit numeric, p_adjust_daily_limit numeric, p_approver text, p_may_overdraw boolean, p_person text
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_before correction_rules;
    v_after correction_rules := ROW(true, p_adjust_limit, p_adjust_daily_limit, p_approver, p_may_overdraw);
BEGIN
    SELECT * INTO v_before FROM correction_rules FOR UPDATE;
    IF v_before IS NOT DISTINCT FROM v_after THEN
        RETURN false;
    END IF;
    INSERT INTO correction_rules SELECT (v_after).*
    ON CONFLICT (is_only) DO UPDATE SET adjust_limit = p_adjust_limit, adjust_daily_limit = p_adjust_daily_limit,
        approver = p_approver, may_overdraw = p_may_overdraw;
    PERFORM note_action('accounts.rules', 'correction_rules', p_person, NULL,
        to_jsonb(v_before) - 'is_only', to_jsonb(v_after) - 'is_only');
    RETURN true;
END $$;
