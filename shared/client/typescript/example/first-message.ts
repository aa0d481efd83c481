import { setTimeout as pause } from "node:timers/promises";

import { Client, ProblemError } from "@contactcenter/client";

const client = new Client({ url: process.env["API"] ?? "http://127.0.0.1:3000", token: () => process.env["TOKEN"] ?? "" });

try {
  // The Rules in force, which the user has read and accepts.
  const rules = await client.getCurrentRules();
  const documents = rules.documents.map(({ id, version, sha256 }) => ({ id, version, sha256 }));
  await client.acceptRules({ rules_version: rules.version, documents, capacity: "self" });

  // A channel. What it means to activate it is confirmed by a user, and nobody else.
  const channel = await client.createChannel({ provider_id: "edna", name: "First channel" });
  const shown = channel.confirmations;
  if (!shown) throw new Error("there is nothing to confirm");
  const { provider_terms_version, transfer_countries } = shown;
  await client.activateChannel(channel.id, { rules_version: rules.version, provider_terms_version, transfer_countries });

  // Send, and look what becomes of it.
  let message = await client.sendMessage({ channel_id: channel.id, to: "+35799123456", content: { type: "text", text: "Your order is ready" } });
  while (["queued", "sending", "sent"].includes(message.status)) {
    await pause(500);
    message = await client.getMessage(message.id);
  }
  console.log(message.id, message.status);
} catch (error) {
  if (error instanceof ProblemError) {
    console.error(error.code, error.detail, error.errors, error.requestId);
  }
  throw error;
}
