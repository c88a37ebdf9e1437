import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import type { ControllerDependencies } from '../../controllers/dependencies.ts';
import type { ProbeFailure, ProbeResult } from '../../controllers/managed-server/probe.ts';
import { statusAfter } from '../../controllers/managed-server/status.ts';
import { platformConfigController } from '../../controllers/platform-config/controller.ts';
import { serviceController } from '../../controllers/service/controller.ts';
import { crdOf } from '../../src/api/crds.ts';
import { API_VERSION } from '../../src/api/meta.ts';
import type { Condition, KubeObject, ResourceType } from '../../src/api/meta.ts';
import { ManagedServers, PlatformConfigs, Services, servedTypes, Transfers } from '../../src/api/resources.ts';
import type { PlatformConfig, Transfer, TransferSpec } from '../../src/api/resources.ts';
import { GridferryError } from '../../src/errors.ts';
import { createManager } from '../../src/runtime/manager.ts';
import type { ControllerDefinition } from '../../src/runtime/reconciler.ts';
import { createRedactor } from '../../src/security/redact.ts';
import { createFakeClient } from '../support/fake-client.ts';
import type { FakeClient } from '../support/fake-client.ts';
import { kstatusOf, kubectlWaitIsOver } from '../support/kstatus.ts';
import { seededRandom } from '../support/seeded-random.ts';
import {
  changeSpec,
  createServers,
  modelPlan,
  newModel,
  onlineServer,
  startProcess,
  transferOf,
} from '../support/transfer-world.ts';
import type { Hook } from '../support/transfer-world.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';

const key = { namespace: 'default', name: 'move' };
const busy = new GridferryError('GF_TEST_BUSY', 'try again later.', { class: 'retryable' });
const broken = new GridferryError('GF_TEST_BROKEN', 'it is broken.');

/** The API fills in the default of `status`, which the client in memory does not. */
function asServed<T extends KubeObject>(type: ResourceType<T>, object: T): T {
  const fallback = crdOf(type)?.spec.versions[0]?.schema.openAPIV3Schema.properties?.['status']?.default;
  return object.status === undefined ? { ...object, status: fallback as T['status'] } : object;
}

/** What holds of every object that was ever seen, whatever its kind. */
function checkRules(t: Test, object: Readonly<KubeObject>): void {
  const { conditions = [] } = (object.status ?? {}) as { conditions?: Condition[] };
  const isTrue = (type: string): boolean => conditions.some((one) => one.type === type && one.status === 'True');
  const shown = JSON.stringify(conditions.filter(({ type }) => /Ready|Reconciling|Stalled/.test(type)));
  t.notOk(isTrue('Reconciling') && isTrue('Stalled'), `not both: ${shown}`);
  t.notOk(isTrue('Ready') && (isTrue('Reconciling') || isTrue('Stalled')), `ready and nothing else: ${shown}`);
  if (object.metadata.deletionTimestamp === undefined && kubectlWaitIsOver(object, 'Ready')) {
    t.equal(kstatusOf(object), 'Current', 'kubectl wait and kstatus agree');
  }
}

/** Runs one transfer and answers how every state of it that was stored reads, repetitions left out. */
async function story(
  t: Test,
  options: {
    readonly hook?: Hook;
    readonly spec?: Partial<TransferSpec>;
    readonly servers?: boolean;
    /** What is done to it, in turn: each as soon as it reads so. */
    readonly then?: readonly (readonly [phrase: string, act: (client: FakeClient) => Promise<unknown>])[];
    readonly last: string;
  },
): Promise<string[]> {
  const client = createFakeClient();
  const clock = createVirtualClock();
  const model = newModel();
  if (options.servers !== false) await createServers(client);
  await client.create(Transfers, transferOf('move', options.spec));
  const over = new AbortController();
  t.teardown(() => over.abort());
  const phrases: string[] = [];
  const acts = [...(options.then ?? [])];
  const process = startProcess({
    client,
    clock,
    random: seededRandom(1),
    plan: () => modelPlan(model, options.hook ?? (() => undefined)),
  });
  t.teardown(() => process.kill());
  const watching = (async () => {
    for await (const event of client.watch(Transfers, { signal: over.signal })) {
      if (event.type === 'BOOKMARK' || event.type === 'DELETED' || event.object.metadata.name !== 'move') continue;
      const transfer = asServed(Transfers, event.object);
      checkRules(t, transfer);
      const phrase = phraseOf(transfer);
      if (phrases.at(-1) !== phrase) phrases.push(phrase);
      if (acts[0]?.[0] === phrase) await acts.shift()?.[1](client);
      if (acts.length === 0 && phrase === options.last) over.abort();
    }
  })();
  for (let waited = 0; !over.signal.aborted && waited < 300_000; waited += 50) await clock.advance(50);
  over.abort();
  await watching;
  return phrases;
}

