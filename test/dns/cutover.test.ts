import { performance } from 'node:perf_hooks';
import t from 'tap';
import type { Test } from 'tap';
import { cloudflareProvider } from '../../src/dns/cloudflare-provider.ts';
import { createCloudflare } from '../../src/dns/cloudflare.ts';
import { observeCutover, planCutover, readRecords } from '../../src/dns/cutover.ts';
import type { CutoverInput } from '../../src/dns/cutover.ts';
import type { DnsProvider, DnsRecordSnapshot } from '../../src/dns/provider.ts';
import {
  emptyRestorePoint,
  mergeRestorePoints,
  planLowerTtl,
  planOriginalTtl,
  planRestore,
  restore,
} from '../../src/dns/restore.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { startCloudflareStandIn } from '../../src/sandbox/cloudflare-stand-in.ts';
import type { CloudflareStandIn } from '../../src/sandbox/cloudflare-stand-in.ts';
import { seededRandom } from '../support/seeded-random.ts';

const [OLD, OLD2, NEW, OTHER] = ['203.0.113.1', '203.0.113.2', '198.51.100.1', '203.0.113.77'] as const;
const NAME = 'app.example.test';

let lastId = 0;
/** Every second lasts a millisecond, so that thousands of requests pass the client's own limit. */
const fastClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now() * 1000,
  after: (ms, callback) => systemClock.after(ms / 1000, callback),
};

const record = (content: string, more: Partial<DnsRecordSnapshot> = {}): DnsRecordSnapshot => ({
  ...{ id: (++lastId).toString(16).padStart(32, 'a'), name: NAME, type: 'A', content },
  ...{ ttl: 300, proxied: false, comment: '', tags: [], ...more },
});

const plan = (records: readonly DnsRecordSnapshot[], more: Partial<CutoverInput> = {}) =>
  planCutover({ records, name: NAME, type: 'A', newAddress: NEW, oldAddresses: [OLD, OLD2], ...more });

async function standInWith(
  test: Test,
  records: readonly Partial<DnsRecordSnapshot>[],
): Promise<{ standIn: CloudflareStandIn; provider: DnsProvider }> {
  const seeds = records as readonly DnsRecordSnapshot[];
  const standIn = await startCloudflareStandIn({ token: 'token', zones: [{ name: 'example.test', records: seeds }] });
  const cloudflare = createCloudflare({
    ...{ apiToken: 'token', baseUrl: standIn.baseUrl, clock: fastClock, timeoutMs: 5_000_000 },
  });
  test.teardown(() => Promise.all([cloudflare.close(), standIn.close()]));
  return { standIn, provider: cloudflareProvider(cloudflare, { clock: fastClock }) };
}

