import { stringify } from 'yaml';

/**
 * A value as YAML, for people to read and programs to parse. Lines are never folded: kubectl does not, and it keeps output
 * greppable. YAML 1.1 quotes what kubectl would misread.
 */
export function renderYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, version: '1.1', aliasDuplicateObjects: false }).trimEnd();
}
