import { GatewayError, NoAnswerError, ProblemError, UnreadableAnswerError } from "./errors.js";
import type { Problem } from "./types.gen.js";

/** How often a request is sent at most, unless Config says otherwise. */
const defaultTries = 4;
/** What one try may take, in milliseconds, unless Config says otherwise; the gateway gives up after 30 seconds. */
const defaultTimeout = 35_000;
/** The longest pause before the second try, in milliseconds. It doubles from try to try. */
const firstWait = 400;
/** The longest pause, in milliseconds. A Retry-After beyond it ends the tries: the caller decides. */
const longestWait = 10_000;
/** A timer of more milliseconds would fire at once. */
const longestTimer = 2 ** 31 - 1;
/** The longest answer that is read, in bytes; the gateway's own limit is 10 MB. */
const maxAnswer = 10 * 2 ** 20;

/** What a client needs. */
export interface Config {
  /** Where the API is, without /v1. */
  url: string;
  /** Gives the token for each try. Without it calls have none, as public routes may. */
  token?: ((signal?: AbortSignal) => string | Promise<string>) | undefined;
  /** Makes the calls; the global one if it is absent. */
  fetch?: typeof globalThis.fetch | undefined;
  /** How often a request is sent at most; 4 times if it is absent. */
  tries?: number | undefined;
  /** What one try may take, in milliseconds; 35 seconds if it is absent. */
  timeoutMs?: number | undefined;
}

/** What may be said of each call. */
export interface CallOptions {
  /** Ends the call, in a pause between two tries too: it is rejected with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** What may be said of a call that creates something. */
export interface KeyedOptions extends CallOptions {
  /**
   * The Idempotency-Key: one for each thing that is to be done, at most 255 visible characters. If it is absent one is made up,
   * so that the client's own tries are one request.
   */
  idempotencyKey?: string | undefined;
}

/** Time and chance, which tests put others in place of. */
export interface World {
  /** Runs something after so many milliseconds, unless what it gives back is called before. */
  after(ms: number, run: () => void): () => void;
  /** At least 0 and less than 1. */
  random(): number;
  /** A new Idempotency-Key. */
  key(): string;
}

const world: World = {
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
  key: () => crypto.randomUUID(),
};

/** A call of one operation. */
interface Call {
  method: string;
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  /** It takes an Idempotency-Key. */
  keyed?: boolean;
}

/** What all tries of a call have in common. */
interface Request {
  url: string;
  init: RequestInit;
  headers: Record<string, string>;
}

/** What came back. */
interface Answer {
  status: number;
  headers: Headers;
  body: string;
}

/** Makes calls, and repeats what may safely be repeated. */
export class Transport {
  readonly #url: string;
  readonly #token: Config["token"];
  readonly #fetch: typeof globalThis.fetch;
  readonly #tries: number;
  readonly #timeout: number;
  readonly #world: World;

  /** Throws a TypeError for a URL that is none. The second parameter is for tests. */
  constructor(config: Config, inWorld: World = world) {
    const url = new URL(config.url);
    if (url.username || url.password) {
      throw new TypeError("the URL must hold no credentials");
    }
    this.#url = url.origin + url.pathname.replace(/\/$/, "");
    this.#token = config.token;
    this.#fetch = config.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#tries = positive(config.tries, defaultTries);
    this.#timeout = Math.min(positive(config.timeoutMs, defaultTimeout), longestTimer);
    this.#world = inWorld;
  }

  protected async call<T>(call: Call, options: KeyedOptions): Promise<T> {
    const { signal } = options;
    const request = this.#request(call, options.idempotencyKey);
    for (let count = 1; ; count++) {
      const answer = await this.#try(request, signal);
      if (!(answer instanceof Error)) {
        if (answer.status >= 200 && answer.status < 300) {
          return read(answer) as T;
        }
        if (count > 1 && call.method === "DELETE" && answer.status === 404) {
          return undefined as T; // an earlier try has deleted it
        }
      }
      const error = answer instanceof Error ? answer : errorOf(answer);
      const pause = Math.max(this.#backoff(count), (retryAfter(answer) ?? 0) * 1000);
      if (count >= this.#tries || pause > longestWait || !mayRepeat(call, error)) {
        throw error;
      }
      await this.#sleep(pause, signal);
    }
  }

  #request(call: Call, key: string | undefined): Request {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value !== undefined) {
        query.set(name, String(value));
      }
    }
    const headers: Record<string, string> = {};
    const init: RequestInit = { method: call.method, redirect: "manual" };
    if (call.body !== undefined) {
      init.body = JSON.stringify(call.body);
      headers["Content-Type"] = "application/json";
    }
    if (call.keyed) {
      headers["Idempotency-Key"] = header("idempotency key", key || this.#world.key());
    }
    const asked = query.toString();
    return { url: this.#url + call.path + (asked && `?${asked}`), init, headers };
  }

  async #try(request: Request, signal: AbortSignal | undefined): Promise<Answer | NoAnswerError> {
    signal?.throwIfAborted();
    const headers = { ...request.headers };
    if (this.#token) {
      try {
        headers["Authorization"] = `Bearer ${header("token", await this.#token(signal))}`;
      } catch (cause) {
        signal?.throwIfAborted();
        return new NoAnswerError("there is no token for it", cause);
      }
    }
    // A controller of our own, not AbortSignal.any: in Node 20 the signals that it joins may be collected before they fire.
    const end = new AbortController();
    const stop = () => end.abort(signal?.reason);
    signal?.addEventListener("abort", stop);
    const cancel = this.#world.after(this.#timeout, () => end.abort(new DOMException("the try took too long", "TimeoutError")));
    try {
      signal?.throwIfAborted();
      const response = await this.#fetch(request.url, { ...request.init, headers, signal: end.signal });
      return { status: response.status, headers: response.headers, body: await text(response) };
    } catch (cause) {
      signal?.throwIfAborted();
      return new NoAnswerError("no answer came", cause);
    } finally {
      cancel();
      signal?.removeEventListener("abort", stop);
    }
  }

