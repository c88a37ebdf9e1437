import type Docker from 'dockerode';
import { GridferryError } from '../errors.ts';
import { envValues, errorFromStatus, unreachable } from './engine-error.ts';

/** One request as docker-modem takes it, and the two fields that this code adds for its own messages. */
export interface DialOptions {
  path: string;
  method: string;
  options?: unknown;
  file?: unknown;
  headers?: Record<string, string>;
  isStream?: boolean;
  hijack?: boolean;
  openStdin?: boolean;
  abortSignal?: AbortSignal;
  statusCodes: Record<number, boolean | string>;
  /** Completes "refused to …". */
  doing?: string;
}

export type DialCallback = (error: unknown, data: unknown) => void;

export interface Modem {
  dial(options: DialOptions, callback: DialCallback): void;
}

export function modemOf(docker: Docker): Modem {
  return docker.modem as unknown as Modem;
}

/**
 * Makes every failure of this client a classified error. docker-modem's own error carries the daemon's raw answer, which
 * may quote a part of the request: that object never leaves here, and values of the request's environment are blotted out.
 */
export function classifyDial(docker: Docker, where: string): void {
  const modem = modemOf(docker);
  const dial = modem.dial.bind(modem);
  modem.dial = (options, callback) => {
    const { abortSignal: signal } = options;
    const doing = options.doing ?? `${options.method} ${options.path.split('?')[0] ?? ''}`;
    const secrets = secretsOf(options.options);
    dial(options, (error, data) => {
      if (error === null || error === undefined) callback(null, data);
      else callback(signal?.aborted === true ? signal.reason : classify(where, doing, secrets, error), data);
    });
  };
}

function classify(where: string, doing: string, secrets: readonly string[], error: unknown): unknown {
  if (error instanceof GridferryError) return isSocketFault(error) ? unreachable(where, doing, error) : error;
  const status = (error as { statusCode?: unknown }).statusCode;
  if (typeof status !== 'number') {
    // A host reports a broken connection with its own code, which says more than "Docker did not answer".
    const cause = (error as { cause?: unknown }).cause;
    return cause instanceof GridferryError && !isSocketFault(cause) ? cause : unreachable(where, doing, error);
  }
  return errorFromStatus(where, doing, status, daemonMessage(error), secrets);
}

/** The machine is there, and what should listen on its socket is not. */
function isSocketFault(error: GridferryError): boolean {
  return error.code === 'GF_HOST_CONNECT_FAILED';
}

/** The daemon's `message`; docker-modem's text adds its own words around it. */
function daemonMessage(error: unknown): string {
  const json = (error as { json?: unknown }).json;
  if (typeof json === 'object' && json !== null && 'message' in json && typeof json.message === 'string') {
    return json.message;
  }
  const message = error instanceof Error ? error.message : '';
  return /^\(HTTP code \d+\) .*? - (?<said>[^]*)$/.exec(message)?.groups?.['said'] ?? message;
}

function secretsOf(options: unknown): string[] {
  if (typeof options !== 'object' || options === null) return [];
  const body = ('_body' in options ? options._body : options) as { Env?: unknown } | null;
  const env = body?.Env;
  return Array.isArray(env) ? envValues(env.filter((entry) => typeof entry === 'string')) : [];
}