function phraseOf(transfer: Transfer): string {
  const ready = transfer.status?.conditions?.find(({ type }) => type === 'Ready');
  return `${kstatusOf(transfer)} ${ready?.reason ?? '-'}`;
}

/** Fails the first `times` times that this point is passed. */
function failing(point: string, error: Error, times = Infinity): Hook {
  let count = 0;
  return (passed) => {
    if (passed === point && count++ < times) throw error;
  };
}

void t.test('a Transfer is in progress from its first moment until it is completed', async (t) => {
  t.same(await story(t, { last: 'Current Completed' }), [
    'InProgress -',
    'InProgress Progressing',
    'Current Completed',
  ]);
});

void t.test('a step that is tried again is progress, one that ends the transfer is a failure', async (t) => {
  const again = await story(t, {
    hook: failing('create-containers/apply/before', busy, 2),
    last: 'Current Completed',
  });
  t.ok(again.includes('InProgress Retrying'), again.join());
  t.notOk(again.some((phrase) => phrase.startsWith('Failed')));
  t.same(await story(t, { hook: failing('start-target/apply/before', broken), last: 'Failed Failed' }), [
    'InProgress -',
    'InProgress Progressing',
    'InProgress Undoing',
    'Failed Failed',
  ]);
  t.equal(
    (await story(t, { hook: failing('check-public-health/apply/before', broken), last: 'Failed Failed' })).at(-1),
    'Failed Failed',
    'also after the commit point',
  );
});

void t.test('an undo that fails is tried again, and that is progress', async (t) => {
  const fail = failing('start-target/apply/before', broken);
  const failUndo = failing('lock-servers/undo/before', busy, 3);
  const hook: Hook = (point, context) => [fail, failUndo].map((one) => one(point, context));
  const seen = await story(t, { hook, last: 'Failed Failed' });
  t.notOk(
    seen.slice(0, -1).some((phrase) => phrase.startsWith('Failed')),
    seen.join(),
  );
});

void t.test('a cancelled Transfer is a failure, and one started again is not', async (t) => {
  const seen = await story(t, {
    hook: failing('create-containers/apply/before', busy, 1),
    then: [
      ['InProgress Retrying', (client) => changeSpec(client, 'move', { cancel: true })],
      ['Failed Cancelled', (client) => changeSpec(client, 'move', { cancel: false, retryToken: 'again' })],
    ],
    last: 'Current Completed',
  });
  const from = seen.indexOf('Failed Cancelled');
  t.equal(seen[from + 1], 'InProgress Cancelled', 'until the controller has seen the change');
  t.equal(seen.at(-1), 'Current Completed');
});

void t.test('a suspended Transfer is neither done nor failed, and goes on', async (t) => {
  const seen = await story(t, {
    spec: { suspend: true },
    then: [['InProgress Suspended', (client) => changeSpec(client, 'move', { suspend: false })]],
    last: 'Current Completed',
  });
  t.same(seen.slice(-3), ['InProgress Suspended', 'InProgress Progressing', 'Current Completed']);
  t.equal((await story(t, { last: 'Current Completed' })).filter((phrase) => phrase.startsWith('Failed')).length, 0);
});

void t.test('what waits for another object is in progress; what cannot ever be accepted has failed', async (t) => {
  const waited = await story(t, {
    servers: false,
    then: [['InProgress ServerNotFound', createServers]],
    last: 'Current Completed',
  });
  t.same(waited.slice(-3), ['InProgress ServerNotFound', 'InProgress Progressing', 'Current Completed']);
  t.notOk(waited.some((phrase) => phrase.startsWith('Failed')));
  const same = await story(t, {
    spec: { sourceServerRef: { name: 'alpha' }, targetServerRef: { name: 'alpha' } },
    last: 'Failed SameServer',
  });
  t.equal(same.at(-1), 'Failed SameServer');
});

void t.test('a Transfer that is being deleted is terminating', async (t) => {
  const seen = await story(t, {
    hook: failing('create-containers/apply/before', busy, 3),
    then: [['InProgress Retrying', (client) => client.delete(Transfers, key)]],
    last: 'Terminating Cancelled',
  });
  const from = seen.findIndex((phrase) => phrase.startsWith('Terminating'));
  t.ok(from > 0 && seen.slice(from).every((phrase) => phrase.startsWith('Terminating')), seen.join());
});

