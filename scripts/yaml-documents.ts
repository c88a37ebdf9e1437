import { stringify } from 'yaml';

/** Objects as the documents of one YAML stream. */
export function documents(objects: readonly object[]): string {
  return objects.map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n');
}
