import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import { verify, WebhookVerificationError, type WebhookEvent } from "@contactcenter/client";

import { receive } from "../example/receive.js";

/** The vector that the libraries of Standard Webhooks 1.0 publish. */
const published = {
  secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
  body: '{"test": 2432232314}',
  at: new Date(1614265330 * 1000),
  headers: { "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330", "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" },
};

/** Signed by the Contact Center's own code. */
const ours: { secrets: [string, string]; id: string; timestamp: number; body: string; signature: string } = JSON.parse(
  readFileSync(new URL("../../test/signed.json", import.meta.url), "utf8"),
);
const oursAt = new Date(ours.timestamp * 1000);
const oursHeaders = { "webhook-id": ours.id, "webhook-timestamp": String(ours.timestamp), "webhook-signature": ours.signature };
const other = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXI=";

const p = published;
const cases: { name: string; call: () => Promise<WebhookEvent>; good: boolean }[] = [
  { name: "the published vector", call: () => verify(p.headers, p.body, p.secret, p.at), good: true },
  { name: "as bytes", call: () => verify(p.headers, new TextEncoder().encode(p.body), [p.secret], p.at), good: true },
  { name: "with the headers of fetch", call: () => verify(new Headers(p.headers), p.body, p.secret, p.at), good: true },
  { name: "with headers in other letters", call: () => verify({ "Webhook-Id": p.headers["webhook-id"], "Webhook-Timestamp": "1614265330", "WEBHOOK-SIGNATURE": p.headers["webhook-signature"] }, p.body, p.secret, p.at), good: true },
  { name: "with a secret without its prefix", call: () => verify(p.headers, p.body, p.secret.slice("whsec_".length), p.at), good: true },
  { name: "with a signature of another version before it", call: () => verify({ ...p.headers, "webhook-signature": `v1a,abc ${p.headers["webhook-signature"]}` }, p.body, p.secret, p.at), good: true },
  { name: "our own, by the new secret", call: () => verify(oursHeaders, ours.body, ours.secrets[0], oursAt), good: true },
  { name: "our own, by the one before", call: () => verify(oursHeaders, ours.body, ours.secrets[1], oursAt), good: true },
  { name: "our own, by the second of those that are known", call: () => verify(oursHeaders, ours.body, [other, ours.secrets[1]], oursAt), good: true },
  { name: "five minutes late", call: () => verify(p.headers, p.body, p.secret, new Date(p.at.getTime() + 300_000)), good: true },
  { name: "five minutes early", call: () => verify(p.headers, p.body, p.secret, new Date(p.at.getTime() - 300_000)), good: true },
  { name: "later than five minutes", call: () => verify(p.headers, p.body, p.secret, new Date(p.at.getTime() + 301_000)), good: false },
  { name: "earlier than five minutes", call: () => verify(p.headers, p.body, p.secret, new Date(p.at.getTime() - 301_000)), good: false },
  { name: "by another secret", call: () => verify(oursHeaders, ours.body, other, oursAt), good: false },
  { name: "with no secret", call: () => verify(oursHeaders, ours.body, [], oursAt), good: false },
  { name: "with another body", call: () => verify(p.headers, `${p.body} `, p.secret, p.at), good: false },
  { name: "with another id", call: () => verify({ ...p.headers, "webhook-id": "msg_2" }, p.body, p.secret, p.at), good: false },
  { name: "with another time", call: () => verify({ ...p.headers, "webhook-timestamp": "1614265331" }, p.body, p.secret, p.at), good: false },
  { name: "with a time that is none", call: () => verify({ ...p.headers, "webhook-timestamp": "soon" }, p.body, p.secret, p.at), good: false },
  { name: "without an id", call: () => verify({ ...p.headers, "webhook-id": undefined }, p.body, p.secret, p.at), good: false },
  { name: "without a signature", call: () => verify({ ...p.headers, "webhook-signature": "" }, p.body, p.secret, p.at), good: false },
  { name: "with a signature cut short", call: () => verify({ ...p.headers, "webhook-signature": p.headers["webhook-signature"].slice(0, -1) }, p.body, p.secret, p.at), good: false },
  { name: "with a right signature of another version", call: () => verify({ ...p.headers, "webhook-signature": p.headers["webhook-signature"].replace("v1,", "v2,") }, p.body, p.secret, p.at), good: false },
];

for (const c of cases) {
  test(`an event ${c.name}`, async () => {
    if (c.good) {
      await c.call();
    } else {
      await assert.rejects(c.call(), WebhookVerificationError);
    }
  });
}

test("a verified event is read, and its type says what its data is", async () => {
  const event = await verify(oursHeaders, ours.body, ours.secrets, oursAt);
  assert.equal(event.id, ours.id);
  assert.equal(event.account_id, "acct_1");
  assert.ok(event.type === "message.received");
  const { content } = event.data;
  assert.ok(content?.type === "text");
  assert.equal(content.text, "Thank you – Ευχαριστώ");
});

test("a secret that is none is the caller's mistake, and not told", async () => {
  for (const secret of ["", "whsec_", "whsec_%%%"]) {
    await assert.rejects(verify(oursHeaders, ours.body, secret, oursAt), (e: unknown) => e instanceof TypeError && !String(e).includes("%"));
  }
});

test("what is signed but no JSON is no event", async () => {
  await assert.rejects(verify(signed("{"), "{", ours.secrets[0]), WebhookVerificationError);
});

/** The headers of what is sent now. */
function signed(body: string): Record<string, string> {
  const at = String(Math.floor(Date.now() / 1000));
  const key = Buffer.from(ours.secrets[0].slice("whsec_".length), "base64");
  return { "webhook-id": "evt_1", "webhook-timestamp": at, "webhook-signature": `v1,${createHmac("sha256", key).update(`evt_1.${at}.${body}`).digest("base64")}` };
}

test("the guide's receiver takes what is signed, and nothing else", async (t) => {
  const server = createServer((request, response) => void receive(request, response, ours.secrets));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const body = '{"type":"message.sent","timestamp":"2026-11-24T10:00:00.000Z","account_id":"acct_1","data":{}}';
  const post = async (headers: Record<string, string>, sent: string) => (await fetch(url, { method: "POST", headers, body: sent })).status;
  assert.equal(await post(signed(body), body), 204);
  assert.equal(await post(signed(body), body + " "), 401);
  assert.equal(await post({}, body), 401);
  assert.equal(await post({}, "x".repeat((1 << 20) + 1)), 413);
});