  /** A random pause up to a bound that doubles with each try. */
  #backoff(count: number): number {
    return this.#world.random() * Math.min(firstWait * 2 ** (count - 1), longestWait);
  }

  #sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const stop = () => {
        cancel();
        reject(signal?.reason);
      };
      const cancel = this.#world.after(ms, () => {
        signal?.removeEventListener("abort", stop);
        resolve();
      });
      signal?.addEventListener("abort", stop, { once: true });
    });
  }
}

/**
 * Goes through all pages of a list: `for await (const m of all((page) => client.listMessages({ conversation_id, ...page })))`.
 */
export async function* all<T>(list: (page: { page_token?: string }) => Promise<{ items: T[]; next_page_token?: string }>): AsyncGenerator<T, void, undefined> {
  let page: { page_token?: string } = {};
  for (;;) {
    const { items, next_page_token: next } = await list(page);
    yield* items;
    if (!next) {
      return;
    }
    page = { page_token: next };
  }
}

/** An id as a part of a path. An empty one, or one that a URL takes for a direction, would name another route. */
export function segment(id: string): string {
  if (id === "" || id === "." || id === "..") {
    throw new TypeError("an id is empty or made of dots");
  }
  return encodeURIComponent(id);
}

function positive(value: number | undefined, otherwise: number): number {
  return value !== undefined && value > 0 ? value : otherwise;
}

/** The value of a header. What fetch says of one that can't be sent would hold it. */
function header(what: string, value: string): string {
  if (!/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(value)) {
    throw new TypeError(`the ${what} is empty or has characters that a header can't have`);
  }
  return value;
}

/** The body of an answer; "", which is no JSON, if it is too long. */
async function text(response: Response): Promise<string> {
  if (!response.body) {
    return "";
  }
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let out = "";
  for (let size = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) {
      return out + decoder.decode();
    }
    size += value.byteLength;
    if (size > maxAnswer) {
      await reader.cancel();
      return "";
    }
    out += decoder.decode(value, { stream: true });
  }
}

function read(answer: Answer): unknown {
  if (answer.status === 204) {
    return undefined;
  }
  const value = parse(answer.body);
  if (value === undefined) {
    throw new UnreadableAnswerError(answer.status);
  }
  return value;
}

/** undefined for what is no JSON. */
function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** An answer that is none of the good ones. */
function errorOf(answer: Answer): ProblemError | GatewayError {
  const kind = answer.headers.get("Content-Type")?.split(";")[0]?.trim().toLowerCase();
  const body = (parse(answer.body) ?? {}) as { code?: unknown; message?: unknown };
  if (kind === "application/problem+json" && typeof body.code === "string") {
    return new ProblemError(answer.status, body as Problem, retryAfter(answer));
  }
  const said = typeof body.message === "string" ? body.message : "";
  return new GatewayError(answer.status, said, answer.headers.get("Apigw-Requestid") ?? undefined, retryAfter(answer));
}

/** In seconds. */
function retryAfter(answer: Answer | NoAnswerError): number | undefined {
  const value = answer instanceof Error ? null : answer.headers.get("Retry-After");
  return value && /^\d{1,10}$/.test(value) ? Number(value) : undefined;
}

/**
 * Tells whether a request may be sent once more. What was refused by the gateway's own limit never ran. What got no answer
 * may have: only what is the same when it is done twice is repeated then.
 */
function mayRepeat(call: Call, error: ProblemError | GatewayError | NoAnswerError): boolean {
  const same = call.keyed || call.method === "GET" || call.method === "PUT" || call.method === "DELETE";
  if (error instanceof NoAnswerError) {
    return same === true;
  }
  switch (error.status) {
    case 429:
      return true;
    case 409:
      return error instanceof ProblemError && error.code === "idempotency_key_in_use";
    case 500:
    case 502:
    case 503:
    case 504:
      return same === true;
    default:
      return false;
  }
}
