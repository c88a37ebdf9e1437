import type { KubeObject, ResourceType } from '../../api/meta.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { WatchEvent, WatchOptions } from '../client.ts';
import type { Exchange } from './exchange.ts';
import { collectionPath, queryString } from './resource-path.ts';
import { watchEvents } from './watch-stream.ts';

export interface WatchContext {
  readonly exchange: Exchange;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly host: string;
  /** Until the server begins to answer, in ms. */
  readonly deadlineMs: number;
}

/** As client-go's reflector: spread, so that the watches of many do not end together. */
const SHORTEST_WATCH_S = 300;
const LONGEST_WATCH_S = 600;
/** A watch that the server ends sooner, having said nothing, is left to the caller, who knows how to back off. */
const SHORT_WATCH_MS = 1_000;

/** How far a watch has come. */
interface Position {
  version: string | undefined;
  /** Whether the objects that are there already are still being sent. They come in no order, so no version says which. */
  initial: boolean;
}

/** `Client.watch`: opens the next watch where the server ended one at its time. */
export async function* watchCluster<T extends KubeObject>(
  context: WatchContext,
  type: ResourceType<T>,
  options: WatchOptions,
): AsyncGenerator<WatchEvent<T>, void, undefined> {
  const { exchange, clock, host, deadlineMs } = context;
  const { signal, sendInitialEvents = false, resourceVersion: version } = options;
  const fromVersion = version !== undefined && version !== '' && version !== '0';
  const position: Position = { version, initial: sendInitialEvents || !fromVersion };
  while (!options.signal.aborted) {
    const startedAt = clock.monotonic();
    let heard = false;
    const path = collectionPath(type, options.namespace ?? '') + watchQuery(context, options, position);
    try {
      const response = await exchange.open({ method: 'GET', path, signal }, deadlineMs);
      for await (const event of watchEvents(type, response, host)) {
        heard = true;
        follow(position, event, sendInitialEvents);
        yield event;
      }
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
    if (position.initial || (!heard && clock.monotonic() - startedAt < SHORT_WATCH_MS)) return;
  }
}

function follow(position: Position, event: WatchEvent, sendInitialEvents: boolean): void {
  if (event.type === 'BOOKMARK') {
    // Any bookmark comes after the initial events, except where their end is announced.
    if (!sendInitialEvents || event.initialEventsEnd === true) position.initial = false;
    if (!position.initial) position.version = event.resourceVersion;
  } else if (!position.initial) {
    position.version = event.object.metadata.resourceVersion ?? position.version;
  }
}

function watchQuery({ random }: WatchContext, options: WatchOptions, { version, initial }: Position): string {
  const announced = options.sendInitialEvents === true && initial;
  return queryString({
    watch: true,
    allowWatchBookmarks: true,
    timeoutSeconds: SHORTEST_WATCH_S + Math.floor(random() * (LONGEST_WATCH_S - SHORTEST_WATCH_S)),
    labelSelector: options.labelSelector,
    fieldSelector: options.fieldSelector,
    resourceVersion: version,
    ...(announced ? { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' } : {}),
  });
}
