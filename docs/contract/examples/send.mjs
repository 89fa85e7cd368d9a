// Hands one event to the cashback workers: node send.mjs '{"cashback_id": 1, "user_id": "7", "amount": "10.00"}'
// Needs `npm install ioredis`. Here a simulated BETCORE signs the token; yours comes with BETCORE's make, and you
// have verified it. It prints the event id; sent again, in doubt, the same token is the same event.
import { createHash } from "node:crypto";
import Redis from "ioredis";

const { SIMULATOR, REDIS_URL, QUEUE = "cashback" } = process.env;

const order = { method: "POST", body: process.argv[2], signal: AbortSignal.timeout(10_000) };
const reply = await fetch(`${SIMULATOR}/sim/tokens`, order);
if (!reply.ok) throw new Error(`no token: ${reply.status} ${await reply.text()}`);
const { token } = await reply.json();
const message = { version: 1, token, received_at_ms: Date.now() };

const id = createHash("sha256").update(token).digest().subarray(0, 16);
id[6] = (id[6] & 0x0f) | 0x80;
id[8] = (id[8] & 0x3f) | 0x80;
const eventId = id.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");

const entry = {
  body: Buffer.from(JSON.stringify([[], message, {}])).toString("base64"),
  "content-encoding": "utf-8",
  "content-type": "application/json",
  headers: { task: "cashback.settle", id: eventId },
  properties: { body_encoding: "base64" },
};

// Bounded waiting; and no INFO, which a user that may LPUSH alone may not ask for.
const bounds = { connectTimeout: 5_000, commandTimeout: 10_000, maxRetriesPerRequest: 1 };
const redis = new Redis(REDIS_URL, { ...bounds, enableReadyCheck: false });
try {
  await redis.lpush(QUEUE, JSON.stringify(entry));
} finally {
  redis.disconnect();
}
console.log(eventId);
