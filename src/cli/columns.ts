import type { KubeObject, ResourceType } from '../api/meta.ts';
import { printerColumns } from '../home/printer-columns.ts';
import type { Table } from './table.ts';

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
  const columns = printerColumns(type).filter((column) => wide || column.priority === 0);
  return {
    header: [...(withNamespace ? ['NAMESPACE'] : []), ...columns.map((column) => column.name.toUpperCase())],
    rows: objects.map((object) => [
      ...(withNamespace ? [object.metadata.namespace ?? ''] : []),
      ...columns.map((column) => (column.format === 'name' ? namePrefix : '') + String(column.cell(object, now) ?? '')),
    ]),
  };
}
