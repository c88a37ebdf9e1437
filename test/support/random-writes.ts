import { ConfigMaps, Leases, Secrets } from '../../src/api/core.ts';
import type { KubeObject, ObjectKey, ResourceType } from '../../src/api/meta.ts';
import { apiVersionOf } from '../../src/api/meta.ts';
import { PlatformConfigs, Services } from '../../src/api/resources.ts';
import type { Client, Patch } from '../../src/home/client.ts';

type Json = Record<string, unknown>;

/** One write, to be done by any client. */
export interface RandomWrite {
  readonly sentence: string;
  readonly run: (client: Client) => Promise<KubeObject>;
}

/** What a sequence of random writes is about: one object of a kind, and the values its fields may have. */
interface Subject {
  readonly type: ResourceType;
  readonly name: string;
  readonly body: (pick: Pick) => Json;
  readonly status?: (pick: Pick) => Json;
}

interface Pick {
  readonly one: <T>(...choices: readonly T[]) => T;
  /** Each member with even odds. */
  readonly some: <T>(...choices: readonly T[]) => T[];
  /** The members with even odds each. */
  readonly part: (object: Json) => Json;
}

function picker(random: () => number): Pick {
  const below = (limit: number): number => Math.floor(random() * limit);
  const shuffled = <T>(items: readonly T[]): T[] =>
    items
      .map((item) => ({ item, at: random() }))
      .sort((a, b) => a.at - b.at)
      .map(({ item }) => item);
  return {
    one: (...choices) => choices[below(choices.length)] as (typeof choices)[number],
    some: (...choices) => shuffled(choices).filter(() => random() < 0.5),
    part: (object) => Object.fromEntries(Object.entries(object).filter(() => random() < 0.5)),
  };
}

function conditions({ one, some }: Pick): Json[] {
  return some('Ready', 'Stalled', 'a<b').map((type) => ({
    type,
    status: one('True', 'False'),
    reason: one('A', 'B'),
    message: '',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  }));
}

const subjects: readonly Subject[] = [
  {
    type: Services,
    name: 'random',
    body: (pick) => ({
      spec: {
        container: pick.one('a', 'b'),
        serverRef: { name: pick.one('one', 'two') },
        ...pick.part({
          publicName: pick.one('x.example.com', 'y.example.com', ''),
          addons: pick.some('db', 'cache', 'queue').map((name) => ({ name, container: pick.one('c1', 'c2') })),
          healthCheck: pick.one<Json>(
            {},
            { http: { port: pick.one(80, 8080) }, timeout: '5s' },
            { tcp: { port: 443 } },
            { http: { port: 80, path: '/up', host: 'h' } },
          ),
        }),
      },
    }),
    status: (pick) => ({
      status: pick.part({
        server: pick.one('one', 'two'),
        moves: pick.one(1, 2),
        conditions: conditions(pick),
        events: pick.some('E1', 'E2').map((reason) => ({ reason, time: '2026-01-01T00:00:00Z', message: 'm' })),
      }),
    }),
  },
  {
    type: PlatformConfigs,
    name: 'default',
    body: (pick) => ({
      spec: {
        domain: pick.one('example.com', 'example.org'),
        ...pick.part({
          resolvers: pick.some('1.1.1.1', '8.8.8.8:53', '9.9.9.9'),
          cloudflare: { apiTokenRef: { name: pick.one('t', 'u'), key: 'k' } },
        }),
      },
    }),
    status: (pick) => ({ status: pick.part({ observedGeneration: pick.one(1, 2), conditions: conditions(pick) }) }),
  },
  {
    type: ConfigMaps,
    name: 'random',
    body: (pick) =>
      pick.part({
        data: pick.part({ a: pick.one('1', '2'), b: pick.one('1', '2'), 'c.d': '' }),
        binaryData: pick.part({ e: 'MQ==', f: pick.one('MQ==', 'Mg==') }),
      }),
  },
  {
    type: Secrets,
    name: 'random',
    body: (pick) =>
      pick.part({
        data: pick.part({ a: pick.one('MQ==', 'Mg=='), b: 'MQ==' }),
        stringData: pick.part({ a: pick.one('1', '3'), c: pick.one('1', '2') }),
      }),
  },
  {
    type: Leases,
    name: 'random',
    body: (pick) => ({
      spec: pick.part({
        holderIdentity: pick.one('me', 'you'),
        leaseDurationSeconds: pick.one(15, 30),
        renewTime: pick.one('2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:01.000000Z'),
        leaseTransitions: pick.one(0, 1),
      }),
    }),
  },
];

