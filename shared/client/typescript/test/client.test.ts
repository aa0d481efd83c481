import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import { all, Client, GatewayError, NoAnswerError, ProblemError, UnreadableAnswerError, type SendMessageRequest } from "@contactcenter/client";

import { texts } from "../example/texts.js";
import { breaksOff, hangsUp, json, refuses, says, saysNothing, serve, type Answer } from "./api.js";

const order: SendMessageRequest = { channel_id: "chn_1", to: "+35799123456", content: { type: "text", text: "Your order is ready" } };

const send = (c: Client) => c.sendMessage(order);
const cancel = (c: Client) => c.cancelMessage("msg_1");
const read = (c: Client) => c.getUsage();
const put = (c: Client) => c.putOptOut("rcp_1", "chn_1");
const remove = (c: Client) => c.deleteChannel("chn_1");
const busy = json(503, { message: "Service Unavailable" });
const crowded = json(429, { message: "Too Many Requests" });
const accepted = json(202, { id: "msg_1" });

const repeats: { name: string; call: (c: Client) => Promise<unknown>; answers: Answer[]; tries: number; fails?: new (...args: never[]) => Error }[] = [
  { name: "a message whose answer got lost", call: send, answers: [hangsUp, accepted], tries: 2 },
  { name: "a message that was answered 503", call: send, answers: [refuses(503, "try_again"), accepted], tries: 2 },
  { name: "a message that was answered 500", call: send, answers: [refuses(500, "internal_error"), accepted], tries: 2 },
  { name: "a message whose gateway timed out", call: send, answers: [json(504, {}), accepted], tries: 2 },
  { name: "a message that is still being worked on", call: send, answers: [refuses(409, "idempotency_key_in_use", { "Retry-After": "1" }), accepted], tries: 2 },
  { name: "a message that the gateway's limit kept out", call: send, answers: [crowded, accepted], tries: 2 },
  { name: "a message that is refused", call: send, answers: [refuses(422, "invalid_request")], tries: 1, fails: ProblemError },
  { name: "a conflict of another kind", call: send, answers: [refuses(409, "channel_inactive")], tries: 1, fails: ProblemError },
  { name: "a limit that ends in a month", call: send, answers: [refuses(429, "usage_limit_reached", { "Retry-After": "2592000" })], tries: 1, fails: ProblemError },
  { name: "a message whose provider refused", call: send, answers: [refuses(404, "channel_not_found")], tries: 1, fails: ProblemError },
  { name: "a read that got no answer", call: read, answers: [hangsUp, json(200, {})], tries: 2 },
  { name: "a read that got half an answer", call: read, answers: [breaksOff, json(200, {})], tries: 2 },
  { name: "a read, as often as may be", call: read, answers: [busy], tries: 3, fails: GatewayError },
  { name: "a read that never gets an answer", call: read, answers: [hangsUp], tries: 3, fails: NoAnswerError },
  { name: "a put that got no answer", call: put, answers: [hangsUp, json(200, {})], tries: 2 },
  { name: "a cancel that got no answer is not", call: cancel, answers: [hangsUp], tries: 1, fails: NoAnswerError },
  { name: "a cancel that was answered 503 is not", call: cancel, answers: [busy], tries: 1, fails: GatewayError },
  { name: "a cancel that the gateway's limit kept out", call: cancel, answers: [crowded, json(200, {})], tries: 2 },
  { name: "a delete that was done by the first try", call: remove, answers: [hangsUp, refuses(404, "channel_not_found")], tries: 2 },
  { name: "a delete of what is not there", call: remove, answers: [refuses(404, "channel_not_found")], tries: 1, fails: ProblemError },
  { name: "a redirect is not followed", call: read, answers: [says(307, "text/plain", "", { Location: "/v1/elsewhere" })], tries: 1, fails: GatewayError },
  { name: "a good answer that is not JSON", call: read, answers: [says(200, "text/html", "<p>")], tries: 1, fails: UnreadableAnswerError },
  { name: "an answer that is too long", call: read, answers: [json(200, " ".repeat(10 * 2 ** 20))], tries: 1, fails: UnreadableAnswerError },
];

for (const c of repeats) {
  test(`what is repeated: ${c.name}`, async (t) => {
    const { client, seen } = await serve(t, c.answers);
    if (c.fails) {
      await assert.rejects(c.call(client), c.fails);
    } else {
      await c.call(client);
    }
    assert.equal(seen.length, c.tries);
  });
}

