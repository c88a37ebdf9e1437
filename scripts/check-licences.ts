import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const ALLOWED = new Set([
  'MIT',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  '0BSD',
  'Unlicense',
  'CC0-1.0',
  'BlueOak-1.0.0',
  'Python-2.0',
  'PSF-2.0',
]);

interface LockedPackage {
  readonly license?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
}

/** Names every package that ships with Gridferry under a licence that is not known to be compatible with Apache-2.0. */
export function checkLicences(root: string): string[] {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockedPackage>;
  };
  const problems: string[] = [];
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (path === '' || entry.dev === true) continue;
    const licence = entry.license ?? licenceFile(root, path);
    const choices = licence.replaceAll(/[()]/g, '').split(' OR ');
    if (!choices.some((choice) => choice.split(' AND ').every((one) => ALLOWED.has(one)))) {
      problems.push(`${path.replace('node_modules/', '')}: ${licence}`);
    }
  }
  return problems;
}

function licenceFile(root: string, path: string): string {
  const manifest = JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')) as {
    license?: string | { type: string };
    /** How it was written before npm 2. */
    licenses?: readonly { type: string }[];
  };
  if (typeof manifest.license === 'object') return manifest.license.type;
  return manifest.license ?? manifest.licenses?.map(({ type }) => type).join(' AND ') ?? 'none stated';
}
