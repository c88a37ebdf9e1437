import { isJsonObject, jsonEqual } from '../json.ts';
import { isEmpty, parseFieldSet, union } from './field-set.ts';
import type { FieldSet } from './field-set.ts';

/** `metav1.ManagedFieldsEntry`: what one manager owns. */
export interface ManagedFieldsEntry {
  readonly manager?: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  /** When the set last changed, in whole seconds; absent while it only ever confirmed what was there. */
  readonly time?: string;
  readonly fieldsType: 'FieldsV1';
  readonly fieldsV1: FieldSet;
  readonly subresource?: string;
}

/** Who owns what, by `managerId`. */
export type Managers = Map<string, ManagedFieldsEntry>;

/** What makes an entry: one manager may have one per operation, version (of updates) and subresource. */
export type ManagerInfo = Pick<ManagedFieldsEntry, 'manager' | 'operation' | 'apiVersion' | 'subresource'>;

/** The API server's own identifier; its order decides where it sorts managers. */
export function managerId({ manager, operation, apiVersion, subresource }: ManagerInfo): string {
  return JSON.stringify({
    manager: manager === '' ? undefined : manager,
    operation,
    apiVersion: operation === 'Apply' ? undefined : apiVersion,
    subresource: subresource === '' ? undefined : subresource,
  });
}

/** An entry with its members in the API's order. */
export function entryOf(info: ManagerInfo, fieldsV1: FieldSet, time: string | undefined): ManagedFieldsEntry {
  const { manager, operation, apiVersion, subresource } = info;
  return {
    ...(manager ? { manager } : {}),
    operation,
    apiVersion,
    ...(time === undefined ? {} : { time }),
    fieldsType: 'FieldsV1',
    fieldsV1,
    ...(subresource ? { subresource } : {}),
  };
}

/** The entries of a stored object. */
export function storedManagers(entries: readonly unknown[] | undefined): Managers {
  return new Map((entries as ManagedFieldsEntry[] | undefined)?.map((entry) => [managerId(entry), entry]));
}

/** What a client wants `managedFields` to be; `undefined` when the API server would take no notice of it. */
export function givenManagers(entries: readonly unknown[]): Managers | undefined {
  const managers: Managers = new Map();
  for (const entry of entries) {
    const parsed = parseEntry(entry);
    if (parsed === undefined) return undefined;
    managers.set(managerId(parsed), parsed);
  }
  return managers;
}

function parseEntry(entry: unknown): ManagedFieldsEntry | undefined {
  if (!isJsonObject(entry)) return undefined;
  const { manager, operation, apiVersion, time, fieldsType, fieldsV1, subresource } = entry;
  if (operation !== 'Apply' && operation !== 'Update') return undefined;
  if (typeof apiVersion !== 'string' || apiVersion === '' || fieldsType !== 'FieldsV1') return undefined;
  try {
    const info = { manager: text(manager) ?? '', operation, apiVersion, subresource: text(subresource) ?? '' } as const;
    return entryOf(info, parseFieldSet(fieldsV1), text(time));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** The entries as they are stored: sorted as the API server sorts them; nothing owned is no list at all. */
export function entriesOf(managers: Managers): ManagedFieldsEntry[] | undefined {
  if (managers.size === 0) return undefined;
  return [...managers.values()].sort(
    (a, b) =>
      byText(a.operation, b.operation) ||
      secondsOf(a.time) - secondsOf(b.time) ||
      byText(a.manager ?? '', b.manager ?? '') ||
      byText(a.apiVersion, b.apiVersion) ||
      byText(a.subresource ?? '', b.subresource ?? ''),
  );
}

/** Whether two lists say the same of who owns what, whenever that came to be. */
export function sameButForTimes(a: readonly unknown[] | undefined, b: readonly unknown[] | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.length === b.length &&
    a.every((entry, index) => {
      const other = b[index] as ManagedFieldsEntry;
      return entry === other || jsonEqual({ ...(entry as ManagedFieldsEntry), time: other.time }, other);
    })
  );
}

/** Replaces what a manager owns; who owns nothing is no manager. */
export function setOwned(managers: Managers, id: string, entry: ManagedFieldsEntry, fieldsV1: FieldSet): void {
  if (isEmpty(fieldsV1)) managers.delete(id);
  else if (fieldsV1 !== entry.fieldsV1) managers.set(id, { ...entry, fieldsV1 });
}

/** So many `Update` entries an object has at most; the oldest beyond them become one. */
const MAX_UPDATE_MANAGERS = 10;
const ANCIENT_MANAGER = 'ancient-changes';

/** Merges the oldest update managers of a version when there are too many (apimachinery, `capmanagers.go`). */
export function capUpdateManagers(managers: Managers): void {
  const updates = [...managers].filter(([, entry]) => entry.operation === 'Update');
  let count = updates.length;
  if (count <= MAX_UPDATE_MANAGERS) return;
  updates.sort(([idA, a], [idB, b]) => secondsOf(a.time) - secondsOf(b.time) || byText(idA, idB));
  const oldest = new Map<string, string>();
  for (const [id, entry] of updates) {
    if (count <= MAX_UPDATE_MANAGERS) return;
    const { apiVersion } = entry;
    const first = oldest.get(apiVersion);
    if (first === undefined) {
      oldest.set(apiVersion, id);
      continue;
    }
    const info = { manager: ANCIENT_MANAGER, operation: 'Update', apiVersion } as const;
    const bucket = managerId(info);
    const collected = managers.get(bucket) ?? managers.get(first);
    if (!managers.has(bucket)) managers.delete(first);
    managers.delete(id);
    managers.set(bucket, entryOf(info, union(collected?.fieldsV1 ?? {}, entry.fieldsV1), entry.time));
    count--;
  }
}

function secondsOf(time: string | undefined): number {
  return time === undefined ? 0 : Math.floor(Date.parse(time) / 1000);
}

function byText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
