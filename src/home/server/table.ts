import type { KubeObject, ResourceType } from '../../api/meta.ts';
import { badRequest } from '../api-messages.ts';
import { printerColumns } from '../printer-columns.ts';

/** What of each object goes along with its row. */
export type IncludeObject = 'Metadata' | 'Object' | 'None';

/** @throws ApiError `BadRequest` */
export function includeObjectOf(query: URLSearchParams): IncludeObject {
  const value = query.get('includeObject') ?? '';
  if (value === '' || value === 'Metadata') return 'Metadata';
  if (value === 'Object' || value === 'None') return value;
  throw badRequest(
    `Unable to convert to Table as requested: includeObject: Invalid value: ${JSON.stringify(value)}: must be 'Metadata', 'Object', 'None', or empty`,
  );
}

export interface TableRequest {
  readonly type: ResourceType;
  /** Of meta.k8s.io. */
  readonly version: string;
  readonly includeObject: IncludeObject;
  readonly now: number;
}

/** `metadata` of the table: that of the list, or where there is one object, its version. */
export function tableOf(
  { type, version, includeObject, now }: TableRequest,
  objects: readonly Readonly<KubeObject>[],
  metadata: Readonly<Record<string, unknown>>,
  withColumns = true,
): Record<string, unknown> {
  const columns = printerColumns(type);
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${version}`,
    metadata,
    // The later events of a watch leave them out: the client has them from the first.
    columnDefinitions: withColumns ? columns.map(({ cell: _cell, ...definition }) => definition) : null,
    rows: objects.map((object) => ({
      cells: columns.map((column) => column.cell(object, now)),
      object: includeObject === 'None' ? null : includeObject === 'Object' ? object : partialMetadata(object, version),
    })),
  };
}

/** The object without all but its metadata. */
export function partialMetadata(object: Readonly<KubeObject>, version: string): Record<string, unknown> {
  return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${version}`, metadata: object.metadata };
}
