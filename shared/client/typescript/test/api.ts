import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

import { Client } from "../src/client.gen.js";
import type { Config, World } from "../src/http.js";

/** A request as the server got it. */
export interface Seen {
  method: string;
  path: string;
  key: string | undefined;
  token: string | undefined;
  kind: string | undefined;
  body: string;
}

/** What the server does with a request. */
export type Answer = (response: ServerResponse) => void;

/** No answer: the connection ends. */
export const hangsUp: Answer = (response) => response.socket?.destroy();

/** No answer, ever. */
export const saysNothing: Answer = () => undefined;

/** The connection ends in the middle of the answer. */
export const breaksOff: Answer = (response) => {
  response.writeHead(200, { "Content-Type": "application/json", "Content-Length": "100" });
  response.write('{"id":', () => response.socket?.destroy());
};

export function says(status: number, kind: string, body: string, headers: Record<string, string> = {}): Answer {
  return (response) => response.writeHead(status, { "Content-Type": kind, ...headers }).end(body);
}

export function json(status: number, body: unknown, headers?: Record<string, string>): Answer {
  return says(status, "application/json", JSON.stringify(body), headers);
}

export function refuses(status: number, code: string, headers?: Record<string, string>): Answer {
  const problem = { type: `urn:contact-center:problem:${code}`, title: "Title", status, detail: "Detail", code, request_id: "req_1", fault_domain: "customer" };
  return says(status, "application/problem+json; charset=utf-8", JSON.stringify(problem), headers);
}

/** A world where nobody waits. */
export class Still implements World {
  /** The pauses that were made, in milliseconds. */
  readonly pauses: number[] = [];
  /** Ends the tries that run, as if their time were over. */
  readonly expire: (() => void)[] = [];
  /** What happens instead of a pause. */
  instead: (() => void) | undefined;
  #keys = 0;

  after(ms: number, run: () => void): () => void {
    if (ms === timeoutMs) {
      this.expire.push(run);
    } else {
      this.pauses.push(ms);
      queueMicrotask(this.instead ?? run);
    }
    return () => undefined;
  }

  random(): number {
    return 0.5;
  }

  key(): string {
    return `key-${++this.#keys}`;
  }
}

const timeoutMs = 35_000;

/** A client of a server that answers one request after the other with what it is told; the last answer stays. */
export async function serve(t: TestContext, answers: Answer[], config: Partial<Config> = {}): Promise<{ client: Client; seen: Seen[]; still: Still }> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { "idempotency-key": key, "content-type": kind, authorization: token } = request.headers;
      seen.push({ method: request.method ?? "", path: request.url ?? "", key: key?.toString(), token, kind, body: Buffer.concat(chunks).toString() });
      answers[Math.min(seen.length, answers.length) - 1]?.(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const still = new Still();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return { client: new Client({ url, tries: 3, token: () => "t", ...config }, still), seen, still };
}
