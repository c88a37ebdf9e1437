import { inspect } from 'node:util';
import t from 'tap';
import type { Test } from 'tap';
import { cloudflareProvider } from '../../src/dns/cloudflare-provider.ts';
import { createCloudflare } from '../../src/dns/cloudflare.ts';
import type { Cloudflare, CloudflareOptions } from '../../src/dns/cloudflare.ts';
import type { DnsProvider, DnsZone, NewDnsRecord } from '../../src/dns/provider.ts';
import { createRequestBudget } from '../../src/dns/request-budget.ts';
import type { GridferryError } from '../../src/errors.ts';
import { startCloudflareStandIn } from '../../src/sandbox/cloudflare-stand-in.ts';
import type { CloudflareStandIn, CloudflareStandInOptions } from '../../src/sandbox/cloudflare-stand-in.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';

const TOKEN = 'secret-token-4711';
type Seed = NonNullable<CloudflareStandInOptions['zones'][number]['records']>[number];

interface Bench {
  readonly standIn: CloudflareStandIn;
  readonly cloudflare: Cloudflare;
  readonly provider: DnsProvider;
  readonly zone: DnsZone;
}

async function bench(
  test: Test,
  records: readonly Seed[] = [],
  options: Partial<CloudflareOptions> = {},
): Promise<Bench> {
  const standIn = await startCloudflareStandIn({ token: TOKEN, zones: [{ name: 'example.test', records }] });
  const cloudflare = createCloudflare({ apiToken: TOKEN, baseUrl: standIn.baseUrl, ...options });
  test.teardown(async () => {
    await cloudflare.close();
    await standIn.close();
  });
  const zone = { id: '1'.padStart(32, '0'), name: 'example.test', nameServers: [] };
  return { standIn, cloudflare, provider: cloudflareProvider(cloudflare, { retryDelayMs: 1 }), zone };
}

async function failure(promise: Promise<unknown>): Promise<GridferryError> {
  return promise.then(
    () => {
      throw new Error('it was expected to fail');
    },
    (error: unknown) => error as GridferryError,
  );
}

const a = (name: string, content: string, more: Partial<NewDnsRecord> = {}): NewDnsRecord => ({
  ...{ name: `${name}.example.test`, type: 'A', content, ttl: 300, proxied: false, comment: '', tags: [] },
  ...more,
});

void t.test('who leads no longer reads, and changes nothing', async (t) => {
  let leads = true;
  const { standIn, cloudflare, zone } = await bench(t, [], { mayWrite: () => leads });
  const { id } = await cloudflare.createRecord(zone, a('web', '203.0.113.7'));
  leads = false;
  t.equal((await cloudflare.listRecords(zone)).length, 1);
  const sent = standIn.requests.length;
  for (const write of [
    cloudflare.createRecord(zone, a('other', '203.0.113.8')),
    cloudflare.deleteRecord(zone, id),
    cloudflare.batch(zone, { deletes: [{ id }] }),
  ]) {
    t.match(await failure(write), { code: 'GF_LEADERSHIP_LOST', class: 'retryable' });
  }
  t.equal(standIn.requests.length, sent);
});

