-- Replays: accepts that are sent again because a person ordered it, for events that ended without an acknowledgement.
-- Nothing here moves money: what an accept says was decided by the settlement, and is only said again.
--
--   open ──▶ answered     BETCORE acknowledged it
--        └─▶ failed       BETCORE said 103752, or nothing that counts within the replay's own window

CREATE TABLE replay_orders (
    order_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ordered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    database_user name NOT NULL DEFAULT session_user,
    person text NOT NULL CHECK (length(person) BETWEEN 1 AND 200),
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    rate integer NOT NULL CHECK (rate BETWEEN 1 AND 200),
    -- When the next event of the order is due; a second ago: the first ones are due at once.
    next_due_at timestamptz NOT NULL DEFAULT clock_timestamp() - interval '1 second',
    ended_at timestamptz
);
COMMENT ON COLUMN replay_orders.rate IS 'events a second, over all workers';
-- What workers ask each second: nearly always it is empty.
CREATE INDEX replay_orders_open ON replay_orders (next_due_at) WHERE ended_at IS NULL;

CREATE TABLE replays (
    replay_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id bigint NOT NULL REFERENCES replay_orders,
    event_id uuid NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'answered', 'failed')),
    tries integer NOT NULL DEFAULT 0,
    sent integer NOT NULL DEFAULT 0,
    error text CHECK (length(error) <= 500),
    -- Of what was tried: when it is due again. While a worker has it, that is when its lease ends.
    due_at timestamptz,
    is_leased boolean NOT NULL DEFAULT false,
    window_ends_at timestamptz,
    ended_at timestamptz,
    CHECK ((state = 'open') = (ended_at IS NULL)),
    CHECK ((tries = 0) = (window_ends_at IS NULL)),
    CHECK (NOT is_leased OR state = 'open')
);
COMMENT ON COLUMN replays.tries IS 'how often a worker took it in hand';
COMMENT ON COLUMN replays.sent IS 'accepts sent, but for those whose worker ended before it knew what came of them';
COMMENT ON COLUMN replays.error IS 'what came of the last accept that was no acknowledgement';
-- An event has one open replay at most: a second order takes what is left.
CREATE UNIQUE INDEX replays_open ON replays (event_id) WHERE state = 'open';
CREATE INDEX replays_fresh ON replays (order_id, replay_id) WHERE state = 'open' AND tries = 0;
CREATE INDEX replays_again ON replays (order_id, due_at) WHERE state = 'open' AND tries > 0;
CREATE INDEX replays_by_order ON replays (order_id, state);
CREATE INDEX replays_by_event ON replays (event_id, replay_id);
-- What prune_replays goes by.
CREATE INDEX replays_ended ON replays (ended_at) WHERE ended_at IS NOT NULL;
