import type { ManagedServer, Service, Transfer, TransferStatus } from '../../../src/api/resources.ts';
import { findCondition } from '../../../src/runtime/conditions.ts';
import { parseDuration } from '../../../src/runtime/duration.ts';
import { subjectOf } from '../context.ts';
import { hasEnded } from '../status.ts';

/** Whether `spec.rollback` would be accepted now, and why not. The reasons are those of the condition `CanRollback`. */
export type Outlook =
  | { readonly possible: true; readonly message: string }
  | { readonly possible: false; readonly reason: Refusal; readonly message: string };

export type Refusal =
  | 'NotMoved'
  | 'AlreadyRolledBack'
  | 'WindowOver'
  | 'SourceDeleted'
  | LookRefusal
  | 'MovedOn'
  | 'TransferActive'
  | 'ServerNotOnline';

/** What a look at the servers found in the way; it counts until the next look. */
export const lookRefusals = ['SourceGone', 'SourceChanged', 'TargetGone', 'NameOrPortTaken'] as const;
export type LookRefusal = (typeof lookRefusals)[number];

export interface OutlookFacts {
  readonly transfer: Readonly<Transfer>;
  /** In the making: newer than that of the transfer. */
  readonly status: Readonly<TransferStatus>;
  readonly source: Readonly<ManagedServer> | undefined;
  readonly target: Readonly<ManagedServer> | undefined;
  readonly service: Readonly<Service> | undefined;
  /** The transfers of the namespace, in whatever order. */
  readonly transfers: readonly Readonly<Transfer>[];
  /** Wall clock, ms. */
  readonly now: number;
}

/** Until when the service can be brought back, as wall clock in ms; undefined when it was never moved. */
export function rollbackDeadlineOf(status: Readonly<TransferStatus>, spec: Transfer['spec']): number | undefined {
  if (status.committedAt === undefined || status.outcome !== undefined) return undefined;
  if (status.rollbackDeadline !== undefined) return Date.parse(status.rollbackDeadline);
  return Date.parse(status.completionTime ?? status.committedAt) + parseDuration(spec.rollbackWindow);
}

/** Looks at what is recorded, here and of others. Pure. */
export function outlookOf(facts: OutlookFacts): Outlook {
  const { transfer, status, source, target, now } = facts;
  const deadline = rollbackDeadlineOf(status, transfer.spec);
  if (deadline === undefined)
    return refused('NotMoved', 'the service is at the source: there is nothing to bring back');
  if (status.rollback?.outcome === 'RolledBack') {
    return refused('AlreadyRolledBack', 'it was brought back already: make a new Transfer to move it again');
  }
  if (status.sourceDeletedAt !== undefined) {
    return refused('SourceDeleted', `the stopped source was deleted at ${status.sourceDeletedAt}, as retention says`);
  }
  const until = new Date(deadline).toISOString();
  if (now >= deadline) {
    return refused('WindowOver', `rollbackWindow ended at ${until}: move the service with a new Transfer`);
  }
  const seen = lookRefusal(status);
  if (seen !== undefined) return seen;
  const elsewhere = movedOn(facts);
  if (elsewhere !== undefined) return elsewhere;
  for (const server of [source, target]) {
    if (server === undefined)
      return refused('ServerNotOnline', 'a server it was moved between does not exist any more');
    if (server.status?.phase === 'Online') continue;
    return refused('ServerNotOnline', `server ${server.metadata.name} is not online`);
  }
  return { possible: true, message: `until ${until}` };
}

/** What the last look at the servers found, if it found something. */
function lookRefusal({ conditions }: Readonly<TransferStatus>): Outlook | undefined {
  const found = findCondition(conditions, 'CanRollback');
  const reason = lookRefusals.find((one) => one === found?.reason);
  return reason === undefined || found === undefined ? undefined : refused(reason, found.message);
}

/** Whether another transfer has moved the service away from the target since, or is about to. */
function movedOn({ transfer, status, service, transfers }: OutlookFacts): Outlook | undefined {
  const target = transfer.spec.targetServerRef.name;
  if (service?.status?.server !== undefined && ![target, status.sourceServer].includes(service.status.server)) {
    return refused('MovedOn', `Service ${service.metadata.name} is on server ${service.status.server} by now`);
  }
  const subject = service?.spec.container ?? subjectOf(transfer);
  for (const other of transfers) {
    if (other.metadata.uid === transfer.metadata.uid || ![subject, subjectOf(transfer)].includes(subjectOf(other)))
      continue;
    if (other.status?.startTime === undefined) continue;
    const touches = [other.status.sourceServer, other.spec.targetServerRef.name].some(
      (name) => name === target || name === status.sourceServer,
    );
    if (touches && !hasEnded(other)) {
      return refused('TransferActive', `Transfer ${other.metadata.name} moves it just now`);
    }
    const left = other.status.sourceServer === target && isAway(other.status);
    if (left && Date.parse(other.status.startTime) >= Date.parse(status.committedAt ?? '')) {
      return refused('MovedOn', `Transfer ${other.metadata.name} has moved it on from server ${target}`);
    }
  }
  return undefined;
}

/** Whether a transfer that has ended left the service at its target. */
function isAway({ committedAt, outcome, rollback }: Readonly<TransferStatus>): boolean {
  return committedAt !== undefined && outcome === undefined && rollback?.outcome !== 'RolledBack';
}

function refused(reason: Refusal, message: string): Extract<Outlook, { possible: false }> {
  return { possible: false, reason, message };
}
