import { ApiError } from '../api-error.ts';
import { forEachPath } from './field-set.ts';
import type { FieldSet } from './field-set.ts';
import type { ManagedFieldsEntry } from './manager-entries.ts';
import { pathText } from './path-element.ts';

/** What an apply wants to change and another manager owns. */
export interface Conflict {
  readonly owner: ManagedFieldsEntry;
  readonly fields: FieldSet;
}

/** `Conflict` with one cause per field and owner, in the API server's words (apimachinery, `conflict.go`). */
export function conflictError(conflicts: readonly Conflict[]): ApiError {
  const found = conflicts.map(({ owner, fields }) => {
    const paths: string[] = [];
    forEachPath(fields, (path) => paths.push(pathText(path)));
    return { name: ownerText(owner), paths };
  });
  const causes = found.flatMap(({ name, paths }) =>
    paths.map((field) => ({ reason: 'FieldManagerConflict', message: `conflict with ${name}`, field })),
  );
  const lines = found.flatMap(({ name, paths }) => [`conflicts with ${name}:`, ...paths.map((path) => `- ${path}`)]);
  const [only] = causes;
  const message =
    causes.length === 1 && only !== undefined
      ? `Apply failed with 1 conflict: ${only.message}: ${only.field}`
      : `Apply failed with ${String(causes.length)} conflicts: ${lines.join('\n')}`;
  return new ApiError('Conflict', message, { causes });
}

function ownerText({ manager = '', operation, apiVersion, subresource }: ManagedFieldsEntry): string {
  const name = JSON.stringify(manager) + (subresource === undefined ? '' : ` with subresource "${subresource}"`);
  return operation === 'Update' ? `${name} using ${apiVersion}` : name;
}
