#!/usr/bin/env bash
# Hands one event to the receiver: bash post_events.sh '{"cashback_id": 1, "user_id": "7", "amount": "10.00"}'
# Needs curl. Here a simulated BETCORE signs the token; yours comes with BETCORE's make, and you have verified it.
# It prints the event id; sent again, in doubt, the same token is the same event.
set -euo pipefail

reply=$(curl --silent --show-error --fail-with-body --max-time 10 --data "$1" "$SIMULATOR/sim/tokens")
token=$(sed -E 's/.*"token": ?"([^"]+)".*/\1/' <<<"$reply")
received_at_ms=$(date +%s%3N)

# After 429 and 503 again, when Retry-After says. The key is in no argument: whoever is on this machine can read those.
answer=$(
    curl --silent --show-error --fail-with-body --max-time 10 --retry 3 --retry-max-time 15 \
        --header @<(printf 'Authorization: Bearer %s\n' "$API_KEY") \
        --header 'Content-Type: application/json' --data @- "$RECEIVER/events" \
        <<<"{\"events\": [{\"token\": \"$token\", \"received_at_ms\": $received_at_ms}]}"
) || {
    echo "$answer" >&2
    exit 1
}

# One event was sent, so one result came: another one than these two is no promise, and says why.
if [[ ! $answer =~ \"result\":\ ?\"(accepted|duplicate)\" ]]; then
    echo "$answer" >&2
    exit 1
fi
sed -E 's/.*"event_id": ?"([0-9a-f-]{36})".*/\1/' <<<"$answer"
