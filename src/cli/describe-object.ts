import type { EventObject, Secret } from '../api/core.ts';
import type { Condition, KubeObject } from '../api/meta.ts';
import type { Transfer } from '../api/resources.ts';
import { ageOf } from '../home/age.ts';
import { transferSections } from './describe-transfer.ts';
import { printable, renderTable } from './table.ts';
import { indented, renderPairs } from './text-layout.ts';

const INDENT = '  ';

/** An object as `kubectl describe` shows it: metadata, spec, status, conditions, and its events at the end. */
export function describeObject(
  object: Readonly<KubeObject>,
  events: readonly Readonly<EventObject>[],
  now: number,
): string[] {
  const { metadata } = object;
  const rest = bodyOf(object);
  const head: Record<string, unknown> = {
    Name: metadata.name,
    ...(metadata.namespace === undefined ? {} : { Namespace: metadata.namespace }),
  };
  return [
    ...renderPairs([
      ...Object.entries(head).map(([key, value]) => [key, String(value)] as const),
      ['Labels', mapText(metadata.labels)],
      ['Annotations', mapText(withoutBookkeeping(metadata.annotations))],
      ['API Version', object.apiVersion],
      ['Kind', object.kind],
      ['Created', `${metadata.creationTimestamp ?? '<unknown>'} (${ageOf(metadata.creationTimestamp, now)} ago)`],
      ...(metadata.generation === undefined ? [] : [['Generation', String(metadata.generation)] as const]),
      ...(metadata.deletionTimestamp === undefined
        ? []
        : [
            [
              'Deleting',
              `since ${metadata.deletionTimestamp}, waiting for ${(metadata.finalizers ?? []).join(', ')}`,
            ] as const,
          ]),
    ]),
    ...rest,
    ...conditionLines((object.status as { conditions?: Condition[] } | undefined)?.conditions, now),
    ...eventLines(events, now),
  ];
}

function bodyOf(object: Readonly<KubeObject>): string[] {
  if (object.kind === 'Secret') return secretLines(object as Secret);
  if (object.kind === 'Transfer') return [...section('Spec', object.spec), ...transferSections(object as Transfer)];
  const { apiVersion: _apiVersion, kind: _kind, metadata: _metadata, status, ...fields } = object;
  const { conditions: _conditions, ...facts } = (status ?? {}) as Record<string, unknown>;
  return [
    ...Object.entries(fields).flatMap(([name, value]) => section(titleOf(name), value)),
    ...(Object.keys(facts).length === 0 ? [] : section('Status', facts)),
  ];
}

function secretLines({ type, data = {} }: Secret): string[] {
  return [
    ...renderPairs([['Type', type ?? 'Opaque']]),
    'Data:',
    // Sizes only: what a Secret holds is not for screens.
    ...renderPairs(
      Object.entries(data).map(([key, value]) => [key, `${Buffer.byteLength(value, 'base64')} bytes`] as const),
      INDENT,
    ),
  ];
}

export function section(title: string, value: unknown): string[] {
  return [`${title}:`, ...tree(value, INDENT)];
}

/** A value as indented lines with titles for field names, as `kubectl describe` shows custom resources. */
function tree(value: unknown, indent: string): string[] {
  if (Array.isArray(value)) {
    return value.flatMap((item) => (isBranch(item) ? tree(item, indent) : [`${indent}${leaf(item)}`]));
  }
  const entries = Object.entries((value ?? {}) as Record<string, unknown>);
  const width = Math.max(0, ...entries.filter(([, child]) => !isBranch(child)).map(([key]) => titleOf(key).length + 1));
  return entries.flatMap(([key, child]) =>
    isBranch(child)
      ? [`${indent}${titleOf(key)}:`, ...tree(child, indent + INDENT)]
      : [`${indent}${`${titleOf(key)}:`.padEnd(width)}${INDENT}${leaf(child)}`],
  );
}

function isBranch(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0;
}

function leaf(value: unknown): string {
  if (typeof value === 'string') return printable(value);
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '<none>';
}

/** `targetServerRef` as `Target Server Ref`. */
export function titleOf(field: string): string {
  if (!/^[a-zA-Z0-9]+$/.test(field)) return field;
  const words = field.replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2').replaceAll(/([A-Z]+)([A-Z][a-z])/g, '$1 $2');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** As kubectl hides its own last-applied-configuration: it is long, and for machines. */
function withoutBookkeeping(annotations: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(annotations).filter(([key]) => !/\/last-applied-/.test(key)));
}

function mapText(map: Readonly<Record<string, string>> | undefined): string {
  const entries = Object.entries(map ?? {});
  return entries.length === 0 ? '<none>' : entries.map(([key, value]) => `${key}=${printable(value)}`).join(', ');
}

function conditionLines(conditions: readonly Condition[] | undefined, now: number): string[] {
  if (conditions === undefined || conditions.length === 0) return [];
  const rows = conditions.map(({ type, status, reason, message, lastTransitionTime }) => [
    type,
    status,
    reason,
    ageOf(lastTransitionTime, now),
    message,
  ]);
  return ['Conditions:', ...indented(renderTable({ header: ['Type', 'Status', 'Reason', 'Since', 'Message'], rows }))];
}

function eventLines(events: readonly Readonly<EventObject>[], now: number): string[] {
  if (events.length === 0) return [...renderPairs([['Events', '<none>']])];
  const rows = events.map((event) => {
    const last = ageOf(event.lastTimestamp, now);
    const age = event.count > 1 ? `${last} (x${event.count} over ${ageOf(event.firstTimestamp, now)})` : last;
    return [event.type, event.reason, age, event.source.component, event.message.trim()];
  });
  return ['Events:', ...indented(renderTable({ header: ['Type', 'Reason', 'Age', 'From', 'Message'], rows }))];
}