test("all tries are one request, under one key that is made up", async (t) => {
  const { client, seen } = await serve(t, [hangsUp, busy, accepted]);
  assert.equal((await client.sendMessage(order)).id, "msg_1");
  assert.equal(seen.length, 3);
  assert.deepEqual(seen[0], { method: "POST", path: "/v1/messages", key: "key-1", token: "Bearer t", kind: "application/json", body: JSON.stringify(order) });
  assert.deepEqual(seen[1], seen[0]);
  assert.deepEqual(seen[2], seen[0]);
  await client.sendMessage(order);
  assert.equal(seen[3]?.key, "key-2");
  await client.sendMessage(order, { idempotencyKey: "mine" });
  assert.equal(seen[4]?.key, "mine");
});

test("the key that is made up in earnest is another one each time", async () => {
  const keys: (string | null)[] = [];
  const client = new Client({
    url: "https://api.example.com",
    fetch: async (_, init) => {
      keys.push(new Headers(init?.headers).get("Idempotency-Key"));
      return new Response("{}", { status: 202 });
    },
  });
  await client.sendMessage(order);
  await client.sendMessage(order);
  assert.match(keys[0] ?? "", /^[0-9a-f-]{36}$/);
  assert.notEqual(keys[0], keys[1]);
});

test("each try has a token of its own", async (t) => {
  let asked = 0;
  const { client, seen } = await serve(t, [busy, json(200, {})], { token: async () => `token-${++asked}` });
  await client.getUsage();
  assert.deepEqual(seen.map((s) => s.token), ["Bearer token-1", "Bearer token-2"]);
});

test("what needs no token and no body is sent without", async (t) => {
  const { client, seen } = await serve(t, [json(200, {})], { token: undefined });
  await client.getStatus();
  assert.deepEqual(seen, [{ method: "GET", path: "/v1/status", key: undefined, token: undefined, kind: undefined, body: "" }]);
});

const pauses: { name: string; answers: Answer[]; tries: number; want: number[] }[] = [
  { name: "double from try to try, up to a bound", answers: [busy], tries: 8, want: [200, 400, 800, 1600, 3200, 5000, 5000] },
  { name: "are made between four tries, unless it is said how many", answers: [busy], tries: 0, want: [200, 400, 800] },
  { name: "are as long as the answer says", answers: [refuses(503, "try_again", { "Retry-After": "2" }), json(200, {})], tries: 3, want: [2000] },
  { name: "are not shorter than ours", answers: [refuses(503, "try_again", { "Retry-After": "0" }), json(200, {})], tries: 3, want: [200] },
  { name: "are at most ten seconds", answers: [refuses(503, "try_again", { "Retry-After": "10" }), json(200, {})], tries: 3, want: [10_000] },
  { name: "are not made beyond that", answers: [refuses(503, "try_again", { "Retry-After": "11" })], tries: 3, want: [] },
  { name: "do not follow a Retry-After that is no number of seconds", answers: [refuses(503, "try_again", { "Retry-After": "soon" }), json(200, {})], tries: 3, want: [200] },
];

for (const c of pauses) {
  test(`pauses ${c.name}`, async (t) => {
    const { client, still } = await serve(t, c.answers, { tries: c.tries });
    await client.getUsage().catch(() => undefined);
    assert.deepEqual(still.pauses, c.want);
  });
}

test("a try that takes too long is ended, and repeated", async (t) => {
  const { client, seen, still } = await serve(t, [() => still.expire.at(-1)?.(), json(200, { used: 1 })]);
  await client.getUsage();
  assert.equal(seen.length, 2);
});

test("the last try that took too long says so", async (t) => {
  const { client, still } = await serve(t, [() => still.expire.at(-1)?.()], { tries: 1 });
  await assert.rejects(client.getUsage(), (e: unknown) => e instanceof NoAnswerError && e.cause instanceof DOMException && e.cause.name === "TimeoutError");
});

test("the caller ends a try", async (t) => {
  const end = new AbortController();
  const { client, seen } = await serve(t, [() => end.abort(new Error("enough"))]);
  await assert.rejects(client.getUsage({ signal: end.signal }), /^Error: enough$/);
  assert.equal(seen.length, 1);
});

test("the caller ends a pause", async (t) => {
  const end = new AbortController();
  const { client, seen, still } = await serve(t, [busy]);
  still.instead = () => end.abort(new Error("enough"));
  await assert.rejects(client.getUsage({ signal: end.signal }), /^Error: enough$/);
  assert.equal(seen.length, 1);
});

test("nothing is sent for a caller who has ended it", async (t) => {
  const { client, seen } = await serve(t, [saysNothing]);
  await assert.rejects(client.getUsage({ signal: AbortSignal.abort(new Error("enough")) }), /^Error: enough$/);
  assert.equal(seen.length, 0);
});

