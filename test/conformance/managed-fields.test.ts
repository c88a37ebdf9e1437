import { randomBytes, randomInt } from 'node:crypto';
import t from 'tap';
import type { Test } from 'tap';
import { Namespaces } from '../../src/api/core.ts';
import type { KubeObject } from '../../src/api/meta.ts';
import { servedTypes } from '../../src/api/resources.ts';
import { ApiError } from '../../src/home/api-error.ts';
import type { Client } from '../../src/home/client.ts';
import { connectCluster } from '../../src/home/cluster/cluster-client.ts';
import type { ManagedFieldsEntry } from '../../src/home/managed-fields/manager-entries.ts';
import { createSchemaAdmission } from '../../src/home/schema-admission.ts';
import { temporaryHome } from '../support/local-home.ts';
import { randomWrites } from '../support/random-writes.ts';
import { seededRandom } from '../support/seeded-random.ts';

/** Sequences of random writes, done in both homes: who owns what must come out the same. */

const kubeconfig = process.env['GRIDFERRY_TEST_KUBECONFIG'];
const SEQUENCES = Number(process.env['GRIDFERRY_TEST_SEQUENCES'] ?? 40);
const WRITES = 14;

if (kubeconfig === undefined || kubeconfig === '') {
  t.comment('managedFields were not compared with a real API server: GRIDFERRY_TEST_KUBECONFIG is not set');
  t.pass('the unit tests of test/home/managed-fields cover the rules');
} else {
  t.setTimeout(300_000);
  await t.test('random writes leave the same owners in both homes', async (t) => {
    const cluster = await connectCluster({ kubeconfig });
    t.teardown(() => cluster.close());
    const home = temporaryHome(t, { types: servedTypes, admission: createSchemaAdmission() });
    const first = Number(process.env['GRIDFERRY_TEST_SEED'] ?? randomInt(2 ** 31));
    for (let sequence = 0; sequence < SEQUENCES; sequence++) await compare(t, first + sequence, cluster, home);
  });
}

async function compare(t: Test, seed: number, real: Client, local: Client): Promise<void> {
  const namespace = `managed-fields-${randomBytes(4).toString('hex')}`;
  const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } } as const;
  for (const client of [real, local]) await client.create(Namespaces, object);
  const done: string[] = [];
  const writes = randomWrites(seededRandom(seed), namespace);
  let differences = 0;
  for (let i = 0; i < WRITES && differences === 0; i++) {
    const { sentence, run } = writes.next().value;
    done.push(sentence);
    const [expected, actual] = [await outcomeOf(run(real)), await outcomeOf(run(local))];
    if (!t.same(actual, expected, `seed ${String(seed)}, write ${String(i)}`)) differences++;
  }
  if (differences > 0) t.comment(`GRIDFERRY_TEST_SEED=${String(seed)}\n${done.join('\n')}`);
  for (const client of [real, local]) await client.delete(Namespaces, { namespace: '', name: namespace });
}

async function outcomeOf(write: Promise<KubeObject>): Promise<unknown> {
  try {
    return comparable(await write);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const { message, statusDetails } = error;
    return {
      reason: error.reason,
      lines: message.split('\n').sort(),
      causes: (statusDetails.causes ?? []).map((cause) => [cause.reason, cause.field, cause.message].join(' ')).sort(),
    };
  }
}

/** The object without what differs from server to server: identity, versions and times. */
function comparable(object: KubeObject): unknown {
  const { uid, resourceVersion, creationTimestamp, managedFields, ...metadata } = object.metadata;
  const identified = [uid, resourceVersion, creationTimestamp].every((value) => typeof value === 'string');
  const entries = ((managedFields ?? []) as ManagedFieldsEntry[]).map((entry) => ({
    by: [entry.manager, entry.operation, entry.apiVersion, entry.subresource, entry.fieldsType].join(' '),
    timed: entry.time !== undefined,
    // As text, so that the order counts.
    owned: JSON.stringify(entry.fieldsV1),
  }));
  // By time first, which may fall into different seconds.
  entries.sort((a, b) => (a.by < b.by ? -1 : 1));
  return JSON.parse(JSON.stringify({ ...object, metadata: { ...metadata, identified, entries } }));
}
