import { keyOf, keyString } from '../api/meta.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { ManagedServers, PlatformConfigs, Services, Transfers } from '../api/resources.ts';
import type { Client } from '../home/client.ts';
import { sleep } from '../runtime/clock.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Manager } from '../runtime/manager.ts';
import { judgeObject } from './verdict.ts';
import type { Verdict } from './verdict.ts';

const POLL_MS = 200;

/**
 * How long nothing may have moved before what waits is taken to wait for ever: longer than it takes a transfer to
 * notice that a lock is free, or that a server is back.
 */
const QUIET_MS = 3000;

/** Everything that is good takes one more look, for what its end has set in motion. */
const SETTLED_MS = POLL_MS;

export interface ObjectVerdict {
  readonly type: ResourceType;
  readonly object: Readonly<KubeObject>;
  readonly verdict: Exclude<Verdict, { kind: 'working' }>;
}

export interface SettlingOptions {
  readonly client: Client;
  readonly manager: Pick<Manager, 'pending'>;
  /** What the controllers that run are called, by the kind they reconcile. A kind without one is settled as it is. */
  readonly controllers: ReadonlyMap<string, string>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Resolves with what has become of every object, when none of them is going to change by itself. */
export async function waitUntilSettled(options: SettlingOptions): Promise<readonly ObjectVerdict[]> {
  const { clock, signal } = options;
  let picture = '';
  let since = clock.monotonic();
  for (;;) {
    const verdicts = await judgeAll(options);
    const now = clock.monotonic();
    const next = verdicts
      .map(({ object, verdict }) => `${object.kind}/${keyString(keyOf(object))} ${JSON.stringify(verdict)}`)
      .join('\n');
    if (next !== picture) {
      picture = next;
      since = now;
    }
    const settled = verdicts.every(isSettled);
    const wait = verdicts.some(({ verdict }) => verdict.kind === 'waiting') ? QUIET_MS : SETTLED_MS;
    if (settled && now - since >= wait) return verdicts.filter(isSettled);
    await sleep(clock, POLL_MS, signal);
  }
}

function isSettled(entry: { readonly verdict: Verdict }): entry is ObjectVerdict {
  return entry.verdict.kind !== 'working';
}

interface Judged {
  readonly type: ResourceType;
  readonly object: Readonly<KubeObject>;
  readonly verdict: Verdict;
}

async function judgeAll({ client, manager, controllers }: SettlingOptions): Promise<Judged[]> {
  // Before the objects are read: what is finished in between is seen as active once more, never the other way round.
  const active = activeKeys(manager);
  const judged: Judged[] = [];
  for (const type of [ManagedServers, Transfers, Services, PlatformConfigs] as readonly ResourceType[]) {
    const controller = controllers.get(type.kind);
    const { items } = await client.list(type);
    for (const object of items) {
      const when = active.get(`${controller ?? ''}/${keyString(keyOf(object))}`);
      judged.push({ type, object, verdict: controller === undefined ? applied : judge(object, when) });
    }
  }
  return judged;
}

const applied: Verdict = { kind: 'good', message: 'applied' };

function judge(object: Readonly<KubeObject>, when: 'now' | 'soon' | undefined): Verdict {
  const verdict = judgeObject(object, when !== undefined);
  // Who waits for a lock asks for it again and again; that is no news.
  return when === 'now' && verdict.kind !== 'waiting' ? { kind: 'working' } : verdict;
}

/** `now`: running or about to. `soon`: waits for its time, but not for the periodic second look. */
function activeKeys(manager: Pick<Manager, 'pending'>): Map<string, 'now' | 'soon'> {
  const { running, ready, delayed } = manager.pending();
  const keys = new Map<string, 'now' | 'soon'>();
  for (const { controller, key, priority } of delayed) {
    if (priority !== 'resync') keys.set(`${controller}/${key}`, 'soon');
  }
  for (const { controller, key } of [...running, ...ready]) keys.set(`${controller}/${key}`, 'now');
  return keys;
}
