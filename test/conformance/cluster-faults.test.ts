import { execFile, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import { parse } from 'yaml';
import { ConfigMaps, Namespaces } from '../../src/api/core.ts';
import type { ConfigMap } from '../../src/api/core.ts';
import { keyOf, keyString } from '../../src/api/meta.ts';
import { isReason } from '../../src/home/api-error.ts';
import type { Client } from '../../src/home/client.ts';
import { connectCluster } from '../../src/home/cluster/cluster-client.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createReflector } from '../../src/runtime/reflector.ts';
import type { Reflector } from '../../src/runtime/reflector.ts';
import { startFaultyProxy } from '../support/faulty-proxy.ts';
import { writeKubeconfig } from '../support/scripted-api.ts';
import { seededRandom } from '../support/seeded-random.ts';

/**
 * What a network and a restart do to a real API server's clients. Whatever happens, the cache ends as the server is, and
 * on the way no object went back to an older version.
 */

const kubeconfig = process.env['GRIDFERRY_TEST_KUBECONFIG'] ?? '';
const up = process.env['GRIDFERRY_TEST_KUBE_UP'] ?? resolve(import.meta.dirname, '../../../shared/kube/up');
/** Short, so that a half-open connection is found out within the test. */
const INACTIVITY_MS = 1_500;

interface Access {
  readonly server: string;
  readonly caFile: string;
  readonly user: Readonly<Record<string, unknown>>;
}

function accessOf(path: string): Access {
  const config = parse(readFileSync(path, 'utf8')) as Record<string, Record<string, Record<string, string>>[]>;
  const cluster = config['clusters']?.[0]?.['cluster'] ?? {};
  return {
    server: cluster['server'] ?? '',
    caFile: cluster['certificate-authority'] ?? '',
    user: config['users']?.[0]?.['user'] ?? {},
  };
}

async function ownNamespace(t: Test, client: Client): Promise<string> {
  const namespace = `faults-${randomBytes(4).toString('hex')}`;
  await client.create(Namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  t.teardown(() => client.delete(Namespaces, { namespace: '', name: namespace }).catch(() => undefined));
  return namespace;
}

/** Follows the ConfigMaps through that client; `setbacks` are changes that were told out of order. */
function startReflector(t: Test, client: Client, namespace: string) {
  const log = pino({ level: 'silent' });
  const shared = { client, namespace, clock: systemClock, random: Math.random, log, inactivityMs: INACTIVITY_MS };
  const reflector = createReflector({ ...shared, type: ConfigMaps });
  const setbacks: string[] = [];
  const told = new Map<string, number>();
  reflector.subscribe(({ kind, object }) => {
    const key = `${object.metadata.uid}`;
    const version = Number(object.metadata.resourceVersion);
    if (version < (told.get(key) ?? 0)) setbacks.push(`${kind} ${object.metadata.name} ${version}`);
    told.set(key, kind === 'deleted' ? Infinity : version);
  });
  t.teardown(() => reflector.stop());
  reflector.start();
  return { reflector, setbacks };
}

/** Creates, changes and deletes at random until told to stop; a write that fails is simply the last try of its kind. */
function startWriter(client: Client, namespace: string) {
  const random = seededRandom(4);
  const stopping = new AbortController();
  let written = 0;
  const done = (async () => {
    for (let i = 0; !stopping.signal.aborted; i++) {
      const name = `c-${Math.floor(random() * 12)}`;
      const object: ConfigMap = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name, namespace },
        data: { i: `${i}` },
      };
      try {
        if (random() < 0.2) await client.delete(ConfigMaps, { namespace, name });
        else await client.patch(ConfigMaps, { namespace, name }, { type: 'apply', body: { ...object } });
        written++;
      } catch (error) {
        if (!isReason(error, 'NotFound')) await delay(20);
      }
      await delay(2);
    }
  })();
  return {
    async stop(): Promise<number> {
      stopping.abort();
      await done;
      return written;
    },
  };
}

async function becomesEqual(
  t: Test,
  reflector: Reflector<ConfigMap>,
  direct: Client,
  namespace: string,
): Promise<void> {
  const versions = (objects: readonly Readonly<ConfigMap>[]): string[] =>
    objects.map((object) => `${keyString(keyOf(object))} ${object.metadata.resourceVersion}`).sort();
  const wanted = versions((await direct.list(ConfigMaps, { namespace })).items);
  for (const giveUpAt = Date.now() + 60_000; Date.now() < giveUpAt; await delay(50)) {
    if (JSON.stringify(versions(reflector.cache.list())) === JSON.stringify(wanted)) break;
  }
  t.same(versions(reflector.cache.list()), wanted);
}

