import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import { ConfigMaps } from '../../src/api/core.ts';
import { localTypes, servedTypes, Sources } from '../../src/api/resources.ts';
import type { Source } from '../../src/api/resources.ts';
import { sourceName, startDirectorySource } from '../../src/home/directory-source.ts';
import { RECONCILE_ANNOTATION } from '../../src/home/manifest-annotations.ts';
import { createSchemaAdmission } from '../../src/home/schema-admission.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { temporaryDirectory, temporaryHome } from '../support/local-home.ts';

const admission = createSchemaAdmission();

async function scene(t: Test) {
  const directory = temporaryDirectory(t);
  const home = temporaryHome(t, { types: localTypes, admission });
  writeFileSync(join(directory, 'a.yaml'), configMap('a', 'one: "1"\n  both: "1"'));
  const log = pino({ level: 'silent' });
  const client = home;
  const source = startDirectorySource({ directory, client, types: servedTypes, admission, clock: systemClock, log });
  t.teardown(() => source.stop());
  await source.ready;
  const shown = async (): Promise<Source | undefined> => (await home.list(Sources)).items[0];
  return { directory, home, shown };
}

function configMap(name: string, data: string): string {
  return `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name} }\ndata:\n  ${data}\n`;
}

async function until(t: Test, what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) {
      t.fail(`${what}: it did not come to pass`);
      return;
    }
    await delay(10);
  }
  t.pass(what);
}

const readiness = (source: Source | undefined) =>
  source?.status?.conditions?.find(({ type }) => type === 'Ready')?.status;

void t.test('a directory shows itself as a source, with what is in it and what is wrong', async (t) => {
  const { directory, shown } = await scene(t);
  await until(t, 'ready', async () => readiness(await shown()) === 'True');
  t.match(await shown(), {
    metadata: { namespace: 'default', name: sourceName(basename(directory)) },
    spec: { type: 'Directory', url: directory },
    status: { files: 1, objects: 1, observedGeneration: 1 },
  });
  writeFileSync(join(directory, 'b.yaml'), 'kind: ConfigMap\n');
  await until(t, 'a broken file is told', async () => readiness(await shown()) === 'False');
  t.match((await shown())?.status, {
    problems: [{ file: 'b.yaml', line: 1, code: 'GF_MANIFEST_INCOMPLETE' }],
    files: 2,
  });
  writeFileSync(join(directory, 'b.yaml'), configMap('b', 'x: "1"'));
  await until(t, 'and its repair', async () => readiness(await shown()) === 'True');
  t.equal((await shown())?.status?.problems, undefined);
});

void t.test('a request for a look is answered, and an older answer is kept', async (t) => {
  const { home, shown } = await scene(t);
  await until(t, 'ready', async () => readiness(await shown()) === 'True');
  for (const value of ['one', 'two']) {
    const { namespace = '', name = '' } = (await shown())?.metadata ?? {};
    const body = { metadata: { annotations: { [RECONCILE_ANNOTATION]: value } } };
    await home.patch(Sources, { namespace, name }, { type: 'merge', body });
    await until(t, value, async () => (await shown())?.status?.lastHandledReconcileAt === value);
  }
});

void t.test('a field that a file drops stays when another manager wants it, too', async (t) => {
  const { directory, home } = await scene(t);
  const key = { namespace: 'default', name: 'a' };
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { both: '1', mine: 'x' } };
  await home.patch(ConfigMaps, key, { type: 'apply', body }, { fieldManager: 'kubectl' });
  writeFileSync(join(directory, 'a.yaml'), configMap('a', 'two: "2"'));
  await until(t, 'applied', async () => (await home.get(ConfigMaps, key)).data?.['two'] === '2');
  t.same((await home.get(ConfigMaps, key)).data, { two: '2', both: '1', mine: 'x' });
});

void t.test('any name of a directory makes a name of an object', (t) => {
  t.equal(sourceName('My Fleet_2'), 'my-fleet-2');
  t.equal(sourceName('..'), 'source');
  t.equal(sourceName('fleet.eu-.x'), 'fleet.eu.x');
  t.equal(sourceName('ä'), 'source');
  t.match(sourceName(`${'x'.repeat(62)}-y`), /^x{62}$/);
  t.end();
});
