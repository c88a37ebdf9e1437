import type Docker from 'dockerode';
import type { Readable } from 'node:stream';
import { GridferryError, messageOf } from '../errors.ts';
import type { Host } from '../ssh/host.ts';
import { modemOf } from './dial.ts';
import type { DialOptions } from './dial.ts';

/** What a call needs of an engine, so that the connection can use it before its facts are known. */
export interface ApiTarget {
  readonly docker: Docker;
  readonly host: Host;
}

export interface ApiCall {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  /** Segments, each encoded: a name out of a resource cannot climb to another endpoint. */
  readonly path: readonly string[];
  readonly query?: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;
  readonly body?: unknown;
  readonly file?: Readable;
  readonly signal?: AbortSignal;
  /** Completes "Docker on s1 refused to …". */
  readonly doing: string;
}

const SUCCESS: Readonly<Record<number, true>> = { 200: true, 201: true, 202: true, 204: true, 304: true };

/**
 * A request to the Engine API that answers JSON.
 *
 * dockerode's own methods put the body of a create into the URL as well, environment and all; here the query and the
 * body are separate.
 */
export function dockerCall<T>(target: ApiTarget, call: ApiCall): Promise<T> {
  return dial<T>(target, call, false);
}

/** A request that answers a stream. The caller reads it to its end or destroys it. */
export function dockerStream(target: ApiTarget, call: ApiCall): Promise<Readable> {
  return dial<Readable>(target, call, true);
}

/** A label or other filter, as list endpoints take it. */
export function filters(value: Readonly<Record<string, readonly string[]>>): string {
  return JSON.stringify(value);
}

function dial<T>(target: ApiTarget, call: ApiCall, isStream: boolean): Promise<T> {
  const query = Object.fromEntries(Object.entries(call.query ?? {}).filter(([, value]) => value !== undefined));
  // The question mark asks docker-modem to append the query.
  const path = `/${call.path.map(segment).join('/')}${Object.keys(query).length > 0 ? '?' : ''}`;
  const options: DialOptions = {
    path,
    method: call.method,
    options: { _query: query, _body: call.body ?? {} },
    isStream,
    statusCodes: { ...SUCCESS },
    doing: call.doing,
    ...(call.file === undefined ? {} : { file: call.file }),
    ...(call.signal === undefined ? {} : { abortSignal: call.signal }),
  };
  return new Promise<T>((resolve, reject) => {
    if (call.signal?.aborted === true) {
      reject(call.signal.reason as Error);
      return;
    }
    modemOf(target.docker).dial(options, (error, data) => {
      if (error === null) resolve((isStream ? data : jsonOf(data)) as T);
      // The caller's own reason for an abort may be anything.
      else reject(error instanceof Error ? error : new Error(messageOf(error)));
    });
  });
}

/** docker-modem hands over the bytes where the JSON is `null`, as in the changes of a container that wrote nothing. */
function jsonOf(data: unknown): unknown {
  return Buffer.isBuffer(data) && data.toString('utf8').trim() === 'null' ? null : data;
}

function segment(value: string): string {
  if (value === '' || value === '.' || value === '..') {
    throw new GridferryError(
      'GF_DOCKER_BAD_NAME',
      'An empty name or a dot cannot name a Docker object; give its name.',
    );
  }
  return encodeURIComponent(value);
}
