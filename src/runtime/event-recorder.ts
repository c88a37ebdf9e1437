import type { Logger } from 'pino';
import { Events } from '../api/core.ts';
import type { EventObject } from '../api/core.ts';
import type { KubeObject, ObjectKey } from '../api/meta.ts';
import { isReason } from '../home/api-error.ts';
import type { Client } from '../home/client.ts';
import { createBoundedMap } from './bounded-map.ts';
import type { Clock } from './clock.ts';
import { timestamp } from './timestamp.ts';

export interface EventRecorderOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  /** Who reports, to tell replicas apart: a host or pod name. */
  readonly instance: string;
}

export interface RecordedEvent {
  readonly object: Readonly<KubeObject>;
  readonly type: 'Normal' | 'Warning';
  /** CamelCase. */
  readonly reason: string;
  readonly message: string;
  /** The controller that reports it. */
  readonly component: string;
}

/** Posts Events as `kubectl describe` shows them. Never throws and never waits: an Event is told, not relied upon. */
export interface EventRecorder {
  record(event: RecordedEvent): void;
  /** Resolves when everything recorded so far is posted or given up. */
  flush(): Promise<void>;
  readonly stats: EventRecorderStats;
}

export interface EventRecorderStats {
  posted: number;
  /** Not posted because of the limit per object, or because too many were waiting. */
  dropped: number;
  /** Refused or not answered by the API. */
  failed: number;
}

/** Events of one object: so many at once, and one more after each interval. A transfer has some thirty steps. */
const BURST = 50;
const REFILL_MS = 10_000;
/** How many distinct events and objects are remembered. */
const REMEMBERED = 4_096;
/** Events waiting for a slow API: beyond it the newest are dropped. */
const MAX_WAITING = 1_000;
/** The limit of the `v1` Event's message in the Kubernetes API. */
const MAX_MESSAGE = 1_024;
/** Names are DNS subdomains of at most 253; the hexadecimal suffix takes up to 17 of them. */
const MAX_NAME = 253 - 17;

interface Posted {
  readonly key: ObjectKey;
  count: number;
}

export function createEventRecorder(options: EventRecorderOptions): EventRecorder {
  const { client, clock, random, log, instance } = options;
  const buckets = createBoundedMap<{ tokens: number; at: number }>(REMEMBERED);
  const posted = createBoundedMap<Posted>(REMEMBERED);
  const waiting: { readonly event: RecordedEvent; readonly at: string }[] = [];
  const stats: EventRecorderStats = { posted: 0, dropped: 0, failed: 0 };
  let sequence = Math.floor(random() * 1_000_000);
  let posting: Promise<void> | undefined;

  function admit({ object }: RecordedEvent): boolean {
    const id = identity(object);
    const now = clock.monotonic();
    const bucket = buckets.get(id) ?? { tokens: BURST, at: now };
    bucket.tokens = Math.min(BURST, bucket.tokens + (now - bucket.at) / REFILL_MS);
    bucket.at = now;
    buckets.set(id, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  async function postAll(): Promise<void> {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      try {
        await post(next.event, next.at);
        stats.posted++;
      } catch (error) {
        stats.failed++;
        log.warn({ err: error, reason: next.event.reason }, 'an event could not be posted');
      }
    }
    posting = undefined;
  }

  async function post(event: RecordedEvent, at: string): Promise<void> {
    const id = JSON.stringify([identity(event.object), event.component, event.type, event.reason, event.message]);
    const earlier = posted.get(id);
    if (earlier !== undefined) {
      try {
        const body = { count: earlier.count + 1, lastTimestamp: at };
        await client.patch(Events, earlier.key, { type: 'merge', body });
        earlier.count++;
        return;
      } catch (error) {
        if (!isReason(error, 'NotFound')) throw error;
        // Its hour is over: tell it anew.
        posted.delete(id);
      }
    }
    const object = toEvent(event, at);
    const key = { namespace: object.metadata.namespace ?? '', name: object.metadata.name };
    await client.create(Events, object);
    posted.set(id, { key, count: 1 });
  }

  function toEvent({ object, type, reason, message, component }: RecordedEvent, at: string): EventObject {
    const { name, uid, resourceVersion } = object.metadata;
    // An Event lives in the namespace of its object; one of a cluster-scoped object lives in `default`.
    const namespace = object.metadata.namespace ?? 'default';
    // Nanoseconds in hexadecimal, as client-go names them. Below the millisecond they are a count that starts anywhere:
    // no two of this process are the same, and hardly two of different ones.
    sequence = (sequence + 1) % 1_000_000;
    const suffix = (BigInt(clock.now()) * 1_000_000n + BigInt(sequence)).toString(16);
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name.slice(0, MAX_NAME).replace(/[^a-z0-9]+$/, '')}.${suffix}`, namespace },
      involvedObject: {
        apiVersion: object.apiVersion,
        kind: object.kind,
        name,
        namespace,
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
      type,
      reason,
      message: message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE - 1)}…` : message,
      count: 1,
      firstTimestamp: at,
      lastTimestamp: at,
      source: { component },
      reportingComponent: `gridferry.io/${component}`,
      reportingInstance: instance,
    };
  }

  return {
    stats,
    record(event) {
      if (waiting.length >= MAX_WAITING || !admit(event)) {
        stats.dropped++;
        return;
      }
      waiting.push({ event, at: timestamp(clock.now()) });
      posting ??= postAll();
    },
    async flush() {
      await posting;
    },
  };
}

function identity({ kind, metadata }: Readonly<KubeObject>): string {
  return metadata.uid ?? `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
}
