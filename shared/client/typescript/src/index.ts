/**
 * Calls the Contact Center's API: one method for each operation of the OpenAPI document, with its types. It repeats what may
 * safely be repeated: a request that creates something is sent under an Idempotency-Key, so that an answer that got lost does not
 * make two of it.
 */
export * from "./client.gen.js";
export * from "./errors.js";
export { all, type CallOptions, type Config, type KeyedOptions } from "./http.js";
export type * from "./types.gen.js";
export { verify, WebhookVerificationError, type WebhookEvent, type WebhookHeaders } from "./webhook.js";
