-- The same limit, told by octets: a token is ASCII. To count the characters of one costs a tenth and more of
-- recording its receipt, and as much again at each update of the row.
ALTER TABLE receipts
    DROP CONSTRAINT receipts_token_check,
    ADD CONSTRAINT receipts_token_check CHECK (octet_length(token) BETWEEN 1 AND 16384);
