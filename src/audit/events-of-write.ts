import type { KubeObject } from '../api/meta.ts';
import { deepEqual } from '../runtime/structural.ts';
import type { AuditEvent } from './chain.ts';

/** One write of one object, after everything that the API does to it. */
export interface ObservedWrite {
  readonly event: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: KubeObject;
  /** As it was before. */
  readonly old?: KubeObject | undefined;
  /** The field manager, or the program that asked. */
  readonly by?: string | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

/** Fields of a spec by which users give orders. Of a `retryToken` only that it changed: its text is the user's own. */
const VERBS = [
  'cancel',
  'suspend',
  'rollback',
  'retryToken',
  'cutoverNow',
  'approved',
  'skipBackup',
  'mode',
  'drain',
  'unschedulable',
];
/** What the API itself keeps there. */
const BOOKKEEPING = new Set(['resourceVersion', 'generation', 'managedFields', 'uid', 'creationTimestamp']);

/**
 * What a write means to somebody who asks later what happened: names, phases, steps and codes, and which fields were
 * changed, but never a value that a user chose freely. What controllers note in a status without meaning anything by it
 * (progress, probes) is no event, nor are `Event`s, which are a log themselves.
 */
export function eventsOfWrite(write: ObservedWrite): AuditEvent[] {
  const { object } = write;
  if (object.kind === 'Event') return [];
  const { name, namespace, uid } = object.metadata;
  const about = { kind: object.kind, namespace, name, uid, by: write.by };
  const meanings = object.kind === 'Lease' ? lockEvents(write) : [...objectEvents(write), ...statusEvents(write)];
  return meanings.map(({ event, ...facts }) => ({ event, ...about, ...facts }));
}

function objectEvents({ event, object, old }: ObservedWrite): AuditEvent[] {
  if (event === 'DELETED') return [{ event: 'Deleted' }];
  const verbs = verbEvents(object, old);
  if (event === 'ADDED' || old === undefined) return [{ event: 'Created' }, ...verbs];
  const changed = changedFields(object, old);
  const marked = object.metadata.deletionTimestamp !== undefined && old.metadata.deletionTimestamp === undefined;
  return [
    ...(changed.length > 0 ? [{ event: 'Updated', changed }] : []),
    ...verbs,
    ...(marked ? [{ event: 'DeletionRequested' }] : []),
  ];
}

function verbEvents(object: KubeObject, old: KubeObject | undefined): AuditEvent[] {
  const [now, before] = [fieldsOf(fieldsOf(object)['spec']), fieldsOf(fieldsOf(old)['spec'])];
  return VERBS.filter((verb) => !deepEqual(now[verb], before[verb]) && !isUnsaid(now[verb], before[verb])).map(
    (verb) => ({
      event: 'VerbSet',
      verb,
      ...(verb === 'retryToken' ? {} : { value: JSON.stringify(now[verb] ?? null) }),
    }),
  );
}

/** A default that came with the object was said by nobody. */
function isUnsaid(now: unknown, before: unknown): boolean {
  return before === undefined && (now === false || now === '' || now === undefined);
}

/** Such as `spec.suspend` and `metadata.labels`; of a Secret the names of its keys, `data.password`. */
function changedFields(object: KubeObject, old: KubeObject): string[] {
  const [now, before] = [fieldsOf(object), fieldsOf(old)];
  return [...new Set([...Object.keys(before), ...Object.keys(now)])]
    .filter((part) => part !== 'status' && !deepEqual(now[part], before[part]))
    .flatMap((part) => {
      const [inside, was] = [fieldsOf(now[part]), fieldsOf(before[part])];
      const names = [...new Set([...Object.keys(was), ...Object.keys(inside)])];
      const changed = names.filter((name) => !deepEqual(inside[name], was[name]));
      if (changed.length === 0) return [part];
      return changed.filter((name) => part !== 'metadata' || !BOOKKEEPING.has(name)).map((name) => `${part}.${name}`);
    })
    .sort();
}

function statusEvents({ event, object, old }: ObservedWrite): AuditEvent[] {
  if (event === 'DELETED') return [];
  const [now, before] = [fieldsOf(object.status), fieldsOf(old?.status)];
  const events: AuditEvent[] = [...stepEvents(now, before), ...credentialEvents(now, before)];
  if (now['committedAt'] !== undefined && before['committedAt'] === undefined) events.push({ event: 'Committed' });
  if (now['sourceDeletedAt'] !== undefined && before['sourceDeletedAt'] === undefined)
    events.push({ event: 'SourceDeleted' });
  const [key, was] = [fieldsOf(now['hostKey'])['fingerprint'], fieldsOf(before['hostKey'])['fingerprint']];
  if (key !== was)
    events.push({ event: key === undefined ? 'HostKeyForgotten' : 'HostKeyPinned', fingerprint: text(key ?? was) });
  if (now['phase'] !== before['phase']) {
    events.push({ event: 'PhaseChanged', from: text(before['phase']), to: text(now['phase']) });
  }
  return events;
}

/** `StepRunning`, `StepDone`, `StepSkipped`, `StepFailed`, `StepUndoing`, `StepUndone`; `StepRetried` for another try. */
function stepEvents(now: Fields, before: Fields): AuditEvent[] {
  const known = new Map(listOf(before['steps']).map((step) => [step['name'], step]));
  return listOf(now['steps']).flatMap((step) => {
    const { name, state, attempts, reason } = step;
    const was = known.get(name) ?? {};
    const facts = { step: text(name), attempt: text(attempts), reason: text(reason) };
    if (state !== was['state']) return state === 'Pending' ? [] : [{ event: `Step${String(state)}`, ...facts }];
    return attempts !== was['attempts'] || reason !== was['reason'] ? [{ event: 'StepRetried', ...facts }] : [];
  });
}

/** A credential is recorded before it is made, and taken out of the record when it is gone. */
function credentialEvents(now: Fields, before: Fields): AuditEvent[] {
  const [present, past] = [listOf(now['credentials']), listOf(before['credentials'])];
  const without = (list: readonly Fields[], others: readonly Fields[]): Fields[] =>
    list.filter(({ name }) => !others.some((other) => other['name'] === name));
  const told = (event: string, { name, kind, server }: Fields): AuditEvent => ({
    ...{ event, credential: text(name), credentialKind: text(kind), server: text(server) },
  });
  return [
    ...without(present, past).map((credential) => told('CredentialMade', credential)),
    ...without(past, present).map((credential) => told('CredentialDestroyed', credential)),
  ];
}

/** A Lease tells of locks only; that it was renewed is no event. */
function lockEvents({ event, object, old }: ObservedWrite): AuditEvent[] {
  const lock = object.metadata.annotations?.['gridferry.io/lock'];
  const holderOf = (lease: KubeObject | undefined): string | undefined =>
    text(fieldsOf(fieldsOf(lease)['spec'])['holderIdentity']) || undefined;
  const [holder, before] = [
    event === 'DELETED' ? undefined : holderOf(object),
    event === 'DELETED' ? holderOf(object) : holderOf(old),
  ];
  if (holder === before) return [];
  if (holder === undefined) return [{ event: 'LockReleased', lock, holder: before }];
  return [{ event: 'LockTaken', lock, holder, from: before }];
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.map(fieldsOf) : [];
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}
