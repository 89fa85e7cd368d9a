-- The books: accounts, transactions, and append-only double entries in integer minor units.
--
-- What makes wrong books impossible rather than unlikely:
--   * entries are only ever inserted, and every INSERT must balance per transaction and come to what the
--     transaction says; a cancel's are the exact reverse of its payout's, an adjustment's are one of the user and
--     one of the house (trigger);
--   * a user's balance changes only by that same trigger, in the same statement;
--   * a house account keeps no balance, so no two credits ever wait for the same row;
--   * (CashbackId, TransactionType) is unique, and a payout is reversed at most once;
--   * at commit a transaction has entries.
--
-- Sets are checked, not rows: a trigger for each INSERT looks at all of its rows, which costs a bulk of them a tenth.
-- So currency, transaction_id and account_id carry no foreign key: the triggers ask whether what they name exists, and
-- nothing of it can ever be deleted. A foreign key would lock the row besides, and that of the house would queue credits.
-- What the triggers call stands in trigger_functions/books.sql.

CREATE TABLE currencies (
    currency char(3) PRIMARY KEY,
    exponent smallint NOT NULL CHECK (exponent BETWEEN 0 AND 4)
);
COMMENT ON TABLE currencies IS 'ISO 4217 codes and the number of digits of their minor unit';

CREATE TABLE accounts (
    account_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('user', 'cashback', 'tax', 'opening', 'adjustment')),
    user_id text UNIQUE CHECK (length(user_id) BETWEEN 1 AND 128),
    currency char(3) NOT NULL,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'blocked')),
    balance_minor bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((kind = 'user') = (user_id IS NOT NULL)),
    CHECK ((kind = 'user') = (balance_minor IS NOT NULL))
)
-- Room on each page for the next version of its accounts: a balance that changes, be it by the opening or by
-- a credit, then needs no new entry in any index.
WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
CREATE UNIQUE INDEX accounts_house ON accounts (kind, currency) WHERE kind <> 'user';
COMMENT ON COLUMN accounts.balance_minor IS 'minor units; kept for users by the trigger on entries, null for the house';

CREATE TABLE transactions (
    transaction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('payout', 'cancel', 'opening', 'adjustment')),
    cashback_id bigint CHECK (cashback_id > 0),
    transaction_type integer,
    event_id uuid,
    account_id bigint NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0 OR kind IN ('opening', 'adjustment')),
    tax_minor bigint NOT NULL DEFAULT 0 CHECK (tax_minor >= 0),
    reverses bigint REFERENCES transactions,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (cashback_id, transaction_type),
    CHECK (CASE kind
        WHEN 'opening' THEN true
        -- Nobody's event: its key and its reason are in adjustments (0007_corrections.sql).
        WHEN 'adjustment' THEN cashback_id IS NULL AND transaction_type IS NULL AND event_id IS NULL AND tax_minor = 0
        ELSE cashback_id IS NOT NULL AND transaction_type IS NOT NULL AND event_id IS NOT NULL
    END),
    CHECK (tax_minor <= amount_minor OR kind IN ('opening', 'adjustment')),
    CHECK ((kind = 'cancel') = (reverses IS NOT NULL))
)
-- Append-only, as the entries: what a vacuum has seen it freezes, and no later one has to write it again.
WITH (
    autovacuum_freeze_min_age = 0,
    autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_analyze_scale_factor = 0.02
);
-- Cancels alone: most transactions reverse nothing and need no entry in it.
CREATE UNIQUE INDEX transactions_reverses_key ON transactions (reverses) WHERE reverses IS NOT NULL;
COMMENT ON TABLE transactions IS 'what was done once and for ever, by its (CashbackId, TransactionType)';

CREATE TABLE entries (
    entry_id bigint GENERATED ALWAYS AS IDENTITY,
    transaction_id bigint NOT NULL,
    account_id bigint NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    -- One index for both: nobody asks for an entry without its transaction or its account.
    PRIMARY KEY (transaction_id, entry_id)
)
WITH (
    autovacuum_freeze_min_age = 0,
    autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_analyze_scale_factor = 0.02
);
CREATE INDEX entries_by_account ON entries (account_id, entry_id);
COMMENT ON COLUMN entries.amount_minor IS 'minor units; positive adds to the account, negative takes from it';

CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transactions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER accounts_never_deleted BEFORE DELETE OR TRUNCATE ON accounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- Another exponent would change the worth of every amount that is on record.
CREATE TRIGGER currencies_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON currencies
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER entries_balance AFTER INSERT ON entries
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION post_entries();
CREATE TRIGGER accounts_begin AFTER INSERT ON accounts
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION open_accounts();
CREATE TRIGGER accounts_guard BEFORE UPDATE ON accounts
    FOR EACH ROW EXECUTE FUNCTION guard_account();
