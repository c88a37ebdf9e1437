import { printable } from './table.ts';

/** Lines of `Key:  value` with the values one below the other. */
export function renderPairs(pairs: readonly (readonly [string, string])[], indent = ''): string[] {
  const width = Math.max(0, ...pairs.map(([key]) => key.length + 1));
  return pairs.map(([key, value]) => `${indent}${`${key}:`.padEnd(width)}  ${printable(value)}`);
}

export function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}
