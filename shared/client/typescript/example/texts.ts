import { all, type Client } from "@contactcenter/client";

export async function texts(client: Client, conversationId: string): Promise<string[]> {
  const out: string[] = [];
  for await (const { content } of all((page) => client.listMessages({ conversation_id: conversationId, ...page }))) {
    if (content?.type === "text") out.push(content.text);
  }
  return out;
}