CREATE CONSTRAINT TRIGGER transactions_have_entries AFTER INSERT ON transactions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION require_entries();

-- ISO 4217, list one; worker/domain/money.py holds the same list and a test keeps them equal.
INSERT INTO currencies (currency, exponent) VALUES
    ('AED', 2), ('AFN', 2), ('ALL', 2), ('AMD', 2), ('AOA', 2), ('ARS', 2), ('AUD', 2), ('AWG', 2),
    ('AZN', 2), ('BAM', 2), ('BBD', 2), ('BDT', 2), ('BGN', 2), ('BHD', 3), ('BIF', 0), ('BMD', 2),
    ('BND', 2), ('BOB', 2), ('BRL', 2), ('BSD', 2), ('BTN', 2), ('BWP', 2), ('BYN', 2), ('BZD', 2),
    ('CAD', 2), ('CDF', 2), ('CHE', 2), ('CHF', 2), ('CHW', 2), ('CLF', 4), ('CLP', 0), ('CNY', 2),
    ('COP', 2), ('COU', 2), ('CRC', 2), ('CUP', 2), ('CVE', 2), ('CZK', 2), ('DJF', 0), ('DKK', 2),
    ('DOP', 2), ('DZD', 2), ('EGP', 2), ('ERN', 2), ('ETB', 2), ('EUR', 2), ('FJD', 2), ('FKP', 2),
    ('GBP', 2), ('GEL', 2), ('GHS', 2), ('GIP', 2), ('GMD', 2), ('GNF', 0), ('GTQ', 2), ('GYD', 2),
    ('HKD', 2), ('HNL', 2), ('HTG', 2), ('HUF', 2), ('IDR', 2), ('ILS', 2), ('INR', 2), ('IQD', 3),
    ('IRR', 2), ('ISK', 0), ('JMD', 2), ('JOD', 3), ('JPY', 0), ('KES', 2), ('KGS', 2), ('KHR', 2),
    ('KMF', 0), ('KPW', 2), ('KRW', 0), ('KWD', 3), ('KYD', 2), ('KZT', 2), ('LAK', 2), ('LBP', 2),
    ('LKR', 2), ('LRD', 2), ('LSL', 2), ('LYD', 3), ('MAD', 2), ('MDL', 2), ('MGA', 2), ('MKD', 2),
    ('MMK', 2), ('MNT', 2), ('MOP', 2), ('MRU', 2), ('MUR', 2), ('MVR', 2), ('MWK', 2), ('MXN', 2),
    ('MXV', 2), ('MYR', 2), ('MZN', 2), ('NAD', 2), ('NGN', 2), ('NIO', 2), ('NOK', 2), ('NPR', 2),
    ('NZD', 2), ('OMR', 3), ('PAB', 2), ('PEN', 2), ('PGK', 2), ('PHP', 2), ('PKR', 2), ('PLN', 2),
    ('PYG', 0), ('QAR', 2), ('RON', 2), ('RSD', 2), ('RUB', 2), ('RWF', 0), ('SAR', 2), ('SBD', 2),
    ('SCR', 2), ('SDG', 2), ('SEK', 2), ('SGD', 2), ('SHP', 2), ('SLE', 2), ('SOS', 2), ('SRD', 2),
    ('SSP', 2), ('STN', 2), ('SVC', 2), ('SYP', 2), ('SZL', 2), ('THB', 2), ('TJS', 2), ('TMT', 2),
    ('TND', 3), ('TOP', 2), ('TRY', 2), ('TTD', 2), ('TWD', 2), ('TZS', 2), ('UAH', 2), ('UGX', 0),
    ('USD', 2), ('USN', 2), ('UYI', 0), ('UYU', 2), ('UYW', 4), ('UZS', 2), ('VED', 2), ('VES', 2),
    ('VND', 0), ('VUV', 0), ('WST', 2), ('XAD', 2), ('XAF', 0), ('XCD', 2), ('XCG', 2), ('XOF', 0),
    ('XPF', 0), ('YER', 2), ('ZAR', 2), ('ZMW', 2), ('ZWG', 2);

-- All house accounts exist from the start, so that no credit ever has to make one.
INSERT INTO accounts (kind, currency)
SELECT kind, currency FROM currencies CROSS JOIN unnest(ARRAY['cashback', 'tax', 'opening', 'adjustment']) AS kind;
