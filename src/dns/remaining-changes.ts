import { GridferryError } from '../errors.ts';
import { canonicalContent, normalizeName, sameIdentity, sameRecord } from './provider.ts';
import type { DnsChange, DnsRecordSnapshot, NewDnsRecord } from './provider.ts';

/** Changes that are still to be made, in the order in which they do not get into each other's way. */
export interface RemainingChanges {
  readonly deletes: readonly DnsRecordSnapshot[];
  readonly updates: readonly { readonly current: DnsRecordSnapshot; readonly to: DnsRecordSnapshot }[];
  readonly creates: readonly NewDnsRecord[];
}

/**
 * What of `changes` is not yet so, given the records that are there now (all of the names concerned).
 *
 * @throws GF_DNS_CHANGED (conflict) when a record is neither as it was nor as it is to be.
 */
export function remainingChanges(
  changes: readonly DnsChange[],
  observed: readonly DnsRecordSnapshot[],
): RemainingChanges {
  const byId = new Map(observed.map((record) => [record.id, record]));
  const deletes: DnsRecordSnapshot[] = [];
  const updates: { current: DnsRecordSnapshot; to: DnsRecordSnapshot }[] = [];
  const creates: NewDnsRecord[] = [];

  for (const change of changes) {
    if (change.kind === 'delete') {
      const current = byId.get(change.record.id);
      if (current === undefined) continue;
      if (!sameIdentity(current, change.record)) throw changedMeanwhile(change.record, current);
      deletes.push(current);
    } else if (change.kind === 'update') {
      const current = byId.get(change.to.id);
      if (current === undefined) throw changedMeanwhile(change.from, undefined);
      if (sameRecord(current, change.to)) continue;
      if (!isBetween(current, change.from, change.to)) throw changedMeanwhile(change.from, current);
      updates.push({ current, to: change.to });
    } else {
      const current = observed.find((record) => sameIdentity(record, change.record));
      if (current === undefined) creates.push(change.record);
      // Somebody made it first. A proxied one hides the server's address: that is never undone in passing.
      else if (!sameRecord(current, change.record) && !(current.proxied && !change.record.proxied)) {
        updates.push({ current, to: { ...change.record, id: current.id } });
      }
    }
  }

  const leaving = new Set([...deletes.map(({ id }) => id), ...updates.map(({ current }) => current.id)]);
  for (const { current, to } of updates) {
    const twin = observed.find((record) => record.id !== current.id && sameIdentity(record, to));
    if (twin !== undefined && !leaving.has(twin.id)) throw changedMeanwhile(current, twin);
  }
  return { deletes, updates, creates };
}

function isBetween(current: DnsRecordSnapshot, from: DnsRecordSnapshot, to: DnsRecordSnapshot): boolean {
  const content = canonicalContent(current.type, current.content);
  return (
    current.type === from.type &&
    normalizeName(current.name) === normalizeName(from.name) &&
    [from, to].some((end) => canonicalContent(end.type, end.content) === content) &&
    // The proxy was switched on since the plan was made: carrying the plan out would switch it off again.
    !(current.proxied && !from.proxied && !to.proxied)
  );
}

function changedMeanwhile(expected: DnsRecordSnapshot, found: DnsRecordSnapshot | undefined): GridferryError {
  const what = found === undefined ? 'is gone' : `is now ${found.content}${found.proxied ? ' (proxied)' : ''}`;
  return new GridferryError(
    'GF_DNS_CHANGED',
    `Somebody changed ${expected.type} ${expected.name} meanwhile: ${expected.content} was expected and ${what}. It is read and planned again.`,
    { class: 'conflict' },
  );
}