const failure = (reason: string, terminal: boolean): ProbeFailure => ({
  at: 'Reach',
  code: 'GF_TEST',
  reason,
  message: 'did not work',
  terminal,
});

void t.test('a ManagedServer', async (t) => {
  const server = onlineServer('alpha');
  delete server.status;
  server.metadata.generation = 2;
  const read = (found: ProbeFailure | undefined): string => {
    const probe: ProbeResult = { hostKey: undefined, facts: undefined, services: undefined, failure: found };
    const seen = { ...server, status: statusAfter(server, probe, 0, String) };
    checkRules(t, seen);
    return kstatusOf(seen);
  };
  t.equal(kstatusOf(asServed(ManagedServers, server)), 'InProgress', 'before it was looked at');
  t.equal(read(undefined), 'Current');
  t.equal(read(failure('Timeout', false)), 'InProgress', 'it may come back by itself');
  t.equal(read(failure('HostKeyChanged', true)), 'Failed', 'somebody has to look at it');
  const status = statusAfter(
    server,
    { hostKey: undefined, facts: undefined, services: undefined, failure: undefined },
    0,
    String,
  );
  const changed = { ...server, metadata: { ...server.metadata, generation: 3 }, status };
  t.equal(kstatusOf(changed), 'InProgress', 'what was seen is not of the present spec');
  t.notOk(kubectlWaitIsOver(changed, 'Ready'));
});

/** Runs one controller over what is in the client until it has nothing to do. */
async function settle(t: Test, client: FakeClient, clock: VirtualClock, controller: unknown): Promise<void> {
  const manager = createManager({
    client,
    clock,
    log: pino({ level: 'silent' }),
    controllers: [controller as ControllerDefinition],
  });
  t.teardown(() => manager.stop());
  await manager.start();
  for (let turn = 0; turn < 20; turn++) await clock.advance(10);
}

void t.test('a Service', async (t) => {
  const client = createFakeClient();
  const clock = createVirtualClock();
  const service = { container: 'web', serverRef: { name: 'alpha' } };
  const web = { apiVersion: API_VERSION, kind: 'Service', metadata: { ...key, name: 'web' }, spec: service } as const;
  t.equal(kstatusOf(asServed(Services, await client.create(Services, web))), 'InProgress');
  await settle(t, client, clock, serviceController({ clock } as unknown as ControllerDependencies));
  const missing = await client.get(Services, { ...key, name: 'web' });
  checkRules(t, missing);
  t.equal(kstatusOf(missing), 'InProgress', 'its server may be applied after it');
  await createServers(client);
  for (let turn = 0; turn < 20; turn++) await clock.advance(10);
  const assigned = await client.get(Services, { ...key, name: 'web' });
  checkRules(t, assigned);
  t.equal(kstatusOf(assigned), 'Current');
});

void t.test('a PlatformConfig', async (t) => {
  const read = async (answer: () => Promise<unknown>, cloudflare = true): Promise<string> => {
    const client = createFakeClient();
    const clock = createVirtualClock();
    const provider = { apiTokenRef: { name: 'dns', key: 'token' }, apiBaseURL: 'https://127.0.0.1' };
    const config: PlatformConfig = {
      apiVersion: API_VERSION,
      kind: 'PlatformConfig',
      metadata: { namespace: 'default', name: 'default' },
      spec: { domain: 'example.test', ...(cloudflare ? { cloudflare: provider } : {}) },
    };
    await client.create(PlatformConfigs, config);
    const dependencies = {
      clock,
      redactor: createRedactor(),
      secrets: { read: async () => new Map([['token', Buffer.from('t0ken-of-a-test')]]) },
      dns: { cloudflare: () => ({ findZone: answer }) },
    } as unknown as ControllerDependencies;
    await settle(t, client, clock, platformConfigController(dependencies));
    const seen = await client.get(PlatformConfigs, { namespace: 'default', name: 'default' });
    checkRules(t, seen);
    return kstatusOf(seen);
  };
  t.equal(await read(async () => ({})), 'Current');
  t.equal(await read(async () => ({}), false), 'Current');
  t.equal(await read(async () => Promise.reject(busy)), 'InProgress');
  t.equal(await read(async () => Promise.reject(broken)), 'Failed');
});

void t.test('no kind with a controller is taken for done before that has seen it', async (t) => {
  for (const type of servedTypes.filter(({ categories }) => categories.includes('gridferry'))) {
    const fresh = { apiVersion: API_VERSION, kind: type.kind, metadata: { name: 'x', generation: 1 }, spec: {} };
    t.equal(kstatusOf(asServed(type, fresh)), 'InProgress', type.kind);
  }
});
