import type { Problem, ProblemCode } from "./types.gen.js";

/**
 * The Contact Center refuses: an RFC 9457 problem. `code` is stable and for programs. The error's message has code and
 * status only, nothing that was sent.
 */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  readonly status: number;
  readonly code: ProblemCode;
  readonly title: string;
  readonly detail: string;
  /** What is wrong with which field. */
  readonly errors: NonNullable<Problem["errors"]>;
  /** Whose fault it is. */
  readonly faultDomain: Problem["fault_domain"];
  /** What to tell the operator. */
  readonly requestId: string;
  /** Seconds to wait before another try, if the answer says so. */
  readonly retryAfter: number | undefined;
  /** The problem with all its members. */
  readonly problem: Problem;

  constructor(status: number, problem: Problem, retryAfter: number | undefined) {
    super(`${problem.code} (${status})`);
    this.status = status;
    this.code = problem.code;
    this.title = problem.title;
    this.detail = problem.detail;
    this.errors = problem.errors ?? [];
    this.faultDomain = problem.fault_domain;
    this.requestId = problem.request_id;
    this.retryAfter = retryAfter;
    this.problem = problem;
  }
}

/** An answer that did not come from the Contact Center but from the gateway, or whatever else stands in front of it. */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly status: number;
  /** The gateway's own word, "" if it has none. */
  readonly gatewayMessage: string;
  /** The header apigw-requestid. */
  readonly requestId: string | undefined;
  /** Seconds to wait before another try, if the answer says so. */
  readonly retryAfter: number | undefined;

  constructor(status: number, gatewayMessage: string, requestId: string | undefined, retryAfter: number | undefined) {
    super(`the gateway answers ${status} ${gatewayMessage}`.trimEnd());
    this.status = status;
    this.gatewayMessage = gatewayMessage;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
  }
}

/** No answer came, or not all of it, or no token for the request: `cause` says why. What was asked for may have been done. */
export class NoAnswerError extends Error {
  override readonly name = "NoAnswerError";

  constructor(message: string, cause: unknown) {
    super(message, { cause });
  }
}

/** The answer says that it was done, but can't be read: it is no JSON, or larger than 10 MiB. */
export class UnreadableAnswerError extends Error {
  override readonly name = "UnreadableAnswerError";
  readonly status: number;

  constructor(status: number) {
    super(`the answer (${status}) can't be read`);
    this.status = status;
  }
}
