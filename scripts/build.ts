import { execFileSync } from 'node:child_process';
import { copyFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Compiles what the package ships into dist/, beside the data files that the program reads. */

const root = join(import.meta.dirname, '..');
rmSync(join(root, 'dist'), { recursive: true, force: true });
execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
for (const name of readdirSync(join(root, 'src/api')).filter((file) => file.endsWith('.json'))) {
  copyFileSync(join(root, 'src/api', name), join(root, 'dist/src/api', name));
}
