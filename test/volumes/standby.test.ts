import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { HostProcess } from '../../src/ssh/host.ts';
import { openLocalHost } from '../../src/ssh/local-host.ts';
import { findTools } from '../../src/volumes/bench-tools.ts';
import { buildManifest, standbyManifest } from '../../src/volumes/manifest.ts';
import { goOr } from '../../src/volumes/standby.ts';
import type { Standby } from '../../src/volumes/standby.ts';
import { standbyCopy } from '../../src/volumes/standby-copy.ts';
import { standbyManifests, verifyTrees } from '../../src/volumes/verify.ts';
import type { Workbench } from '../../src/volumes/workbench.ts';

const host = openLocalHost({ name: 'here' });
const folder = mkdtempSync(join(tmpdir(), 'gridferry-standby-'));
t.teardown(async () => {
  await host.close();
  rmSync(folder, { recursive: true, force: true });
});
const tools = await findTools((argv, options) => host.exec(argv, options));
const programs: HostProcess[] = [];
const bench: Workbench = {
  ...{ name: 'here', mode: 'direct', tools, workFolder: mkdtempSync(join(folder, 'work-')) },
  pathOf: () => folder,
  async spawn(argv, options) {
    const program = await host.spawn(argv, options);
    programs.push(program);
    return program;
  },
  exec: (argv, options) => host.exec(argv, options),
  close: () => Promise.resolve(),
};
const skip = tools.python3 && tools.rsync !== undefined ? false : 'needs python3 and rsync on this machine';

function tree(files: Readonly<Record<string, string>> = {}): string {
  const path = mkdtempSync(join(folder, 'tree-'));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content);
  return path;
}

void t.test('a copy that stood by brings what was written while it waited', { skip }, async (t) => {
  const [sourcePath, targetPath] = [tree({ a: 'old', gone: 'x' }), tree({ gone: 'x' })];
  const copy = await standbyCopy({ source: bench, sourcePath, target: bench, targetPath, running: false });
  writeFileSync(join(sourcePath, 'a'), 'new');
  writeFileSync(join(sourcePath, 'b'), 'late');
  rmSync(join(sourcePath, 'gone'));
  const pass = await copy?.go();
  t.match(pass, { tool: 'rsync', filesTransferred: 2, vanished: 0 });
  t.same(readdirSync(targetPath), ['a', 'b']);
  t.equal(readFileSync(join(targetPath, 'a'), 'utf8'), 'new');
});

void t.test(
  'one that was killed while it waited is lost, and the work is done in the ordinary way',
  { skip },
  async (t) => {
    const [sourcePath, targetPath] = [tree({ a: '1' }), tree()];
    const copy = await standbyCopy({ source: bench, sourcePath, target: bench, targetPath, running: false });
    for (const program of programs.splice(0)) {
      program.kill('SIGKILL');
      await program.exit.catch(() => undefined);
    }
    let ordinary = 0;
    await goOr(copy as Standby<unknown>, () => Promise.resolve(ordinary++));
    t.equal(ordinary, 1);
  },
);

void t.test('a cancelled one ends, whether it has begun or not', { skip }, async (t) => {
  const ends = { source: bench, sourcePath: tree({ a: '1' }), target: bench, targetPath: tree() };
  programs.splice(0);
  const copy = await standbyCopy({ ...ends, running: false });
  const manifests = await standbyManifests({ ...ends, mode: 'Full', name: 'cancelled' });
  for (const one of [copy, manifests.source, manifests.target]) one?.cancel();
  await Promise.all(programs.map((program) => program.exit));
  t.same(readdirSync(ends.targetPath), []);
  t.same(
    readdirSync(bench.workFolder).filter((name) => name.startsWith('cancelled')),
    [],
  );
  const late = await standbyManifests({ ...ends, mode: 'Full', name: 'late' });
  const signal = AbortSignal.abort(new Error('not any more'));
  await t.rejects(
    goOr(late.source, () => Promise.resolve(undefined as never), signal),
    { message: 'not any more' },
  );
  late.target.cancel();
});

void t.test('manifests that stood by prove what is there when they go', { skip }, async (t) => {
  const ends = { source: bench, sourcePath: tree({ a: '1' }), target: bench, targetPath: tree({ a: '1' }) };
  const options = { ...ends, mode: 'Full', name: 'proof' } as const;
  const standby = await standbyManifests(options);
  writeFileSync(join(ends.sourcePath, 'b'), 'only here');
  const { result } = await verifyTrees({ ...options, standby });
  t.match(result, { equal: false });
  const { differences } = result as { readonly differences: readonly { readonly path: string }[] };
  t.ok(differences.some(({ path }) => path === 'b'));
  // Used up: the same ones asked again are lost, and it is looked in the ordinary way.
  t.match((await verifyTrees({ ...options, standby })).result, { equal: false });
});

void t.test('an earlier manifest spares reading what has not changed since, and only that', { skip }, async (t) => {
  const path = tree({ old: 'o'.repeat(1000), young: 'y' });
  // What was written shortly before a look may be written again with the same time: it is read again in any case.
  await host.exec(['sleep', '0.3']);
  const previous = await buildManifest(bench, path, { mode: 'full', name: 'first' });
  t.equal(previous.hashedBytes, 1001);
  const program = await standbyManifest(bench, path, { mode: 'full', name: 'second', previous });
  writeFileSync(join(path, 'young'), 'Y');
  t.match(await program.go(), { hashedBytes: 1, reusedBytes: 1000, entries: 3 });
});