void t.test('planning', async (t) => {
  void t.test('a single record is pointed to the new address, and all else of it stays', async (t) => {
    const old = record(OLD, { comment: 'shop', tags: ['team:a'], ttl: 120 });
    const { changes, restorePoint, problems } = plan([old, record('mail', { type: 'MX' })]);
    t.same(changes, [{ kind: 'update', from: old, to: { ...old, content: NEW } }]);
    t.same(restorePoint, { prior: [old], created: [], wrote: [NEW] });
    t.same(problems, []);
    t.match(plan([old], { ttl: 60 }).changes, [{ to: { ttl: 60 } }]);
    t.same(plan([record(NEW)]).changes, [], 'nothing to do the second time');
  });

  void t.test('a proxied record stays proxied whatever TTL is asked, a grey one grey', async (t) => {
    t.match(plan([record(OLD, { proxied: true, ttl: 1 })], { ttl: 60 }).changes, [{ to: { proxied: true, ttl: 1 } }]);
    t.match(plan([record(OLD)], { ttl: 60 }).changes, [{ to: { proxied: false, ttl: 60 } }]);
    const grey = record(NEW);
    const { changes } = plan([record(OLD, { proxied: true, ttl: 1 }), grey]);
    t.match(changes, [{ kind: 'update', to: { id: grey.id, proxied: true, ttl: 1 } }, { kind: 'delete' }]);
  });

  void t.test('of a round robin only the source leaves', async (t) => {
    const [one, two] = [record(OLD), record(OTHER)];
    t.same(plan([two, one]).changes, [{ kind: 'update', from: one, to: { ...one, content: NEW } }]);
    t.match(plan([one, record(NEW), two]).changes, [{ kind: 'delete', record: one }], 'the new one is in it already');
    const second = record(OLD2);
    t.match(plan([one, second, two]).changes, [
      { kind: 'update', to: { id: one.id, content: NEW } },
      { kind: 'delete', record: second },
    ]);
  });

  void t.test('a CNAME in the way and a name of somebody else are refused', async (t) => {
    const cname = record('other.example.test', { type: 'CNAME' });
    t.throws(() => plan([cname]), { code: 'GF_DNS_CNAME_IN_THE_WAY', message: /Move the name other.example.test/ });
    t.throws(() => plan([cname], { force: true }), { code: 'GF_DNS_CNAME_IN_THE_WAY' });
    const foreign = [record(OTHER), record('203.0.113.78')];
    t.throws(() => plan(foreign), { code: 'GF_DNS_NOT_OURS', message: /203.0.113.77, 203.0.113.78/ });
    t.match(plan(foreign, { force: true }).changes, [{ kind: 'update', to: { content: NEW } }, { kind: 'delete' }]);
    t.equal(observeCutover({ ...inputOf(foreign) }).state, 'Blocked');
    t.equal(observeCutover({ ...inputOf([record(OLD)]) }).state, 'Pending');
    t.equal(observeCutover({ ...inputOf([record(NEW), record(OTHER)]) }).state, 'AsWanted');
  });

  void t.test('a name under a wildcard gets a record of its own, proxied as the wildcard is', async (t) => {
    const wildcard = record(OLD, { name: '*.example.test', proxied: true, ttl: 1 });
    const { changes, restorePoint } = plan([wildcard], { comment: 'moved' });
    t.match(changes, [{ kind: 'create', record: { name: NAME, proxied: true, ttl: 1, comment: 'moved' } }]);
    t.match(restorePoint, { prior: [], created: [{ name: NAME }] });
    t.throws(() => plan([record(OTHER, { name: '*.example.test' })]), { code: 'GF_DNS_NOT_OURS' });
    t.match(plan([], { ttl: 60 }).changes, [{ kind: 'create', record: { proxied: false, ttl: 60 } }]);
  });

  void t.test('what would not follow the move is named', async (t) => {
    const six = record('2001:db8:0:0::5', { type: 'AAAA' });
    const hints = record(`1 . alpn="h2" ipv4hint="${OLD}"`, { type: 'HTTPS' });
    const oldAddresses = [OLD, '2001:db8::5'];
    t.match(plan([record(OLD), six, hints], { oldAddresses }).problems, [
      { reason: 'Ipv6PointsToOldServer', message: /2001:db8:0:0::5/ },
      { reason: 'HintsPointToOldServer' },
    ]);
    t.match(plan([record(OLD), six]).problems, [{ reason: 'Ipv6PointsElsewhere' }]);
    t.same(plan([record(OLD), six], { newIpv6: '2001:db8::9' }).problems, []);
    const move = plan([record(OLD), six], { type: 'AAAA', oldAddresses, newAddress: '2001:DB8::0009' });
    t.match(move.changes, [{ from: six, to: { content: '2001:db8::9' } }]);
  });

  void t.test('only an address of the right kind is taken', async (t) => {
    for (const newAddress of ['2001:db8::1', '1.2.3', '1.2.3.4; drop', '', '01.2.3.4']) {
      t.throws(() => plan([record(OLD)], { newAddress }), { code: 'GF_DNS_BAD_ADDRESS' }, newAddress);
    }
    for (const newAddress of ['1.2.3.4', 'fe80::1%eth0', '::g']) {
      t.throws(() => plan([], { type: 'AAAA', newAddress }), { code: 'GF_DNS_BAD_ADDRESS' }, newAddress);
    }
  });

  void t.test('TTLs are lowered only where that helps, and come back with the new content', async (t) => {
    const auto = record(OLD, { ttl: 1 });
    const records = [
      auto,
      record(OTHER, { ttl: 3600 }),
      record(OLD2, { proxied: true, ttl: 1 }),
      record('x', { type: 'TXT' }),
    ];
    const { changes, restorePoint } = planLowerTtl({ records, name: NAME, oldAddresses: [OLD, OLD2], ttl: 60 });
    t.same(changes, [{ kind: 'update', from: auto, to: { ...auto, ttl: 60 } }]);
    const moved = { ...auto, ttl: 60, content: NEW };
    t.same(planOriginalTtl([moved], restorePoint), [{ kind: 'update', from: moved, to: { ...moved, ttl: 1 } }]);
    t.same(planOriginalTtl([{ ...moved, ttl: 1 }], restorePoint), []);
  });
});

function inputOf(records: readonly DnsRecordSnapshot[]): CutoverInput {
  return { records, name: NAME, type: 'A', newAddress: NEW, oldAddresses: [OLD] };
}