test("a problem has all that the document says", async (t) => {
  const body = {
    type: "urn:contact-center:problem:invalid_request", title: "The request can't be used", status: 422, detail: "Correct it.", code: "invalid_request",
    request_id: "req_1", fault_domain: "customer", errors: [{ field: "to", code: "required", detail: "is missing" }],
  };
  const { client } = await serve(t, [says(422, "application/problem+json", JSON.stringify(body))]);
  const e = await send(client).catch((e: unknown) => e);
  assert.ok(e instanceof ProblemError);
  assert.deepEqual(
    { status: e.status, code: e.code, title: e.title, detail: e.detail, errors: e.errors, faultDomain: e.faultDomain, requestId: e.requestId, retryAfter: e.retryAfter },
    { status: 422, code: "invalid_request", title: body.title, detail: body.detail, errors: body.errors, faultDomain: "customer", requestId: "req_1", retryAfter: undefined },
  );
  assert.equal(e.message, "invalid_request (422)");
});

test("a limit's problem says when it ends, in seconds", async (t) => {
  const { client } = await serve(t, [refuses(429, "usage_limit_reached", { "Retry-After": "3600" })]);
  await assert.rejects(send(client), (e: unknown) => e instanceof ProblemError && e.retryAfter === 3600 && e.errors.length === 0);
});

test("the gateway's answer is told from the Contact Center's", async (t) => {
  const { client } = await serve(t, [json(403, { message: "Forbidden" }, { "Apigw-Requestid": "abc=" })]);
  await assert.rejects(read(client), (e: unknown) => e instanceof GatewayError && e.status === 403 && e.gatewayMessage === "Forbidden" && e.requestId === "abc=");
});

test("what is no problem, whatever its media type says, is the gateway's", async (t) => {
  for (const body of ["", "null", "[]", "<p>"]) {
    const { client } = await serve(t, [says(400, "application/problem+json", body)]);
    await assert.rejects(read(client), GatewayError);
  }
});

test("no error holds the token or what was sent", async (t) => {
  const secret = "a-token\nwith-a-line";
  const cases: [Answer, string][] = [[hangsUp, "canary-token"], [busy, "canary-token"], [refuses(422, "invalid_request"), "canary-token"], [saysNothing, secret]];
  for (const [answer, token] of cases) {
    const { client } = await serve(t, [answer], { token: () => token, tries: 1 });
    const e = await send(client).catch((e: unknown) => e);
    assert.ok(e instanceof Error);
    const shown = inspect(e, { depth: 10 });
    for (const canary of ["canary-token", "with-a-line", "+35799123456", "Your order is ready"]) {
      assert.ok(!shown.includes(canary), shown);
    }
  }
});

test("a token that can't be had is no answer, and asked for again", async (t) => {
  let asked = 0;
  const token = () => (++asked === 1 ? Promise.reject(new Error("down")) : "t");
  const { client, seen } = await serve(t, [json(200, {})], { token });
  await client.getUsage();
  assert.deepEqual([asked, seen.length], [2, 1]);
});

test("paths and queries are escaped", async (t) => {
  const { client, seen } = await serve(t, [json(200, { items: [] })]);
  await client.listMessages({ client_reference: "a b&c", page_size: 2, status: undefined });
  await client.getMessage("a/b?c");
  await client.deleteOptOut("rcp_1", "../x");
  assert.deepEqual(seen.map((s) => s.path), ["/v1/messages?client_reference=a+b%26c&page_size=2", "/v1/messages/a%2Fb%3Fc", "/v1/recipients/rcp_1/opt-outs/..%2Fx"]);
});

test("an id that would name another route is not sent", async (t) => {
  const { client, seen } = await serve(t, [json(200, {})]);
  for (const id of ["", ".", ".."]) {
    await assert.rejects(client.getMessage(id), TypeError);
  }
  assert.equal(seen.length, 0);
});

test("a URL that is none, or holds credentials, makes no client", () => {
  for (const url of ["", "api.example.com", "https://user:word@api.example.com"]) {
    assert.throws(() => new Client({ url }), (e: unknown) => e instanceof TypeError && !e.message.includes("word"));
  }
});

test("all goes through the pages of a list, as in the README", async (t) => {
  const item = (text: string) => ({ id: text, content: { type: "text", text } });
  const { client, seen } = await serve(t, [
    json(200, { items: [item("1"), { id: "m", content: { type: "media" } }, item("2")], next_page_token: "p2" }),
    json(200, { items: [], next_page_token: "p3" }),
    json(200, { items: [{ id: "erased" }, item("3")] }),
  ]);
  assert.deepEqual(await texts(client, "cnv_1"), ["1", "2", "3"]);
  assert.deepEqual(seen.map((s) => s.path), ["", "&page_token=p2", "&page_token=p3"].map((p) => `/v1/messages?conversation_id=cnv_1${p}`));
});

test("all reads no further page than is looked at", async (t) => {
  const { client, seen } = await serve(t, [json(200, { items: [{ id: "1" }], next_page_token: "p2" })]);
  for await (const c of all((page) => client.listConversations(page))) {
    assert.equal(c.id, "1");
    break;
  }
  assert.equal(seen.length, 1);
});