const OWNER = { apiVersion: 'v1', kind: 'ConfigMap', name: 'absent' };

function metadata(pick: Pick): Json {
  return pick.part({
    labels: pick.part({ app: pick.one('x', 'y'), tier: 'z', 'example.com/a': '' }),
    annotations: pick.part({ note: pick.one('1', '2'), other: '' }),
    finalizers: pick.some('example.com/a', 'example.com/b'),
    ownerReferences: pick.some('u1', 'u2').map((uid) => ({ ...OWNER, apiVersion: 'example.com/v1', uid })),
  });
}

/** Endless random writes to one object, whose kind they pick first. */
export function* randomWrites(random: () => number, namespace: string): Generator<RandomWrite, never> {
  const pick = picker(random);
  const { type, name, body, status } = pick.one(...subjects);
  const key: ObjectKey = { namespace, name };
  const base = { apiVersion: apiVersionOf(type), kind: type.kind };
  const whole = (): Json => ({ ...base, metadata: { name, namespace, ...metadata(pick) }, ...body(pick) });
  const patchOf = (manager: string, patch: Patch, subresource?: 'status'): RandomWrite => ({
    sentence: `${manager}: ${patch.type}${subresource === undefined ? '' : '/status'} ${JSON.stringify(patch)} of ${type.kind}`,
    run: (client) =>
      client.patch(type, key, patch, { fieldManager: manager, ...(subresource === undefined ? {} : { subresource }) }),
  });
  for (;;) {
    const manager = pick.one('anna', 'bert', 'carl', 'kubectl');
    const applied = { ...whole(), ...(pick.one(true, false) ? {} : body(pick)) };
    const statusBody = status?.(pick) ?? {};
    yield pick.one<() => RandomWrite>(
      () => {
        const object = whole() as unknown as KubeObject;
        return {
          sentence: `${manager}: create ${JSON.stringify(object)}`,
          run: (client) => client.create(type, object, { fieldManager: manager }),
        };
      },
      () => {
        const object = whole() as unknown as KubeObject;
        const keeps = pick.one(true, false);
        return {
          sentence: `${manager}: update ${keeps ? 'keeping managedFields ' : ''}${JSON.stringify(object)}`,
          run: async (client) => {
            const { resourceVersion = '', managedFields } = (await client.get(type, key)).metadata;
            const metadata = { ...object.metadata, resourceVersion, ...(keeps && managedFields && { managedFields }) };
            return client.update(type, { ...object, metadata }, { fieldManager: manager });
          },
        };
      },
      () => patchOf(manager, { type: 'merge', body: { ...pick.part({ metadata: metadata(pick) }), ...body(pick) } }),
      () => patchOf(manager, { type: 'merge', body: { metadata: { labels: pick.one(null, { app: null }) } } }),
      () => patchOf(manager, { type: 'merge', body: { metadata: { managedFields: pick.one([], [{}], null) } } }),
      () =>
        patchOf(manager, {
          type: 'json',
          body: [
            { op: 'test', path: '/metadata/name', value: name },
            { op: 'add', path: '/metadata/annotations', value: { json: pick.one('1', '2') } },
          ],
        }),
      () =>
        patchOf(manager, {
          type: 'json',
          body: [{ op: 'remove', path: pick.one('/metadata/labels', '/metadata/finalizers') }],
        }),
      ...[false, true, false, true].map((force) => () => patchOf(manager, { type: 'apply', body: applied, force })),
      ...(status === undefined
        ? []
        : [
            () => patchOf(manager, { type: 'merge', body: statusBody }, 'status'),
            () =>
              patchOf(
                manager,
                { type: 'apply', body: { ...base, metadata: { name }, ...statusBody }, force: pick.one(true, false) },
                'status',
              ),
          ]),
    )();
  }
}
