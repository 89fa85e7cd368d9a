#!/usr/bin/env bash
# Hands one event to the cashback workers: bash send.sh '{"cashback_id": 1, "user_id": "7", "amount": "10.00"}'
# Needs curl and redis-cli (7 or later). Here a simulated BETCORE signs the token; yours comes with BETCORE's make,
# and you have verified it. It prints the event id; sent again, in doubt, the same token is the same event.
set -euo pipefail

reply=$(curl --silent --show-error --fail-with-body --max-time 10 --data "$1" "$SIMULATOR/sim/tokens")
token=$(sed -E 's/.*"token": ?"([^"]+)".*/\1/' <<<"$reply")
received_at_ms=$(date +%s%3N)

hash=$(printf %s "$token" | sha256sum)
variant=$(printf %x "$((16#${hash:16:1} & 3 | 8))")
event_id=${hash:0:8}-${hash:8:4}-8${hash:13:3}-$variant${hash:17:3}-${hash:20:12}

body=$(base64 --wrap=0 <<<"[[], {\"version\": 1, \"token\": \"$token\", \"received_at_ms\": $received_at_ms}, {}]")
entry=$(cat <<EOF
{
  "body": "$body",
  "content-encoding": "utf-8",
  "content-type": "application/json",
  "headers": {"task": "cashback.settle", "id": "$event_id"},
  "properties": {"body_encoding": "base64"}
}
EOF
)

# The password is in the environment: whoever is on this machine can read command lines.
[[ $REDIS_URL =~ ^redis://([^:]+):([^@]+)@([^:/]+):([0-9]+) ]] || {
    echo 'REDIS_URL is to be redis://user:password@host:port' >&2
    exit 1
}
export REDISCLI_AUTH=${BASH_REMATCH[2]}
at=(--user "${BASH_REMATCH[1]}" -h "${BASH_REMATCH[3]}" -p "${BASH_REMATCH[4]}")
# -e: an error of Redis ends with a status of its own.
printf %s "$entry" | timeout 10 redis-cli -e "${at[@]}" -x LPUSH "${QUEUE:-cashback}" >/dev/null
echo "$event_id"
