import type { IncomingMessage, ServerResponse } from "node:http";

import { verify } from "@contactcenter/client";

export async function receive(request: IncomingMessage, response: ServerResponse, secrets: string[]): Promise<void> {
  const body: Buffer[] = [];
  for await (const part of request) {
    body.push(part);
    if (Buffer.concat(body).length > 1 << 20) return void response.writeHead(413).end();
  }
  const event = await verify(request.headers, Buffer.concat(body), secrets).catch(() => undefined);
  if (!event) return void response.writeHead(401).end();
  response.writeHead(204).end();
  // event.id is the same for the same event: drop what you have had.
  if (event.type === "message.received") console.log("a reply in", event.data.conversation_id);
}
