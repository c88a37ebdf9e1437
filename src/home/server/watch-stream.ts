import type { ServerResponse } from 'node:http';
import { apiVersionOf } from '../../api/meta.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { StoredEvent } from '../home-reader.ts';
import type { StoredObject } from '../stored-object.ts';
import { asApiError } from './answer.ts';
import { contentTypeOf, shapeOf } from './representation.ts';
import type { View } from './representation.ts';
import { failureStatus } from './status-body.ts';

export interface WatchStreamOptions {
  readonly response: ServerResponse;
  readonly events: AsyncIterable<readonly StoredEvent[]>;
  readonly view: View;
  readonly allowBookmarks: boolean;
  readonly timeoutMs: number;
  /** Ends the watch in good order. */
  readonly abort: AbortController;
  /** How long a client may leave its connection full. What it has not read yet waits in the change log. */
  readonly drainMs: number;
}

/** Sends what happens, a line of JSON for each event, until the client leaves, the time is over or the home closes. */
export async function streamWatch(options: WatchStreamOptions): Promise<void> {
  const { response, events, view, allowBookmarks, timeoutMs, abort } = options;
  const { clock } = view;
  const end = (): void => abort.abort();
  const stopTimer = clock.after(timeoutMs, end);
  response.on('close', end);
  // A watch may have nothing to say for as long as it lasts.
  response.socket?.setTimeout(0);
  const line = lineWriter(view);
  try {
    response.writeHead(200, { 'content-type': watchType(view), 'cache-control': 'no-cache, private' });
    response.flushHeaders();
    try {
      for await (const batch of events) {
        const lines: string[] = [];
        for (const event of batch) {
          if (event.type !== 'BOOKMARK') lines.push(line.event(event.type, event.stored));
          else if (allowBookmarks) lines.push(line.bookmark(event.resourceVersion, event.initialEventsEnd === true));
        }
        if (lines.length === 0) continue;
        if (!response.write(lines.join('')) && !(await drained(response, clock, options.drainMs, abort))) {
          response.destroy();
          return;
        }
      }
    } catch (error) {
      response.write(`${JSON.stringify({ type: 'ERROR', object: failureStatus(asApiError(error)) })}\n`);
    }
    response.end();
  } finally {
    stopTimer();
    response.off('close', end);
    end();
  }
}

function watchType(view: View): string {
  return contentTypeOf({ ...view.representation, encoding: 'json' });
}

interface LineWriter {
  event(type: 'ADDED' | 'MODIFIED' | 'DELETED', stored: StoredObject): string;
  bookmark(resourceVersion: string, initialEventsEnd: boolean): string;
}

/** The lines of events as they are stored, made once for all watchers: those that keep up share the stored object. */
const plainLines = new WeakMap<StoredObject, Map<string, string>>();

function plainLine(type: string, stored: StoredObject): string {
  let lines = plainLines.get(stored);
  if (lines === undefined) plainLines.set(stored, (lines = new Map<string, string>()));
  let line = lines.get(type);
  if (line === undefined) lines.set(type, (line = `{"type":"${type}","object":${stored.json}}\n`));
  return line;
}

function lineWriter(view: View): LineWriter {
  const { type, representation } = view;
  // Of a table's columns the client is told once.
  let first = true;
  const shaped = (object: Parameters<typeof shapeOf>[0]): unknown => {
    const shape = shapeOf(object, view, first);
    first = false;
    return shape;
  };
  return {
    event(event, stored) {
      if (representation.as === undefined) return plainLine(event, stored);
      return `${JSON.stringify({ type: event, object: shaped(stored.object) })}\n`;
    },
    bookmark(resourceVersion, initialEventsEnd) {
      const annotations = initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
      const object = {
        kind: type.kind,
        apiVersion: apiVersionOf(type),
        metadata: { resourceVersion, ...annotations },
      };
      const shape = representation.as === undefined ? object : shaped(object as never);
      return `${JSON.stringify({ type: 'BOOKMARK', object: shape })}\n`;
    },
  };
}

/** Whether the client took what was sent to it in time. */
function drained(response: ServerResponse, clock: Clock, ms: number, abort: AbortController): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (inTime: boolean): void => {
      cancel();
      response.off('drain', onDrain);
      abort.signal.removeEventListener('abort', onEnd);
      resolve(inTime);
    };
    const onDrain = (): void => settle(true);
    const onEnd = (): void => settle(false);
    const cancel = clock.after(ms, onEnd);
    response.once('drain', onDrain);
    abort.signal.addEventListener('abort', onEnd, { once: true });
    if (abort.signal.aborted) settle(false);
  });
}
