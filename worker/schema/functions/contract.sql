-- What producer/client/cashback_client/contract.py says as well.

-- The producer of what our own receiver took: OWN_PRODUCER. A receipt has null for it.
CREATE OR REPLACE FUNCTION own_producer() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'betcore' $$;
