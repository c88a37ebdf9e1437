import { createHash } from 'node:crypto';
import type { KubeObject } from '../../../src/api/meta.ts';
import { ManagedServers, Services, Transfers } from '../../../src/api/resources.ts';
import type { ManagedServer, Service, Transfer } from '../../../src/api/resources.ts';
import type { Cache } from '../../../src/runtime/cache.ts';
import { findCondition } from '../../../src/runtime/conditions.ts';
import type { ReconcileContext } from '../../../src/runtime/reconciler.ts';
import { subjectOf } from '../context.ts';
import type { Contender, LockWish } from './queue.ts';
import { sourceNameOf } from '../references.ts';
import { hasEnded } from '../status.ts';

/** How many transfers may touch a server at the same time when nothing is said: the default of the schema. */
const MAX_TRANSFERS = 4;

export interface Ends {
  readonly source: Readonly<ManagedServer>;
  readonly target: Readonly<ManagedServer>;
  readonly service?: Readonly<Service> | undefined;
}

/**
 * What a transfer has to have for itself before it begins: what it moves (one move of a thing at a time), the place it
 * takes at the target, the networks of both servers, where they name one, and a place on both servers.
 */
export function wishesOf(transfer: Readonly<Transfer>, { source, target, service }: Ends): LockWish[] {
  // A Service and its container are one thing, by whichever name it is moved.
  const subject = service?.spec.container ?? subjectOf(transfer);
  const networks = [...new Set([source.spec.network, target.spec.network])].filter((name) => name !== undefined);
  return [
    wish(`${subject} on server ${source.metadata.name}`),
    wish(`${subject} on server ${target.metadata.name}`),
    ...networks.map((network) => wish(`network ${network}`)),
    ...[source, target].map(({ metadata, spec }) =>
      wish(`a place on server ${metadata.name}`, (spec as { maxTransfers?: number }).maxTransfers ?? MAX_TRANSFERS),
    ),
  ];
}

function wish(what: string, places = 1): LockWish {
  return { lock: `gridferry-${createHash('sha256').update(what).digest('hex').slice(0, 20)}`, what, places };
}

export function contenderOf(transfer: Readonly<Transfer>, ends: Ends): Contender {
  const { uid = '', name, creationTimestamp = '' } = transfer.metadata;
  return { uid, name, createdAt: creationTimestamp, wishes: wishesOf(transfer, ends) };
}

/** All transfers of a namespace that stand in the queue, as far as is known; those that could not begin do not. */
export function waitersOf({ cache, key }: Pick<ReconcileContext<Transfer>, 'cache' | 'key'>): Contender[] {
  const servers = cache(ManagedServers);
  const services = cache(Services);
  return cache(Transfers)
    .list(key.namespace)
    .filter(isWaiting)
    .flatMap((transfer) => {
      const service = find(services, key.namespace, transfer.spec.serviceRef?.name);
      const source = find(servers, key.namespace, sourceNameOf(transfer, service));
      const target = find(servers, key.namespace, transfer.spec.targetServerRef.name);
      return source === undefined || target === undefined ? [] : [contenderOf(transfer, { source, target, service })];
    });
}

function isWaiting(transfer: Readonly<Transfer>): boolean {
  const { metadata, spec, status } = transfer;
  if (spec.mode === 'Plan' || spec.suspend || spec.cancel || metadata.deletionTimestamp !== undefined) return false;
  if (status?.startTime !== undefined || hasEnded(transfer)) return false;
  return findCondition(status?.conditions, 'Accepted')?.status !== 'False';
}

/** Whether a transfer that holds locks makes no progress until its user says so. */
export function isIdle({ cache, key }: Pick<ReconcileContext<Transfer>, 'cache' | 'key'>, name: string): boolean {
  const holder = cache(Transfers).get({ namespace: key.namespace, name });
  if (holder === undefined) return false;
  return holder.spec.suspend || holder.status?.currentStep === 'await-cutover';
}

function find<T extends KubeObject>(cache: Cache<T>, namespace: string, name: string | undefined): T | undefined {
  return name === undefined ? undefined : cache.get({ namespace, name });
}