/** A client that reaches the API server only through a proxy, and one that reaches it directly. */
async function behindProxy(t: Test) {
  const { server, caFile, user } = accessOf(kubeconfig);
  const direct = await connectCluster({ kubeconfig });
  const namespace = await ownNamespace(t, direct);
  const proxy = await startFaultyProxy(t, Number(new URL(server).port));
  const through = writeKubeconfig(join(t.testdir(), 'through'), `https://127.0.0.1:${proxy.port}`, user, {
    'certificate-authority': caFile,
  });
  const client = await connectCluster({ kubeconfig: through, deadlineMs: INACTIVITY_MS });
  return { direct, client, proxy, namespace };
}

// A control plane that starts on a busy machine takes its time.
t.setTimeout(240_000);

if (kubeconfig === '') {
  t.pass('faults before a real API server were not tried: GRIDFERRY_TEST_KUBECONFIG names none', { skip: true });
} else {
  void t.test('whatever the network loses, cuts or delays, the cache ends as the server is', async (t) => {
    const { direct, client, proxy, namespace } = await behindProxy(t);
    const { reflector, setbacks } = startReflector(t, client, namespace);
    await reflector.synced;
    const writer = startWriter(direct, namespace);
    const random = seededRandom(7);
    for (let round = 0; round < 12; round++) {
      await delay(100 + random() * 200);
      const trouble = ['swallow', 'cut', 'cutAfter', 'delay', 'swallowNew'][round % 5] ?? '';
      if (trouble === 'swallow') proxy.swallow();
      else if (trouble === 'cut') proxy.cut();
      else if (trouble === 'cutAfter') proxy.cutAfter(Math.floor(random() * 5_000));
      else if (trouble === 'delay') proxy.delay(random() * 300);
      else {
        proxy.swallowNew();
        proxy.cut();
        await delay(INACTIVITY_MS);
      }
      await delay(random() * 400);
      proxy.heal();
    }
    t.ok((await writer.stop()) > 100, 'there was something to lose');
    await becomesEqual(t, reflector, direct, namespace);
    t.same(setbacks, []);
    await reflector.stop();
    client.close();
    direct.close();
  });

  void t.test('a half-open connection is found out and its socket destroyed', async (t) => {
    const { direct, client, proxy, namespace } = await behindProxy(t);
    const { reflector } = startReflector(t, client, namespace);
    await reflector.synced;
    await client.list(ConfigMaps, { namespace });
    proxy.swallow();
    const lost = proxy.open;
    await direct.create(ConfigMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace } });
    await t.rejects(client.list(ConfigMaps, { namespace }), { code: 'GF_API_TIMEOUT' });
    t.ok((await client.list(ConfigMaps, { namespace })).items.length > 0, 'the next call takes a new connection');
    await becomesEqual(t, reflector, direct, namespace);
    t.ok(proxy.accepted > lost);
    while (proxy.open > 2) await delay(20);
    t.ok(proxy.open <= 2, 'the dead sockets are closed');
    await reflector.stop();
    client.close();
    direct.close();
  });
}

if (!existsSync(up)) {
  t.pass(`a restart of the API server was not tried: there is no ${up}`, { skip: true });
} else {
  void t.test('the API server is killed and comes back, and nothing is lost', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'gridferry-restart-'));
    t.teardown(() => {
      spawnSync(join(dirname(up), 'down'), [folder]);
      rmSync(folder, { recursive: true, force: true });
    });
    const start = async (): Promise<string> => (await promisify(execFile)(up, [folder])).stdout.trim();
    const client = await connectCluster({ kubeconfig: await start(), deadlineMs: 5_000 });
    const namespace = await ownNamespace(t, client);
    const { reflector, setbacks } = startReflector(t, client, namespace);
    await reflector.synced;
    const writer = startWriter(client, namespace);
    for (let round = 0; round < 2; round++) {
      await delay(500);
      process.kill(Number(readFileSync(join(folder, 'apiserver.pid'), 'utf8')), 'SIGKILL');
      await delay(500);
      await start();
    }
    await delay(500);
    t.ok((await writer.stop()) > 20, 'there was something to lose');
    await becomesEqual(t, reflector, client, namespace);
    t.same(setbacks, []);
    await reflector.stop();
    client.close();
  });
}
