import { createHash } from 'node:crypto';
import { Leases } from '../../src/api/core.ts';
import type { Lease } from '../../src/api/core.ts';
import { API_VERSION } from '../../src/api/meta.ts';
import { Transfers } from '../../src/api/resources.ts';
import type { ManagedServer, Transfer } from '../../src/api/resources.ts';
import { isReason } from '../../src/home/api-error.ts';
import type { Client } from '../../src/home/client.ts';
import { isTrue } from '../../src/runtime/conditions.ts';
import { microTimestamp } from '../../src/runtime/timestamp.ts';
import { subjectOf } from './context.ts';
import { hasEnded } from './status.ts';

/** What only one transfer at a time may hold. */
export interface LockName {
  /** Name of the Lease that stands for it. */
  readonly lease: string;
  /** For people. */
  readonly what: string;
}

export type LockResult =
  { readonly acquired: true } | { readonly acquired: false; readonly position: number; readonly message: string };

/**
 * The locks of a transfer: what it moves (one move of a thing at a time), the place it takes at the target, and the
 * networks of both servers, where they name one.
 */
export function locksOf(
  transfer: Readonly<Transfer>,
  source: Readonly<ManagedServer>,
  target: Readonly<ManagedServer>,
): LockName[] {
  const subject = subjectOf(transfer);
  const networks = [...new Set([source.spec.network, target.spec.network])].filter((name) => name !== undefined);
  return [
    lock(`${subject} on server ${source.metadata.name}`),
    lock(`${subject} on server ${target.metadata.name}`),
    ...networks.map((network) => lock(`network ${network}`)),
  ].sort((a, b) => a.lease.localeCompare(b.lease));
}

function lock(what: string): LockName {
  return { lease: `gridferry-${createHash('sha256').update(what).digest('hex').slice(0, 20)}`, what };
}

/** Takes all locks or none, so that two never wait for each other. Who asks first once they are free gets them. */
export async function acquireLocks(
  client: Client,
  transfer: Readonly<Transfer>,
  names: readonly LockName[],
  now: string,
): Promise<LockResult> {
  const namespace = transfer.metadata.namespace ?? 'default';
  const taken: LockName[] = [];
  for (const name of names) {
    const holder = await take(client, transfer, namespace, name, now);
    if (holder === undefined) {
      taken.push(name);
      continue;
    }
    await Promise.all(taken.map((held) => drop(client, transfer, namespace, held)));
    const position = await queuePosition(client, transfer, holder.transfer);
    return {
      acquired: false,
      position,
      message: `waits for Transfer ${holder.label}, which holds ${name.what}; place ${String(position)} in the queue`,
    };
  }
  return { acquired: true };
}

/** Gives the locks back. Idempotent; another holder's are left alone. */
export async function releaseLocks(
  client: Client,
  transfer: Readonly<Transfer>,
  names: readonly LockName[],
): Promise<void> {
  const namespace = transfer.metadata.namespace ?? 'default';
  await Promise.all(names.map((name) => drop(client, transfer, namespace, name)));
}

interface Holder {
  readonly label: string;
  readonly transfer: Transfer | undefined;
}

/** Takes one lock; answers who has it when it is somebody else. */
async function take(
  client: Client,
  transfer: Readonly<Transfer>,
  namespace: string,
  name: LockName,
  now: string,
): Promise<Holder | undefined> {
  const identity = identityOf(transfer);
  for (;;) {
    try {
      await client.create(Leases, leaseOf(transfer, namespace, name, identity, now));
      return undefined;
    } catch (error) {
      if (!isReason(error, 'AlreadyExists')) throw error;
    }
    let lease: Lease;
    try {
      lease = await client.get(Leases, { namespace, name: name.lease });
    } catch (error) {
      if (isReason(error, 'NotFound')) continue;
      throw error;
    }
    const found = lease.spec?.holderIdentity ?? '';
    if (found === identity) return undefined;
    const holder = await holderOf(client, namespace, found);
    if (holder.transfer !== undefined && !hasEnded(holder.transfer)) return holder;
    // Its holder is gone or has ended: the precondition makes sure that it is still that lease which goes.
    await client
      .delete(
        Leases,
        { namespace, name: name.lease },
        {
          preconditions: lease.metadata.uid === undefined ? {} : { uid: lease.metadata.uid },
        },
      )
      .catch((error: unknown) => {
        if (!isReason(error, 'NotFound', 'Conflict')) throw error;
      });
  }
}

async function holderOf(client: Client, namespace: string, identity: string): Promise<Holder> {
  const [name = '', uid = ''] = identity.split('/');
  try {
    const transfer = await client.get(Transfers, { namespace, name });
    return { label: name, transfer: transfer.metadata.uid === uid ? transfer : undefined };
  } catch (error) {
    if (isReason(error, 'NotFound')) return { label: name, transfer: undefined };
    throw error;
  }
}

async function drop(client: Client, transfer: Readonly<Transfer>, namespace: string, name: LockName): Promise<void> {
  try {
    const lease = await client.get(Leases, { namespace, name: name.lease });
    if (lease.spec?.holderIdentity !== identityOf(transfer)) return;
    await client.delete(
      Leases,
      { namespace, name: name.lease },
      {
        preconditions: lease.metadata.uid === undefined ? {} : { uid: lease.metadata.uid },
      },
    );
  } catch (error) {
    if (!isReason(error, 'NotFound', 'Conflict')) throw error;
  }
}

/** How many older transfers wait for the same holder, plus one. */
async function queuePosition(
  client: Client,
  transfer: Readonly<Transfer>,
  holder: Transfer | undefined,
): Promise<number> {
  const namespace = transfer.metadata.namespace ?? 'default';
  const { items } = await client.list(Transfers, { namespace });
  const age = (one: Readonly<Transfer>): string => `${one.metadata.creationTimestamp ?? ''} ${one.metadata.name}`;
  const waitsForIt = (one: Transfer): boolean =>
    !hasEnded(one) &&
    !isTrue(one.status?.conditions, 'LockAcquired') &&
    holder !== undefined &&
    subjectOf(one) === subjectOf(transfer);
  return 1 + items.filter((one) => waitsForIt(one) && age(one) < age(transfer)).length;
}

function identityOf(transfer: Readonly<Transfer>): string {
  return `${transfer.metadata.name}/${transfer.metadata.uid ?? ''}`;
}

function leaseOf(
  transfer: Readonly<Transfer>,
  namespace: string,
  name: LockName,
  identity: string,
  now: string,
): Lease {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name: name.lease,
      namespace,
      annotations: { 'gridferry.io/lock': name.what },
      ownerReferences: [
        {
          apiVersion: API_VERSION,
          kind: 'Transfer',
          name: transfer.metadata.name,
          uid: transfer.metadata.uid ?? '',
        },
      ],
    },
    spec: { holderIdentity: identity, acquireTime: microTimestamp(Date.parse(now)) },
  };
}
