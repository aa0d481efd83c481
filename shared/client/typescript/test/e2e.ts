/**
 * What the end-to-end test in scripts/e2e lets this client do, one step at a time, against the API of a stack: URL and TOKEN in the
 * environment, the step and what it needs as arguments. Says what came of it as JSON.
 */
import { setTimeout as pause } from "node:timers/promises";

import { all, Client, ProblemError, type Conversation, type Message, type SendMessageRequest } from "@contactcenter/client";

const client = new Client({ url: process.env["API"] ?? "", token: () => process.env["TOKEN"] ?? "" });

const steps: Record<string, (...given: string[]) => Promise<unknown>> = {
  /** Sends one message. */
  send: (channel, to, reference) => client.sendMessage(order("Your order is ready", channel, to, reference)),

  /** Sends one message in a batch. */
  batch: async (channel, to, reference) => (await client.sendBatch({ messages: [order("One more thing", channel, to, reference)] })).results[0]?.message,

  /** Lists what has a reference, in pages of one. */
  list: async (reference) => {
    const messages: Message[] = [];
    for await (const m of all((page) => client.listMessages({ client_reference: reference, page_size: 1, ...page }))) {
      messages.push(m);
    }
    return messages;
  },

  /** Reads what is not there, and says how that is told. */
  missing: async (id = "") => {
    try {
      await client.getMessage(id);
    } catch (e) {
      return e instanceof ProblemError ? { status: e.status, code: e.code } : String(e);
    }
    return "it is there";
  },

  /** Waits for a reply on a channel, and marks it as read. */
  inbox: async (channel) => {
    let conversation: Conversation | undefined;
    for (const end = Date.now() + 120_000; !conversation?.unread_count && Date.now() < end; await pause(100)) {
      conversation = (await client.listConversations({ channel_id: channel })).items[0];
    }
    const reply = conversation?.last_message;
    if (!conversation || !reply) {
      return "there is no reply";
    }
    const { unread_count: unread } = await client.markConversationRead(conversation.id, { up_to_message_id: reply.id });
    return { before: conversation.unread_count, unread, direction: reply.direction, content: reply.content };
  },
};

function order(text: string, channel = "", to = "", reference = ""): SendMessageRequest {
  return { channel_id: channel, to, content: { type: "text", text }, client_reference: reference };
}

const [step = "", ...given] = process.argv.slice(2);
console.log(JSON.stringify(await steps[step]?.(...given)));
