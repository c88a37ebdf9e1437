import { keyOf, keyString } from '../api/meta.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { ManagedServers, PlatformConfigs, Services, Transfers } from '../api/resources.ts';
import type { Client } from '../home/client.ts';
import { sleep } from '../runtime/clock.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Manager } from '../runtime/manager.ts';
import { judgeOther, judgeServer, judgeTransfer } from './verdict.ts';
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
  readonly manager: Pick<Manager, 'pending'> & { readonly stats: readonly { readonly controller: string }[] };
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

async function judgeAll({
  client,
  manager,
}: SettlingOptions): Promise<{ type: ResourceType; object: KubeObject; verdict: Verdict }[]> {
  // Before the objects are read: what is finished in between is seen as active once more, never the other way round.
  const active = activeKeys(manager);
  const controlled = new Set(manager.stats.map(({ controller }) => controller));
  const [servers, transfers, ...others] = await Promise.all([
    client.list(ManagedServers),
    client.list(Transfers),
    client.list(Services),
    client.list(PlatformConfigs),
  ]);
  const judge = <T extends KubeObject>(
    type: ResourceType<T>,
    objects: readonly T[],
    controller: string,
    verdict: (object: T, active: 'now' | 'soon' | undefined) => Verdict,
  ) =>
    objects.map((object) => ({
      type: type as ResourceType,
      object,
      verdict: controlled.has(controller)
        ? verdict(object, active.get(`${controller}/${keyString(keyOf(object))}`))
        : judgeOther(object),
    }));
  return [
    ...judge(ManagedServers, servers.items, controllerNames.server, (object, when) =>
      when === 'now' ? { kind: 'working' } : judgeServer(object, when !== undefined),
    ),
    ...judge(Transfers, transfers.items, controllerNames.transfer, (object, when) => {
      const verdict = judgeTransfer(object, when !== undefined);
      // Who waits for a lock asks for it again and again; that is no news.
      return when === 'now' && verdict.kind !== 'waiting' ? { kind: 'working' } : verdict;
    }),
    ...others.flatMap(({ items }) =>
      items.map((object) => ({
        type: (object.kind === 'Service' ? Services : PlatformConfigs) as ResourceType,
        object: object as KubeObject,
        verdict: judgeOther(object),
      })),
    ),
  ];
}

/** What the controllers call themselves in the queue. */
const controllerNames = { server: 'managed-server', transfer: 'transfer' } as const;

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
