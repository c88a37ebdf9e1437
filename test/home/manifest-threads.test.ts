import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import t from 'tap';
import type { Test } from 'tap';
import { servedTypes } from '../../src/api/resources.ts';
import { ManifestCache } from '../../src/home/manifest-cache.ts';
import { manifestTypes } from '../../src/home/manifest-loader.ts';
import type { ManifestFile } from '../../src/home/manifest-walk.ts';
import { createSchemaAdmission } from '../../src/home/schema-admission.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { temporaryDirectory } from '../support/local-home.ts';

const context = {
  types: manifestTypes(servedTypes),
  admission: createSchemaAdmission(),
  defaultNamespace: 'default',
};

/** One of each sort, numbered so that none defines what another one does. */
const SORTS: readonly ((i: number) => string)[] = [
  (i) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c${String(i)}}\ndata: {a: "1"}\n`,
  (i) => `# two\n---\n---\n${config(`d${String(i)}`)}---\n${config(`e${String(i)}`)}`,
  (i) => `apiVersion: v1\nkind: List\nitems:\n- ${config(`f${String(i)}`).replaceAll('\n', '\n  ')}\n- kind: [x]\n`,
  (i) => `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s${String(i)}"},"stringData":{"p":"geheim"}}`,
  (i) => `${config(`g${String(i)}`)}  b: yes\n  c: 0777\n`,
  (i) => `${config(`h${String(i)}`)}  b: &x hello\n  c: *x\n  __proto__: "1"\n`,
  (i) => `${config(`i${String(i)}`)}spce: {}\nstatus: {}\n`,
  (i) => `apiVersion: gridferry.io/v1alpha1\nkind: Service\nmetadata: {name: j${String(i)}}\nspec: {container: 7}\n`,
  () => 'kind: [',
  () => ' \n',
  () => '[1, -0, .nan, .inf]',
  () => 'a: &a [*a]\n',
];

function config(name: string): string {
  return `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\ndata:\n  a: "1"\n`;
}

function manifests(t: Test, count: number): ManifestFile[] {
  const directory = temporaryDirectory(t);
  const files = Array.from({ length: count }, (_, i) => {
    const path = `${String(i)}.yaml`;
    writeFileSync(join(directory, path), SORTS[i % SORTS.length]?.(i) ?? '');
    return { path, real: join(directory, path) };
  });
  writeFileSync(join(directory, '0.yaml'), Buffer.from([0xff, 0xfe]));
  rmSync(join(directory, '1.yaml'));
  rmSync(join(directory, '2.yaml'));
  mkdirSync(join(directory, '2.yaml'));
  return files;
}

function cacheOf(): ManifestCache {
  return new ManifestCache(context, systemClock, 0);
}

function known(cache: ManifestCache) {
  const files = [...cache.files()].sort((a, b) => (a.file.path < b.file.path ? -1 : 1));
  // When a file has settled depends on when it was read.
  return { files: files.map(({ settlesAt: _, ...rest }) => rest), problems: cache.problems().length };
}

async function threadsStarted<R>(work: () => Promise<R>, meet: (thread: Worker) => void = () => undefined) {
  let threads = 0;
  const onWorker = (thread: Worker): void => {
    threads++;
    meet(thread);
  };
  process.on('worker', onWorker);
  try {
    return { result: await work(), threads };
  } finally {
    process.off('worker', onWorker);
  }
}

/** As `refresh` does it for few files: without threads. */
async function refreshOneByOne(cache: ManifestCache, files: readonly ManifestFile[]): Promise<void> {
  for (const file of files) await cache.refresh([file]);
}

void t.test('threads find the same objects and the same problems at the same places', async (t) => {
  const files = manifests(t, 520);
  const [alone, together] = [cacheOf(), cacheOf()];
  await refreshOneByOne(alone, files);
  const { result, threads } = await threadsStarted(() => together.refresh(files));
  t.ok(threads > 0, 'there are threads');
  t.same(result.vanished, ['1.yaml']);
  // The first look hides what may just be half written; the second one tells.
  await refreshOneByOne(alone, files);
  await together.refresh(files);
  t.strictSame(known(together), known(alone));
  t.ok(known(alone).problems > 100);
});

void t.test('files that did not change keep their objects, the very same', async (t) => {
  const files = manifests(t, 520);
  const cache = cacheOf();
  await cache.refresh(files);
  await cache.refresh(files);
  const before = new Map([...cache.files()].map((cached) => [cached.file.path, cached]));
  const changed = files[SORTS.length];
  writeFileSync(changed?.real ?? '', config('changed'));
  const { touched } = await cache.refresh(files);
  t.same([...touched].sort(), [`configmaps/default/c${String(SORTS.length)}`, 'configmaps/default/changed']);
  const others = [...cache.files()].filter(({ file, broken }) => !broken && file.path !== changed?.path);
  t.ok(others.length > 100);
  t.ok(others.every((cached) => before.get(cached.file.path) === cached));
});

void t.test('a thread that dies leaves its files to the program', async (t) => {
  const files = manifests(t, 520);
  const [alone, together] = [cacheOf(), cacheOf()];
  await refreshOneByOne(alone, files);
  const { threads } = await threadsStarted(
    () => together.refresh(files),
    (thread) => void thread.terminate(),
  );
  t.ok(threads > 0);
  t.strictSame(known(together), known(alone));
});
