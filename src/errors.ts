/**
 * How a failure is to be treated. The edge where it happens decides, once; nobody downstream guesses from a message.
 *
 * - `retryable`: the same call may succeed later (network, a busy daemon, a 5xx).
 * - `terminal`: repeating it cannot help; somebody has to change something.
 * - `conflict`: somebody else changed the object first; read it again.
 */
export type ErrorClass = 'retryable' | 'terminal' | 'conflict';

export interface GridferryErrorOptions {
  readonly class?: ErrorClass;
  readonly cause?: unknown;
  /** Wait at least this long before trying again (the peer's own Retry-After), in milliseconds. */
  readonly retryAfterMs?: number;
  /** Facts for machines and for `docs/errors.md`; never a secret. */
  readonly details?: Readonly<Record<string, string | number | boolean>>;
}

/**
 * An error a user can meet. `message` is one sentence that says what happened and what to do next; `code` has an entry
 * in `docs/errors.md`.
 */
export class GridferryError extends Error {
  readonly code: ErrorCode;
  readonly class: ErrorClass;
  readonly retryAfterMs: number | undefined;
  readonly details: Readonly<Record<string, string | number | boolean>>;

  constructor(code: ErrorCode, message: string, options: GridferryErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'GridferryError';
    this.code = code;
    this.class = options.class ?? 'terminal';
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details ?? {};
  }
}

/** Every code starts with `GF_`; `docs/errors.md` is checked to have an entry for each code that the source uses. */
export type ErrorCode = `GF_${Uppercase<string>}`;

/** The text of anything thrown, short, without a stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The class of anything thrown: an error of unknown origin is retryable, because giving up is the worse mistake. */
export function classOf(error: unknown): ErrorClass {
  return error instanceof GridferryError ? error.class : 'retryable';
}
