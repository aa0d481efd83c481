import type * as api from "./types.gen.js";

/** How far the time of an attempt may be from now, in seconds. */
const tolerance = 5 * 60;

/** What an event is about, by the first word of its type, as its GET shows it at the moment of sending. */
interface About {
  message: api.Message;
  channel: api.Channel;
  provider: api.Provider;
  subprocessor: api.Provider;
  usage: api.Usage;
  rules: api.Rules;
  account: api.Restriction;
  evidence: api.EvidenceRequest;
  endpoint: api.WebhookEndpoint;
}

type Kind<T extends string> = T extends `${infer K extends keyof About}.${string}` ? K : never;

type EventOf<T extends string> = T extends string
  ? {
      /** The webhook-id: the same event has the same one, however often it comes. */
      id: string;
      type: T;
      timestamp: api.Time;
      account_id: string;
      data: About[Kind<T>];
    }
  : never;

/** An event that was verified. `type` says what `data` is. There may be more types later. */
export type WebhookEvent = EventOf<api.WebhookEventType | "endpoint.test">;

/** Why a request is no event of the Contact Center's. It says nothing of what came. */
export class WebhookVerificationError extends Error {
  override readonly name = "WebhookVerificationError";
}

/** The headers of a request, as fetch, Node or API Gateway have them. */
export type WebhookHeaders = { get(name: string): string | null } | Record<string, string | string[] | undefined>;

/**
 * Verifies an event after Standard Webhooks 1.0, and reads it. `rawBody` is the body as it came, to the byte. `secrets` are the
 * endpoint's (`whsec_…`), each of which may have signed. Anything but an event is rejected with a WebhookVerificationError,
 * a secret that is none with a TypeError.
 */
export async function verify(headers: WebhookHeaders, rawBody: Uint8Array | string, secrets: string | readonly string[], now: Date = new Date()): Promise<WebhookEvent> {
  const id = valueOf(headers, "webhook-id");
  const at = valueOf(headers, "webhook-timestamp");
  const signatures = valueOf(headers, "webhook-signature").split(" ");
  if (!/^\d{1,12}$/.test(at) || Math.abs(now.getTime() / 1000 - Number(at)) > tolerance) {
    throw new WebhookVerificationError("the time is too far from now, or is none");
  }
  const body = typeof rawBody === "string" ? new TextEncoder().encode(rawBody) : rawBody;
  const signed = joined(new TextEncoder().encode(`${id}.${at}.`), body);
  let good = false;
  for (const secret of typeof secrets === "string" ? [secrets] : secrets) {
    const want = `v1,${await signature(secret, signed)}`;
    for (const given of signatures) {
      good = same(given, want) || good;
    }
  }
  if (!good) {
    throw new WebhookVerificationError("no signature is right");
  }
  try {
    return { ...JSON.parse(new TextDecoder().decode(body)), id } as WebhookEvent;
  } catch {
    throw new WebhookVerificationError("it is signed, but no JSON");
  }
}

function valueOf(headers: WebhookHeaders, name: string): string {
  let value: unknown;
  if (typeof headers["get"] === "function") {
    value = headers["get"](name);
  } else {
    value = Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
  }
  if (typeof value !== "string" || value === "") {
    throw new WebhookVerificationError(`there is no ${name}`);
  }
  return value;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

/** HMAC-SHA256 in base64. */
async function signature(secret: string, signed: Uint8Array<ArrayBuffer>): Promise<string> {
  const key = await crypto.subtle.importKey("raw", keyOf(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.sign("HMAC", key, signed))));
}

function keyOf(secret: string): Uint8Array<ArrayBuffer> {
  try {
    const raw = atob(secret.replace(/^whsec_/, ""));
    if (raw !== "") {
      return Uint8Array.from(raw, (c) => c.charCodeAt(0));
    }
  } catch {
    // Said below, without the secret.
  }
  throw new TypeError("the webhook secret is none");
}

/** Takes as long wherever the two differ. `crypto.subtle.verify` does not promise that. */
function same(given: string, want: string): boolean {
  let differ = given.length ^ want.length;
  for (let i = 0; i < want.length; i++) {
    differ |= given.charCodeAt(i) ^ want.charCodeAt(i);
  }
  return differ === 0;
}
