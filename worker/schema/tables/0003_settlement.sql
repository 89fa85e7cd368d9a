-- What the functions of settlement hand to each other and to their callers.

-- is_new: this call made the transaction; it stands once the call has committed.
CREATE TYPE decision AS (code integer, transaction_id bigint, is_new boolean);

-- How an event stands.
CREATE TYPE settlement AS (
    state text,
    code integer,                          -- null while a cancel waits for its payout
    transaction_id bigint,                 -- with 200 and 103804; the rest of the Value follows
    cashback_id bigint,
    transaction_type integer,
    user_id text,
    amount_minor bigint,
    tax_minor bigint,
    exponent smallint,
    runs integer,
    seconds_to_cutoff double precision,    -- by this server's clock, negative once passed
    seconds_to_deadline double precision
);

-- One member of a group, as the caller asks for it; amounts are major units, null where they are no usable
-- decimals, and kind is null where the data could not be read.
CREATE TYPE group_request AS (
    event_id uuid,
    kind text,
    transaction_type integer,
    user_id text,
    amount numeric,
    tax numeric,
    hold_seconds double precision
);

-- One member of a group, as it was decided under the locks. Of a transaction, posted or to be posted, with
-- 200 and 103804 alone; 200 without a transaction_id is to be posted.
CREATE TYPE group_member AS (
    event_id uuid,
    hold_seconds double precision,
    code integer,
    transaction_id bigint,
    cashback_id bigint,
    transaction_type integer,
    account_id bigint,
    user_id text,
    exponent smallint,
    amount_minor bigint,
    tax_minor bigint
);
