import type { IncomingMessage } from 'node:http';
import { apiVersionOf } from '../../api/meta.ts';
import type { KubeObject, ResourceType } from '../../api/meta.ts';
import type { WatchEvent } from '../client.ts';
import { isJsonObject } from '../json.ts';
import { badAnswer, networkError } from './network-error.ts';
import { statusError } from './status-error.ts';

const NEWLINE = 0x0a;
/** Far above what etcd stores (1.5 MiB); a stream without line ends must not fill the memory. */
const LONGEST_LINE = 32 * 1024 * 1024;
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

/**
 * The events of one watch until the server ends it. Reads only as fast as they are taken, so that a slow consumer holds
 * back the sender and not the memory.
 *
 * @throws ApiError for an `ERROR` event (`Expired` for 410); GridferryError `GF_API_UNREACHABLE` when the stream is cut,
 * `GF_API_BAD_ANSWER` for what is not an event.
 */
export async function* watchEvents<T extends KubeObject>(
  type: ResourceType<T>,
  response: IncomingMessage,
  host: string,
): AsyncGenerator<WatchEvent<T>, void, undefined> {
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  try {
    for await (const chunk of chunksOf(response, host)) {
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
        const rest = chunk.subarray(start, end);
        const line = pendingBytes === 0 ? rest : Buffer.concat([...pending, rest]);
        pending = [];
        pendingBytes = 0;
        start = end + 1;
        if (line.length > 1) yield eventOf(type, line, host);
      }
      if (start === chunk.length) continue;
      pending.push(chunk.subarray(start));
      pendingBytes += chunk.length - start;
      if (pendingBytes > LONGEST_LINE) throw badAnswer(host, `an event of ${type.plural} is longer than 32 MiB`);
    }
  } finally {
    response.destroy();
  }
}

async function* chunksOf(response: IncomingMessage, host: string): AsyncGenerator<Buffer, void, undefined> {
  try {
    for await (const chunk of response) yield chunk as Buffer;
  } catch (error) {
    throw networkError(error, host);
  }
}

function eventOf<T extends KubeObject>(type: ResourceType<T>, line: Buffer, host: string): WatchEvent<T> {
  const event = parse(line);
  const object = isJsonObject(event) ? event['object'] : undefined;
  if (!isJsonObject(event) || !isJsonObject(object)) {
    throw badAnswer(host, `the watch of ${type.plural} says ${JSON.stringify(line.toString('utf8', 0, 100))}`);
  }
  switch (event['type']) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type: event['type'], object: completed(type, object as unknown as T) };
    case 'BOOKMARK':
      return bookmarkOf(object as unknown as KubeObject);
    case 'ERROR':
      throw statusError(typeof object['code'] === 'number' ? object['code'] : 500, object);
    default:
      throw badAnswer(host, `the watch of ${type.plural} says an event of type ${JSON.stringify(event['type'])}`);
  }
}

function bookmarkOf({ metadata }: KubeObject): WatchEvent<never> {
  const resourceVersion = metadata.resourceVersion ?? '';
  const atEnd = metadata.annotations?.[INITIAL_EVENTS_END] === 'true';
  return { type: 'BOOKMARK', resourceVersion, ...(atEnd ? { initialEventsEnd: true } : {}) };
}

/** Items of a list of a built-in kind do not say what they are. */
export function completed<T extends KubeObject>(type: ResourceType<T>, object: T): T {
  const { apiVersion, kind } = object as Partial<KubeObject>;
  if (apiVersion !== undefined && kind !== undefined) return object;
  return { ...object, apiVersion: apiVersionOf(type), kind: type.kind };
}

function parse(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString());
  } catch {
    // The caller names what stands there instead.
    return undefined;
  }
}