void t.test('restoring', async (t) => {
  void t.test('what somebody else wrote since is not overwritten unless forced', async (t) => {
    const old = record(OLD);
    const { restorePoint } = plan([old]);
    const theirs = { ...old, content: OTHER };
    t.throws(() => planRestore([theirs], restorePoint), { code: 'GF_DNS_NOT_OURS', message: /is now A 203.0.113.77/ });
    t.match(planRestore([theirs], restorePoint, { force: true }), [{ kind: 'update', to: old }]);
  });

  void t.test('planned again after a crash, the first restore point still counts', async (t) => {
    const old = record(OLD, { ttl: 3600 });
    const first = planLowerTtl({ records: [old], name: NAME, oldAddresses: [OLD, OLD2], ttl: 60 }).restorePoint;
    const second = plan([{ ...old, ttl: 60 }]).restorePoint;
    const third = plan([{ ...old, ttl: 60, content: NEW }], { force: true }).restorePoint;
    const merged = mergeRestorePoints(mergeRestorePoints(mergeRestorePoints(emptyRestorePoint, first), second), third);
    t.same(merged, { prior: [old], created: [], wrote: [NEW] });
    const made = plan([]).restorePoint;
    const seenAsOld = { prior: [record(NEW)], created: [], wrote: [NEW] };
    t.same(mergeRestorePoints(made, seenAsOld), made, 'what we made is never taken for what was there');
  });

  void t.test('the wildcard of a name is found, and the new record goes again', async (t) => {
    const { standIn, provider } = await standInWith(t, [
      { name: '*.example.test', type: 'A', content: OLD },
      { name: 'deep.shop.example.test', type: 'TXT', content: 'x' },
    ]);
    const before = structuredClone(standIn.records('example.test'));
    const { zone, records } = await readRecords(provider, 'Web.shop.example.test.');
    const { changes, restorePoint } = planCutover({ ...inputOf(records), name: 'web.shop.example.test' });
    await provider.applyChanges(zone, changes);
    t.equal(standIn.records('example.test').length, 3);
    for (let times = 0; times < 2; times++) await restore(provider, zone, restorePoint);
    t.same(standIn.records('example.test'), before);
  });

  void t.test('apply and restore, with any records and any fault, gives the same records', async (t) => {
    const { standIn, provider } = await standInWith(t, []);
    const zone = await provider.findZone(NAME);
    for (let seed = 1; seed <= 120; seed++) {
      const random = seededRandom(seed);
      const pick = <T>(...choices: readonly T[]): T => choices[Math.floor(random() * choices.length)] as T;
      await provider.applyChanges(
        zone,
        (await provider.listRecords(zone)).map((gone) => ({ kind: 'delete', record: gone })),
      );
      const contents = [OLD, OLD2, NEW, OTHER].filter(() => random() < 0.5);
      await provider.applyChanges(
        zone,
        contents.map((content) => {
          const proxied = random() < 0.4;
          const ttl = proxied ? 1 : pick(1, 60, 300, 3600);
          return { kind: 'create', record: { ...record(content), proxied, ttl, comment: pick('', 'kept') } };
        }),
      );
      const before = comparable(standIn);

      let point = emptyRestorePoint;
      const force = random() < 0.5;
      const stages = [
        (records: readonly DnsRecordSnapshot[]) =>
          planLowerTtl({ records, name: NAME, oldAddresses: [OLD, OLD2], ttl: 60 }),
        (records: readonly DnsRecordSnapshot[]) => plan(records, { force, ...(random() < 0.5 ? { ttl: 60 } : {}) }),
      ];
      try {
        for (const stage of [...stages, ...(random() < 0.3 ? stages : [])]) {
          const { changes, restorePoint } = stage((await readRecords(provider, NAME)).records);
          point = mergeRestorePoints(point, restorePoint);
          if (random() < 0.15) continue;
          if (random() < 0.5) standIn.fail({ how: pick('lost-answer', 'server-error'), method: 'POST' });
          await provider.applyChanges(zone, changes);
        }
        const now = standIn.records('example.test');
        if (before.some(({ proxied }) => proxied) && point.created.length === 0 && !contents.includes(OTHER)) {
          t.ok(
            now.some(({ proxied }) => proxied),
            `seed ${seed}: still behind the proxy`,
          );
        }
      } catch (error) {
        t.match(error, { code: 'GF_DNS_NOT_OURS' }, `seed ${seed}`);
      }
      const stored = JSON.parse(JSON.stringify(point)) as typeof point;
      if (random() < 0.5) standIn.fail({ how: pick('lost-answer', 'server-error'), method: 'POST' });
      await restore(provider, zone, stored);
      t.same(comparable(standIn), before, `seed ${seed}`);
      const sent = standIn.requests.length;
      await restore(provider, zone, stored);
      t.ok(
        standIn.requests.slice(sent).every(({ method }) => method === 'GET'),
        `seed ${seed}: nothing left to do`,
      );
    }
  });
});

function comparable(standIn: CloudflareStandIn) {
  return standIn
    .records('example.test')
    .map(({ id: _id, ...rest }) => rest)
    .sort((a, b) => a.content.localeCompare(b.content));
}