void t.test('reading', async (t) => {
  void t.test('a list takes exactly as many requests as it has pages', async (t) => {
    const many = Array.from({ length: 200 }, (_, index) => a(`n${index}`, '203.0.113.7'));
    const { standIn, cloudflare, zone } = await bench(t, many);
    t.equal((await cloudflare.listRecords(zone)).length, 200);
    t.equal(standIn.requests.length, 2, '200 records are two full pages, and no third is asked for');
    t.equal((await cloudflare.listRecords(zone, { name: 'N17.example.test.', type: 'A' })).length, 1);
    t.equal((await cloudflare.listRecords(zone, { name: 'nothing.example.test' })).length, 0);
    t.equal(standIn.requests.length, 4);
  });

  void t.test('the zone of a name is the one with the longest suffix, and is asked for once', async (t) => {
    const standIn = await startCloudflareStandIn({
      token: TOKEN,
      zones: [{ name: 'example.test' }, { name: 'shop.example.test' }, { name: 'new.test', status: 'pending' }],
    });
    const cloudflare = createCloudflare({ apiToken: TOKEN, baseUrl: standIn.baseUrl });
    t.teardown(() => Promise.all([cloudflare.close(), standIn.close()]));
    t.equal((await cloudflare.findZone('a.b.shop.example.test')).name, 'shop.example.test');
    t.equal((await cloudflare.findZone('*.Example.test.')).name, 'example.test');
    const asked = standIn.requests.length;
    await cloudflare.findZone('a.b.shop.example.test');
    t.equal(standIn.requests.length, asked);
    t.match(await failure(cloudflare.findZone('app.elsewhere.test')), { code: 'GF_DNS_ZONE_NOT_FOUND' });
    t.match(await failure(cloudflare.findZone('app.new.test')), { code: 'GF_DNS_ZONE_NOT_FOUND', message: /pending/ });
  });

  void t.test('a read is repeated after 500, after an HTML page and after a cut connection', async (t) => {
    const { standIn, cloudflare, zone } = await bench(t, [a('app', '203.0.113.7')]);
    for (const how of ['server-error', 'not-json', 'lost-answer'] as const) {
      standIn.fail({ how });
      t.equal((await cloudflare.listRecords(zone)).length, 1, how);
    }
    standIn.fail({ how: 'server-error', times: 3 });
    t.match(await failure(cloudflare.listRecords(zone)), { code: 'GF_DNS_UNAVAILABLE', class: 'retryable' });
  });

  void t.test('a silent server costs one deadline, not for ever', async (t) => {
    const { standIn, cloudflare, zone } = await bench(t, [], { timeoutMs: 60 });
    standIn.fail({ how: 'no-answer', times: 3 });
    const error = await failure(cloudflare.deleteRecord(zone, '9'.repeat(32)));
    t.match(error, { code: 'GF_DNS_UNAVAILABLE', class: 'retryable', message: /within 60 ms/ });
    t.equal(standIn.requests.length, 1, 'a mutation is not repeated');
  });

  void t.test('an abort ends a call with its reason', async (t) => {
    const { standIn, cloudflare, zone } = await bench(t);
    standIn.fail({ how: 'no-answer' });
    const stop = new AbortController();
    const call = cloudflare.listRecords(zone, {}, { signal: stop.signal });
    setTimeout(() => stop.abort(new Error('cancelled by the user')), 30);
    await t.rejects(call, { message: 'cancelled by the user' });
  });
});

