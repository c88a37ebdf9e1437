import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Removes what only development needs from node_modules, as package-lock.json says. `npm prune --omit=dev` does the same,
 * but not without a network.
 */

const root = join(import.meta.dirname, '..');
const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, { dev?: boolean; devOptional?: boolean }>;
};
for (const [path, { dev = false, devOptional = false }] of Object.entries(packages)) {
  if (path !== '' && (dev || devOptional)) rmSync(join(root, path), { recursive: true, force: true });
}
// Links to programs of packages that are gone.
rmSync(join(root, 'node_modules/.bin'), { recursive: true, force: true });
