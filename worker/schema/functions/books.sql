-- What the books' own checks ask.

-- Whether a transaction's entries are what it says. That they balance is known by then.
CREATE OR REPLACE FUNCTION entries_fit(p_transaction transactions) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_entries bigint;
    v_to_user numeric;
    v_from_house numeric;
    v_strangers bigint;
BEGIN
    -- A scalar look-up, not a join: without statistics the planner would read all accounts for each transaction.
    SELECT count(*),
        coalesce(sum(line.amount_minor) FILTER (WHERE line.account_id = p_transaction.account_id), 0),
        coalesce(-sum(line.amount_minor) FILTER (WHERE line.kind IN ('cashback', 'opening')), 0),
        count(*) FILTER (WHERE line.account_id <> p_transaction.account_id AND line.kind = 'user')
    INTO v_entries, v_to_user, v_from_house, v_strangers
    FROM (
        SELECT account_id, amount_minor,
            (SELECT kind FROM accounts WHERE accounts.account_id = entries.account_id) AS kind
        FROM entries WHERE transaction_id = p_transaction.transaction_id
    ) AS line;

    IF v_entries = 0 OR v_strangers > 0 THEN
        RETURN false;
    ELSIF p_transaction.kind = 'payout' THEN
        -- The user gets all of it, or all but the tax.
        RETURN v_from_house = p_transaction.amount_minor
            AND v_to_user IN (p_transaction.amount_minor, p_transaction.amount_minor - p_transaction.tax_minor);
    ELSIF p_transaction.kind = 'opening' THEN
        RETURN v_from_house = p_transaction.amount_minor AND v_to_user = p_transaction.amount_minor;
    END IF;
    RETURN EXISTS (
            SELECT FROM transactions AS payout
            WHERE payout.transaction_id = p_transaction.reverses AND payout.kind = 'payout'
                AND (payout.cashback_id, payout.account_id, payout.amount_minor)
                    = (p_transaction.cashback_id, p_transaction.account_id, p_transaction.amount_minor))
        -- OFFSET 0: without statistics the planner would take the order of accounts from an index, and read all entries.
        AND NOT EXISTS (
            SELECT FROM (
                SELECT account_id, amount_minor FROM entries
                WHERE transaction_id IN (p_transaction.transaction_id, p_transaction.reverses) OFFSET 0
            ) AS line
            GROUP BY account_id HAVING sum(amount_minor) <> 0);
END $$;