void t.test('refusals', async (t) => {
  void t.test('a token that is wrong, malformed or without permission is GF_DNS_AUTH and never shown', async (t) => {
    const { standIn, zone } = await bench(t);
    const wrong = createCloudflare({ apiToken: 'wrong-token-0815\n', baseUrl: standIn.baseUrl });
    t.teardown(() => wrong.close());
    const errors = [await failure(wrong.listRecords(zone)), await failure(wrong.verifyToken())];
    standIn.fail({ how: 'auth-error' });
    errors.push(await failure(wrong.listRecords(zone)));
    for (const error of errors) {
      t.match(error, { code: 'GF_DNS_AUTH', class: 'terminal' });
      t.notMatch(inspect(error, { depth: 9, showHidden: true }), /wrong-token/);
    }
    t.notMatch(inspect(wrong, { depth: 9, showHidden: true }), /wrong-token/);
    t.throws(() => createCloudflare({ apiToken: 'two words' }), { code: 'GF_DNS_AUTH' });
    t.throws(() => createCloudflare({ apiToken: ' ' }), { code: 'GF_DNS_AUTH' });
    t.throws(() => createCloudflare({ apiToken: 'x', baseUrl: 'http://api.example.com' }), {
      code: 'GF_DNS_INSECURE_URL',
    });
  });

  void t.test('an active token verifies', async (t) => {
    const { cloudflare } = await bench(t);
    t.match(await cloudflare.verifyToken(), { status: 'active' });
  });

  void t.test('what the server echoes of the token is blotted out', async (t) => {
    const { MockAgent } = await import('undici');
    const agent = new MockAgent();
    agent.disableNetConnect();
    const body = { success: false, errors: [{ code: 1004, message: `bad: Bearer ${TOKEN}` }], result: null };
    agent.get('https://api.cloudflare.com').intercept({ path: /.*/, method: 'GET' }).reply(400, body);
    const error = await failure(createCloudflare({ apiToken: TOKEN, dispatcher: agent }).verifyToken());
    t.match(error, { code: 'GF_DNS_REJECTED', message: /bad: Bearer \[token\]/ });
  });

  void t.test('rules of the API come back as GF_DNS_REJECTED with its words', async (t) => {
    const { cloudflare, zone } = await bench(t);
    const error = await failure(cloudflare.createRecord(zone, a('app', '203.0.113.7', { ttl: 5 })));
    t.match(error, {
      code: 'GF_DNS_REJECTED',
      class: 'terminal',
      message: /Invalid TTL/,
      details: { cloudflareCode: 9021 },
    });
    const other = await failure(cloudflare.listRecords({ ...zone, id: 'f'.repeat(32) }));
    t.match(other, { code: 'GF_DNS_ZONE_NOT_FOUND' });
  });

  void t.test('after a 429 nobody asks again until Retry-After is over', async (t) => {
    const clock = createVirtualClock();
    const { standIn, cloudflare, zone } = await bench(t, [a('app', '203.0.113.7')], { clock });
    standIn.fail({ how: 'rate-limited', retryAfterSeconds: 120 });
    t.match(await failure(cloudflare.listRecords(zone)), { code: 'GF_DNS_RATE_LIMITED', retryAfterMs: 120_000 });
    await clock.advance(60_000);
    t.match(await failure(cloudflare.listRecords(zone)), { code: 'GF_DNS_RATE_LIMITED', retryAfterMs: 60_000 });
    t.equal(standIn.requests.length, 1, 'the second was refused here');
    await clock.advance(60_000);
    t.equal((await cloudflare.listRecords(zone)).length, 1);
  });

  void t.test('no five minutes ever hold more than 1,000 requests', async (t) => {
    const clock = createVirtualClock();
    const budget = createRequestBudget({ clock, burst: 100, perSecond: 3, maxWaitMs: 0 });
    const passed: number[] = [];
    for (let second = 0; second < 900; second++) {
      for (let tries = 0; tries < 20; tries++) {
        await budget.take().then(
          () => passed.push(second),
          () => undefined,
        );
      }
      await clock.advance(1000);
    }
    const most = Math.max(...passed.map((from) => passed.filter((at) => at >= from && at < from + 300).length));
    t.ok(most > 900 && most <= 1000, `${most} at most`);
  });

  void t.test('a turn that comes soon is waited for', async (t) => {
    const clock = createVirtualClock();
    const budget = createRequestBudget({ clock, burst: 1, perSecond: 1, maxWaitMs: 5000 });
    await budget.take();
    let turns = 0;
    const waiting = [budget.take(), budget.take()].map((turn) => turn.then(() => turns++));
    await clock.advance(1000);
    t.equal(turns, 1);
    await clock.advance(1000);
    await Promise.all(waiting);
    t.equal(turns, 2);
  });
});

