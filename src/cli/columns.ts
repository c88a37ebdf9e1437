import type { Secret, ConfigMap, EventObject, Lease, Namespace } from '../api/core.ts';
import { crdOf } from '../api/crds.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { ageOf } from './age.ts';
import { evaluateJsonPath } from './json-path.ts';
import type { Table } from './table.ts';

interface Column {
  readonly name: string;
  /** Only with `-o wide`. */
  readonly wide?: boolean;
  cell(object: Readonly<KubeObject>, now: number): string;
}

const name: Column = { name: 'NAME', cell: (object) => object.metadata.name };
const age: Column = { name: 'AGE', cell: (object, now) => ageOf(object.metadata.creationTimestamp, now) };

/** The columns of kinds that have no CRD, as kubectl prints them. A Secret's values are in none of them. */
const coreColumns: Readonly<Record<string, readonly Column[]>> = {
  Secret: [
    name,
    { name: 'TYPE', cell: (object) => (object as Secret).type ?? 'Opaque' },
    { name: 'DATA', cell: (object) => String(Object.keys((object as Secret).data ?? {}).length) },
    age,
  ],
  ConfigMap: [
    name,
    {
      name: 'DATA',
      cell(object) {
        const { data = {}, binaryData = {} } = object as ConfigMap;
        return String(Object.keys(data).length + Object.keys(binaryData).length);
      },
    },
    age,
  ],
  Event: [
    { name: 'LAST SEEN', cell: (object, now) => ageOf((object as EventObject).lastTimestamp, now) },
    { name: 'TYPE', cell: (object) => (object as EventObject).type },
    { name: 'REASON', cell: (object) => (object as EventObject).reason },
    {
      name: 'OBJECT',
      cell(object) {
        const { kind = '', name: of = '' } = (object as EventObject).involvedObject;
        return `${kind.toLowerCase()}/${of}`;
      },
    },
    { name: 'SOURCE', wide: true, cell: (object) => (object as EventObject).source.component },
    { name: 'COUNT', wide: true, cell: (object) => String((object as EventObject).count) },
    { name: 'NAME', wide: true, cell: (object) => object.metadata.name },
    { name: 'MESSAGE', cell: (object) => (object as EventObject).message.trim() },
  ],
  Lease: [name, { name: 'HOLDER', cell: (object) => (object as Lease).spec?.holderIdentity ?? '' }, age],
  Namespace: [name, { name: 'STATUS', cell: (object) => (object as Namespace).status?.phase ?? 'Active' }, age],
};

export interface TableOptions {
  readonly now: number;
  readonly wide?: boolean;
  readonly withNamespace?: boolean;
  /** Put before each name, as kubectl does when it prints several kinds. */
  readonly namePrefix?: string;
}

/** The table of objects of one kind, with the columns of its CRD. */
export function tableOf(type: ResourceType, objects: readonly Readonly<KubeObject>[], options: TableOptions): Table {
  const { now, wide = false, withNamespace = false, namePrefix = '' } = options;
  const columns = columnsOf(type).filter((column) => wide || column.wide !== true);
  return {
    header: [...(withNamespace ? ['NAMESPACE'] : []), ...columns.map((column) => column.name)],
    rows: objects.map((object) => [
      ...(withNamespace ? [object.metadata.namespace ?? ''] : []),
      ...columns.map((column) => (column === name ? namePrefix : '') + column.cell(object, now)),
    ]),
  };
}

function columnsOf(type: ResourceType): readonly Column[] {
  const crd = crdOf(type);
  if (crd === undefined) return coreColumns[type.kind] ?? [name, age];
  const printed = crd.spec.versions[0]?.additionalPrinterColumns ?? [];
  return [
    name,
    ...printed.map(({ name: title, type: format, jsonPath, priority = 0 }): Column => ({
      name: title.toUpperCase(),
      wide: priority > 0,
      cell: (object, now) => cellText(evaluateJsonPath(jsonPath, object), format, now),
    })),
  ];
}

/** As the API server fills the cells of custom resources: a path that leads nowhere leaves an empty one. */
function cellText(found: readonly unknown[], format: string, now: number): string {
  if (format === 'date') return ageOf(found[0], now);
  const values = format === 'string' ? found : found.slice(0, 1);
  return values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(',');
}
