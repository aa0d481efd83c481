import assert from "node:assert/strict";
import { test } from "node:test";

import type { Client, Content, ProblemCode, SendMessageRequest, WebhookEvent } from "@contactcenter/client";

/** Is compiled, never run: each line that follows an expected error has one, or the build fails. */
export async function whatTheTypesRefuse(client: Client, event: WebhookEvent): Promise<void> {
  // @ts-expect-error: a message has content
  await client.sendMessage({ channel_id: "chn_1", to: "+35799123456" });
  // @ts-expect-error: a mistyped field would be answered 422
  await client.sendMessage({ chanel_id: "chn_1", content: { type: "text", text: "" } });
  // @ts-expect-error: each form of content has fields of its own
  ({ type: "location", text: "here" }) satisfies Content;
  // @ts-expect-error: a filter has the values that the document names
  await client.listMessages({ conversation_id: "cnv_1", status: "gone" });
  // @ts-expect-error: whose usage must be said
  await client.getOperatorUsage();
  // @ts-expect-error: only what creates something takes a key
  await client.cancelMessage("msg_1", { idempotencyKey: "k" });
  // @ts-expect-error: an optional field of an answer may be absent
  (await client.getMessage("msg_1")).content.type;
  // @ts-expect-error: what an event is about follows from its type
  event.data.conversation_id;
}

/** Is compiled: what the types must allow. */
export async function whatTheTypesAllow(client: Client, event: WebhookEvent): Promise<string | undefined> {
  const order: SendMessageRequest = { conversation_id: "cnv_1", content: { type: "location", latitude: 35.1, longitude: 33.4 }, on_limit: "hold" };
  await client.sendMessage(order, { idempotencyKey: "k", signal: undefined });
  await client.exportRecipient("rcp_1");
  await client.listMessages({ client_reference: "r", status: undefined });
  const later: ProblemCode = "a_code_that_is_not_known_yet";
  const { content } = await client.getMessage(later);
  if (event.type === "usage.reset") return event.data.resets_at;
  if (event.type === "message.failed") return event.data.error?.code;
  return content?.type === "email" ? content.subject : undefined;
}

test("the types were compiled", () => {
  assert.equal(typeof whatTheTypesRefuse, "function");
  assert.equal(typeof whatTheTypesAllow, "function");
});