void t.test('changes', async (t) => {
  const create = { kind: 'create', record: a('app', '203.0.113.8') } as const;

  void t.test('an answer lost after the record was made does not make a second one', async (t) => {
    const { standIn, provider, zone } = await bench(t);
    standIn.fail({ how: 'lost-answer', method: 'POST' });
    await provider.applyChanges(zone, [create]);
    t.equal(standIn.records('example.test').length, 1);
    t.equal(standIn.requests.filter(({ method }) => method === 'POST').length, 1);
  });

  void t.test('a request that was not done is sent again', async (t) => {
    const { standIn, provider, zone } = await bench(t);
    standIn.fail({ how: 'server-error', method: 'POST', times: 2 });
    await provider.applyChanges(zone, [create]);
    t.equal(standIn.records('example.test').length, 1);
    standIn.fail({ how: 'server-error', method: 'POST', times: 9 });
    const error = await failure(provider.applyChanges(zone, [{ kind: 'create', record: a('b', '203.0.113.8') }]));
    t.match(error, { code: 'GF_DNS_UNAVAILABLE' });
  });

  void t.test('done twice is done once, and the second time nothing is sent', async (t) => {
    const { standIn, provider, zone } = await bench(t, [a('web', '203.0.113.1')]);
    const [from] = await provider.listRecords(zone);
    if (from === undefined) throw new Error('no record');
    const changes = [create, { kind: 'update', from, to: { ...from, content: '203.0.113.9', ttl: 60 } }] as const;
    await provider.applyChanges(zone, changes);
    const after = structuredClone(standIn.records('example.test'));
    await provider.applyChanges(zone, changes);
    t.same(standIn.records('example.test'), after);
    t.equal(standIn.requests.filter(({ method }) => method !== 'GET').length, 1);
  });

  void t.test('a batch is one transaction: one bad record and none is changed', async (t) => {
    const { standIn, cloudflare, zone } = await bench(t, [a('web', '203.0.113.1')]);
    const before = structuredClone(standIn.records('example.test'));
    const [first] = before;
    const posts = [a('one', '203.0.113.2'), a('two', 'not an address')];
    const error = await failure(cloudflare.batch(zone, { deletes: [{ id: first?.id ?? '' }], posts }));
    t.match(error, { code: 'GF_DNS_REJECTED' });
    t.same(standIn.records('example.test'), before);
  });

  void t.test('a record that somebody changed meanwhile is a conflict, and is left as it is', async (t) => {
    const { standIn, cloudflare, provider, zone } = await bench(t, [a('web', '203.0.113.1')]);
    const [from] = await provider.listRecords(zone);
    if (from === undefined) throw new Error('no record');
    await cloudflare.patchRecord(zone, { ...from, content: '203.0.113.99' });
    const change = { kind: 'update', from, to: { ...from, content: '203.0.113.9' } } as const;
    t.match(await failure(provider.applyChanges(zone, [change])), { code: 'GF_DNS_CHANGED', class: 'conflict' });
    await cloudflare.patchRecord(zone, { ...from, proxied: true, ttl: 1 });
    t.match(await failure(provider.applyChanges(zone, [change])), { code: 'GF_DNS_CHANGED' }, 'proxied since');
    t.match(standIn.records('example.test'), [{ content: '203.0.113.1', proxied: true }]);
    await cloudflare.deleteRecord(zone, from.id);
    t.match(await failure(provider.applyChanges(zone, [change])), { code: 'GF_DNS_CHANGED' }, 'gone');
    await provider.applyChanges(zone, [{ kind: 'delete', record: from }]);
  });

  void t.test('a record that exists as wanted is success; one that clashes is not', async (t) => {
    const seeds = [a('app', '203.0.113.8', { proxied: true, ttl: 1 }), { ...a('c', 'x.example.test'), type: 'CNAME' }];
    const { standIn, provider, zone } = await bench(t, seeds);
    await provider.applyChanges(zone, [create]);
    t.match(standIn.records('example.test')[0], { proxied: true, ttl: 1 }, 'and stays behind the proxy');
    const clash = { kind: 'create', record: a('c', '203.0.113.8') } as const;
    t.match(await failure(provider.applyChanges(zone, [clash])), { code: 'GF_DNS_RECORD_EXISTS' });
  });
});
