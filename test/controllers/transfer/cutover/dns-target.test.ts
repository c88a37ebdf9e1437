import t from 'tap';
import { dnsTargetOf, publicAddressOf, publicNameOf } from '../../../../controllers/transfer/cutover/dns-target.ts';
import type { TransferContext } from '../../../../controllers/transfer/context.ts';
import type { PlatformConfig, Service, TransferSpec } from '../../../../src/api/resources.ts';
import type { DnsProvider, DnsRecordSnapshot } from '../../../../src/dns/provider.ts';
import { createRedactor } from '../../../../src/security/redact.ts';
import { onlineServer, transferOf } from '../../../support/transfer-world.ts';

const redactor = createRedactor();
const cloudflare = { apiTokenRef: { name: 'cloudflare', key: 'token' }, apiBaseURL: 'https://api.example' };
const platformOf = (spec: object): PlatformConfig => ({ spec }) as unknown as PlatformConfig;
const platform = platformOf({ domain: 'ferry.example', cloudflare });

function contextOf(change: {
  spec?: Partial<TransferSpec>;
  platform?: PlatformConfig | undefined;
  publicName?: string;
  token?: string;
  records?: readonly Partial<DnsRecordSnapshot>[];
}): TransferContext {
  const zone = { id: 'z', name: 'ferry.example' };
  const provider = {
    findZone: async () => zone,
    listRecords: async () => (change.records ?? []) as DnsRecordSnapshot[],
  } as unknown as DnsProvider;
  return {
    transfer: transferOf('move', change.spec),
    service: change.publicName === undefined ? undefined : ({ spec: { publicName: change.publicName } } as Service),
    platform: 'platform' in change ? change.platform : platform,
    sourceServer: onlineServer('alpha', { address: '10.0.0.1' }),
    targetServer: onlineServer('beta', { address: '10.0.0.2', publicAddress: '10.0.9.2' }),
    signal: new AbortController().signal,
    dependencies: {
      redactor,
      secrets: { read: async () => new Map([['token', Buffer.from(change.token ?? 'the-api-token\n')]]) },
      dns: { cloudflare: () => provider },
    },
  } as unknown as TransferContext;
}

void t.test('the public name: what is asked for, else what is moved, below the domain', async (t) => {
  const name = (change: Parameters<typeof contextOf>[0]) => publicNameOf(contextOf(change));
  t.same(name({}), { name: 'web.ferry.example', explicit: false });
  t.same(name({ publicName: 'shop' }), { name: 'shop.ferry.example', explicit: true });
  t.same(name({ publicName: 'shop', spec: { dns: { name: 'www.other.example.', skip: false, adopt: false } } }), {
    name: 'www.other.example',
    explicit: true,
  });
  t.same(name({ platform: undefined }), { name: undefined, explicit: false });
  t.same(name({ platform: platformOf({}), publicName: 'a.b' }), { name: 'a.b', explicit: true });
});

void t.test('the public address is the one that clients use, and must be one that DNS can have', async (t) => {
  t.equal(
    await publicAddressOf(onlineServer('beta', { address: '10.0.0.2', publicAddress: '93.184.216.9' })),
    '93.184.216.9',
  );
  t.equal(await publicAddressOf(onlineServer('beta', { address: '10.0.0.2' })), '10.0.0.2');
  const local = onlineServer('here', { local: true });
  delete local.spec.address;
  await t.rejects(publicAddressOf(local), { code: 'GF_SERVER_NO_PUBLIC_ADDRESS' } as never);
  await t.rejects(publicAddressOf(onlineServer('x', { address: '127.0.0.1' })), { code: /^GF_ADDRESS_/ } as never);
});

void t.test('why DNS is left alone is said, with what to do by hand', async (t) => {
  const skipped = (change: Parameters<typeof contextOf>[0]) => dnsTargetOf(contextOf(change));
  t.match(await skipped({ platform: undefined }), {
    skip: true,
    reason: 'NoPlatformConfig',
    message: /point its DNS name to server beta by hand/,
  });
  t.match(await skipped({ spec: { dns: { skip: true, adopt: false } } }), {
    reason: 'Skipped',
    message: /web\.ferry\.example/,
  });
  t.match(await skipped({ platform: platformOf({ domain: 'ferry.example' }) }), { reason: 'NoProvider' });
  t.match(await skipped({ platform: platformOf({ cloudflare }) }), { reason: 'NoRecord' });
  t.match(await skipped({}), { reason: 'NoRecord', message: /has no address record/ });
});

void t.test('a known name is pointed from the source to the target', async (t) => {
  const records = [
    { id: '1', name: 'web.ferry.example', type: 'A' as const, content: '10.0.0.1', ttl: 300, proxied: false, tags: [] },
  ];
  const target = await dnsTargetOf(contextOf({ records }));
  t.match(target, {
    skip: false,
    name: 'web.ferry.example',
    input: { newAddress: '10.0.9.2', oldAddresses: ['10.0.0.1'], type: 'A', force: false },
  });
  t.notMatch(redactor.redact('with the-api-token'), 'the-api-token', 'the token is a secret from now on');
});

void t.test('a Secret without a token says which key is missing', async (t) => {
  await t.rejects(dnsTargetOf(contextOf({ token: ' \n' })), {
    code: 'GF_CREDENTIALS_EMPTY',
    message: /Secret default\/cloudflare has no key "token"/,
  } as never);
});
