import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Holds docs/errors.md against the source: every code has an entry, and every entry has a code. */
export function checkErrorCodes(root: string): string[] {
  const used = new Set<string>();
  for (const file of globSync(['src/**/*.ts', 'controllers/**/*.ts', 'bin/*.js'], { cwd: root })) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const match of text.matchAll(/(?<![A-Z_])GF_[A-Z0-9_]+(?!_\*)\b/g)) {
      if (!match[0].endsWith('_')) used.add(match[0]);
    }
  }
  const documented = new Set(
    [...readFileSync(join(root, 'docs/errors.md'), 'utf8').matchAll(/^\| `(GF_[A-Z0-9_]+)`/gm)].map(
      (match) => match[1]!,
    ),
  );
  return [
    ...[...used].filter((code) => !documented.has(code)).map((code) => `${code} has no entry in docs/errors.md`),
    ...[...documented]
      .filter((code) => !used.has(code))
      .map((code) => `${code} is in docs/errors.md, but nothing uses it`),
  ].sort();
}
