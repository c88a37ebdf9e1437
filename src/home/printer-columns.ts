import type { ConfigMap, EventObject, Lease, Namespace, Secret } from '../api/core.ts';
import { propertyDescription } from '../api/core-openapi.ts';
import { crdOf } from '../api/crds.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { ageOf } from './age.ts';
import { evaluateJsonPath } from './json-path.ts';

/** What a cell holds: empty where the object has nothing to say. */
export type Cell = string | number | boolean | null;

/** A column of a kind's table, as the API server defines and kubectl prints it. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: string;
  /** `name` for the one that names the object. */
  readonly format: string;
  readonly description: string;
  /** Above 0: only with `-o wide`. */
  readonly priority: number;
  readonly cell: (object: Readonly<KubeObject>, now: number) => Cell;
}

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
const CORE = 'io.k8s.api.core.v1';

interface CoreColumn {
  readonly type?: string;
  readonly format?: string;
  readonly priority?: number;
  /** A text of its own, or the schema and field whose description it has. */
  readonly description: string | readonly [schema: string, field: string];
}

function column(
  name: string,
  { type = 'string', format = '', priority = 0, description }: CoreColumn,
  cell: PrinterColumn['cell'],
): PrinterColumn {
  const text = typeof description === 'string' ? description : propertyDescription(...description);
  return { name, type, format, priority, description: text, cell };
}

function nameColumn(priority = 0): PrinterColumn {
  return column('Name', { format: 'name', priority, description: [META, 'name'] }, (object) => object.metadata.name);
}

function ageColumn(): PrinterColumn {
  const description = [META, 'creationTimestamp'] as const;
  return column('Age', { description }, (object, now) => ageOf(object.metadata.creationTimestamp, now));
}

/** kubernetes `pkg/printers/internalversion/printers.go`. A Secret's values are in none of them. */
const coreColumns: Readonly<Record<string, () => readonly PrinterColumn[]>> = {
  Secret: () => [
    nameColumn(),
    column('Type', { description: [`${CORE}.Secret`, 'type'] }, (object) => (object as Secret).type ?? 'Opaque'),
    column('Data', { description: [`${CORE}.Secret`, 'data'] }, (object) => sizeOf((object as Secret).data)),
    ageColumn(),
  ],
  ConfigMap: () => [
    nameColumn(),
    column('Data', { description: [`${CORE}.ConfigMap`, 'data'] }, (object) => {
      const { data, binaryData } = object as ConfigMap;
      return sizeOf(data) + sizeOf(binaryData);
    }),
    ageColumn(),
  ],
  Namespace: () => [
    nameColumn(),
    column(
      'Status',
      { description: 'The status of the namespace' },
      (object) => (object as Namespace).status?.phase ?? '',
    ),
    ageColumn(),
  ],
  Lease: () => [
    nameColumn(),
    column(
      'Holder',
      { description: ['io.k8s.api.coordination.v1.LeaseSpec', 'holderIdentity'] },
      (object) => (object as Lease).spec?.holderIdentity ?? '',
    ),
    ageColumn(),
  ],
  Event: eventColumns,
};

function eventColumns(): readonly PrinterColumn[] {
  const of = (field: string): readonly [string, string] => [`${CORE}.Event`, field];
  const text = (
    name: string,
    description: CoreColumn['description'],
    cell: (event: EventAsSent, now: number) => Cell,
    priority = 0,
  ): PrinterColumn =>
    column(name, { description, priority }, (object, now) => cell(object as unknown as EventAsSent, now));
  return [
    text('Last Seen', of('lastTimestamp'), (event, now) =>
      ageOf(event.series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime ?? event.firstTimestamp, now),
    ),
    text('Type', of('type'), (event) => event.type ?? ''),
    text('Reason', of('reason'), (event) => event.reason ?? ''),
    text('Object', of('involvedObject'), ({ involvedObject: { kind = '', name = '' } = {} }) =>
      name === '' ? kind.toLowerCase() : `${kind.toLowerCase()}/${name}`,
    ),
    text('Subobject', [`${CORE}.ObjectReference`, 'fieldPath'], (event) => event.involvedObject?.fieldPath ?? '', 1),
    text('Source', of('source'), sourceOf, 1),
    text('Message', of('message'), (event) => (event.message ?? '').trim()),
    text('First Seen', of('firstTimestamp'), (event, now) => ageOf(event.firstTimestamp ?? event.eventTime, now), 1),
    // Events of the newer kind carry no count: each was seen once.
    text('Count', of('count'), (event) => event.series?.count ?? (event.count || 1), 1),
    nameColumn(1),
  ];
}

/** Whoever wrote it may have left out anything. */
type EventAsSent = Partial<Omit<EventObject, 'source' | 'involvedObject'>> & {
  readonly source?: { readonly component?: string; readonly host?: string };
  readonly involvedObject?: { readonly kind?: string; readonly name?: string; readonly fieldPath?: string };
  readonly eventTime?: string;
  readonly series?: { readonly count?: number; readonly lastObservedTime?: string };
};

function sourceOf({ source, reportingComponent, reportingInstance }: EventAsSent): string {
  const component = source?.component || reportingComponent || '';
  const host = source?.host || (source?.component ? '' : reportingInstance) || '';
  return host === '' ? component : `${component}, ${host}`;
}

function sizeOf(map: object | undefined): number {
  return map === undefined ? 0 : Object.keys(map).length;
}

const known = new Map<string, readonly PrinterColumn[]>();

/** The columns of a kind: those of its CRD, or what the API server has for a core kind. */
export function printerColumns(type: ResourceType): readonly PrinterColumn[] {
  const key = `${type.group}/${type.kind}`;
  let columns = known.get(key);
  if (columns === undefined) {
    columns = customColumns(type) ?? (coreColumns[type.kind] ?? (() => [nameColumn(), ageColumn()]))();
    known.set(key, columns);
  }
  return columns;
}

function customColumns(type: ResourceType): readonly PrinterColumn[] | undefined {
  const printed = crdOf(type)?.spec.versions[0]?.additionalPrinterColumns;
  if (printed === undefined) return undefined;
  return [
    nameColumn(),
    ...printed.map(({ name, type: format, jsonPath, description, priority = 0 }): PrinterColumn => ({
      name,
      type: format,
      format: '',
      description,
      priority,
      cell: (object, now) => customCell(evaluateJsonPath(jsonPath, object)[0], format, now),
    })),
  ];
}

/** Only the first of what the path leads to counts (apiextensions-apiserver `registry/customresource/tableconvertor`). */
function customCell(value: unknown, format: string, now: number): Cell {
  if (value === undefined || value === null) return null;
  switch (format) {
    case 'date':
      return typeof value === 'string' ? ageOf(value, now) : null;
    case 'integer':
      return typeof value === 'number' ? Math.trunc(value) : null;
    case 'number':
      return typeof value === 'number' ? value : null;
    case 'boolean':
      return typeof value === 'boolean' ? value : null;
    default:
      return typeof value === 'string' ? value : JSON.stringify(value);
  }
}
