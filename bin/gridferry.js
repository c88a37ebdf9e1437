#!/usr/bin/env node
// Plain old JavaScript, so that an outdated Node prints what it needs instead of a syntax error.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import module from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const parts = process.versions.node.split('.');
const recent = Number(parts[0]) > 22 || (Number(parts[0]) === 22 && Number(parts[1]) >= 19);

if (recent) {
  // Relayed bytes are short-lived buffers outside the heap. A young generation that grows keeps them for long, and the
  // resident memory then follows the size of what is moved.
  setFlagsFromString('--semi-space-growth-factor=1');
  // Compiled code is kept for the next start, which halves the time until something is printed.
  if (module.enableCompileCache) module.enableCompileCache();
  const source = join(root, 'src/cli/main.ts');
  const { main } = await import(pathToFileURL(existsSync(source) ? source : join(root, 'dist/src/cli/main.js')).href);
  await main(process.argv);
} else {
  const own = join(root, 'node_modules/node/bin/node');
  if (existsSync(own)) {
    const result = spawnSync(own, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
    if (result.signal) process.kill(process.pid, result.signal);
    process.exitCode = result.status === null ? 1 : result.status;
  } else {
    process.stderr.write(
      `error GF_NODE_TOO_OLD: gridferry needs Node 22.19 or newer (24 is recommended), and this is ${process.version}. ` +
        'Install a newer Node, or run it from a checkout after "npm ci", which brings one along.\n',
    );
    process.exitCode = 2;
  }
}
