import { GridferryError } from '../errors.ts';
import type { ErrorClass, ErrorCode } from '../errors.ts';

/** What Docker answered, as far as it is safe and useful to keep. */
export class DockerError extends GridferryError {
  /** The HTTP status, or `undefined` when there was no answer. */
  readonly status: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly class: ErrorClass; readonly status?: number | undefined; readonly cause?: unknown },
  ) {
    super(code, message, {
      class: options.class,
      ...(options.cause === undefined ? {} : { cause: options.cause }),
      ...(options.status === undefined ? {} : { details: { status: options.status } }),
    });
    this.name = 'DockerError';
    this.status = options.status;
  }
}

interface Rule {
  readonly code: ErrorCode;
  readonly class: ErrorClass;
  readonly advice: string;
}

const NO_SPACE: Rule = { code: 'GF_DOCKER_NO_SPACE', class: 'terminal', advice: 'free space there and try again' };
const PORT_TAKEN: Rule = {
  code: 'GF_DOCKER_PORT_TAKEN',
  class: 'terminal',
  advice: 'stop what listens there, or publish another port',
};
const SUBNET_TAKEN: Rule = {
  code: 'GF_DOCKER_SUBNET_TAKEN',
  class: 'terminal',
  advice: 'remove the network that holds this address range there, or give the service another one',
};

/** Told by their text, because Docker answers 500 (or 403) to all of them. */
const BY_TEXT: readonly (readonly [RegExp, Rule])[] = [
  [/no space left on device|disk quota exceeded|not enough space/i, NO_SPACE],
  // Before the ports: a gateway that is in use is "address already in use" as well.
  [
    /pool overlaps with other one|overlaps with (?:an )?existing|conflicts with network|failed to allocate gateway/i,
    SUBNET_TAKEN,
  ],
  [/port is already allocated|address already in use|failed to bind (?:host )?port/i, PORT_TAKEN],
];

const BY_STATUS: Readonly<Record<number, Rule>> = {
  400: { code: 'GF_DOCKER_BAD_REQUEST', class: 'terminal', advice: 'change the configuration it refuses' },
  401: { code: 'GF_DOCKER_FORBIDDEN', class: 'terminal', advice: 'check the authorisation plug-in of that engine' },
  403: { code: 'GF_DOCKER_FORBIDDEN', class: 'terminal', advice: 'check what still uses the object' },
  404: { code: 'GF_DOCKER_NOT_FOUND', class: 'terminal', advice: 'check that it still exists' },
  409: { code: 'GF_DOCKER_CONFLICT', class: 'conflict', advice: 'look at the object again' },
};

const SERVER_FAULT: Rule = { code: 'GF_DOCKER_SERVER_ERROR', class: 'retryable', advice: 'it will be tried again' };
const UNEXPECTED: Rule = { code: 'GF_DOCKER_UNEXPECTED', class: 'terminal', advice: 'see the engine’s own log' };

const MAX_MESSAGE = 400;

/** Shorter values hide too little to be worth garbling a message for. */
const MIN_SECRET = 4;

/** Replaces every value of `secrets` in `text`, longest first, so that no part of a longer one is left. */
export function scrub(text: string, secrets: Iterable<string>): string {
  const values = [...new Set(secrets)].filter((value) => value.length >= MIN_SECRET);
  values.sort((a, b) => b.length - a.length);
  let result = text;
  for (const value of values) result = result.replaceAll(value, '[redacted]');
  return result;
}

/** The values of `NAME=value` entries: what must not be seen in a message about the container that has them. */
export function envValues(env: readonly string[] | null | undefined): string[] {
  return (env ?? []).flatMap((entry) => {
    const at = entry.indexOf('=');
    return at < 0 ? [] : [entry.slice(at + 1)];
  });
}

/** An HTTP answer that is not a success. `text` is the daemon's own message. */
export function errorFromStatus(
  where: string,
  doing: string,
  status: number,
  text: string,
  secrets: Iterable<string> = [],
): DockerError {
  const rule = ruleFor(status, text);
  const said = oneLine(scrub(text, secrets)).slice(0, MAX_MESSAGE);
  return new DockerError(
    rule.code,
    `Docker on ${where} refused to ${doing} (HTTP ${status}): ${said === '' ? 'no reason given' : said}; ${rule.advice}.`,
    { class: rule.class, status },
  );
}

/** An error that Docker reported inside a stream that had begun well (load, pull). */
export function errorFromStream(where: string, doing: string, text: string): DockerError {
  const rule = BY_TEXT.find(([pattern]) => pattern.test(text))?.[1] ?? SERVER_FAULT;
  return new DockerError(
    rule.code,
    `Docker on ${where} failed to ${doing}: ${oneLine(text).slice(0, MAX_MESSAGE)}; ${rule.advice}.`,
    { class: rule.class },
  );
}

/** No answer at all, after a connection that had worked before. */
export function unreachable(where: string, doing: string, cause: unknown): DockerError {
  const why = cause instanceof Error ? oneLine(cause.message).slice(0, MAX_MESSAGE) : 'no answer';
  return new DockerError(
    'GF_DOCKER_UNREACHABLE',
    `Docker on ${where} did not answer the request to ${doing} (${why}); check that the Docker service runs there.`,
    { class: 'retryable', cause },
  );
}

export function isDockerStatus(error: unknown, status: number): boolean {
  return error instanceof DockerError && error.status === status;
}

/** The one case where "it is not there" is the answer and not a failure. */
export async function orUndefined<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (isDockerStatus(error, 404)) return undefined;
    throw error;
  }
}

function ruleFor(status: number, text: string): Rule {
  for (const [pattern, rule] of BY_TEXT) if (status >= 400 && pattern.test(text)) return rule;
  return BY_STATUS[status] ?? (status >= 500 ? SERVER_FAULT : UNEXPECTED);
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
