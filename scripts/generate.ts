import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { customResourceDefinition } from '../src/api/schema/crd.ts';
import { kinds } from '../src/api/schema/kinds.ts';
import { referencePage } from '../src/api/schema/reference.ts';
import { deployFiles } from './deploy-files.ts';

/**
 * Writes everything that follows from src/api/schema and src/install: crds/*.yaml, the copy the program reads, the reference
 * pages, and deploy/.
 * With --check it writes nothing and fails when a file differs.
 */

const root = join(import.meta.dirname, '..');
const outputs = new Map<string, string>();
const crds = kinds.map(customResourceDefinition);
const localOnly = new Set(kinds.filter((kind) => kind.localOnly).map(({ kind }) => kind));
for (const crd of crds) {
  outputs.set(`docs/reference/${crd.spec.names.singular}.md`, referencePage(crd));
  if (localOnly.has(crd.spec.names.kind)) continue;
  outputs.set(
    `crds/${crd.spec.group}_${crd.spec.names.plural}.yaml`,
    `# Generated from src/api/schema by "npm run generate"; do not edit.\n${stringify(crd, { lineWidth: 0, aliasDuplicateObjects: false })}`,
  );
}
outputs.set('src/api/crds.generated.json', `${JSON.stringify(crds)}\n`);
const ofClusters = crds.filter(({ spec }) => !localOnly.has(spec.names.kind));
for (const [file, content] of deployFiles(ofClusters)) outputs.set(file, content);

const check = process.argv.includes('--check');
const drifted: string[] = [];
for (const [file, wanted] of outputs) {
  const path = join(root, file);
  let found: string | undefined;
  try {
    found = readFileSync(path, 'utf8');
  } catch {
    // A file that is not there yet differs like any other.
  }
  if (found === wanted) continue;
  drifted.push(file);
  if (!check) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, wanted);
    console.log(`wrote ${file}`);
  }
}
if (check && drifted.length > 0) {
  console.error(
    `These files do not match src/api/schema or src/install. Run "npm run generate" and commit:\n  ${drifted.join('\n  ')}`,
  );
  process.exitCode = 1;
}
