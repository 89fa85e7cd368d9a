-- What the books' own checks ask.

-- Whether a cancel is of a payout of the same cashback, account and amount, and its entries the exact reverse of the
-- payout's.
CREATE OR REPLACE FUNCTION reverses_payout(p_cancel transactions) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (
            SELECT FROM transactions AS payout
            WHERE payout.transaction_id = p_cancel.reverses AND payout.kind = 'payout'
                AND (payout.cashback_id, payout.account_id, payout.amount_minor)
                    = (p_cancel.cashback_id, p_cancel.account_id, p_cancel.amount_minor))
        -- OFFSET 0: without statistics the planner would take the order of accounts from an index, and read all entries.
        AND NOT EXISTS (
            SELECT FROM (
                SELECT account_id, amount_minor FROM entries
                WHERE transaction_id IN (p_cancel.transaction_id, p_cancel.reverses) OFFSET 0
            ) AS line
            GROUP BY account_id HAVING sum(amount_minor) <> 0);
END $$;

-- Whether the entries of an adjustment are two: all of its amount for its user, against the house's account of adjustments.
CREATE OR REPLACE FUNCTION is_adjusted(p_adjustment transactions) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT count(*) = 2
        AND count(*) FILTER (WHERE entries.account_id = p_adjustment.account_id AND accounts.kind = 'user'
            AND entries.amount_minor = p_adjustment.amount_minor) = 1
        AND count(*) FILTER (WHERE accounts.kind = 'adjustment'
            AND entries.amount_minor = -p_adjustment.amount_minor) = 1
    FROM entries JOIN accounts USING (account_id)
    WHERE entries.transaction_id = p_adjustment.transaction_id
$$;
