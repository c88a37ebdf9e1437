import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import t from 'tap';
import type { Test } from 'tap';
import { allAnswer, queryRecord } from '../../src/dns/resolve.ts';
import type { QueryType } from '../../src/dns/resolve.ts';
import { startCloudflareStandIn } from '../../src/sandbox/cloudflare-stand-in.ts';
import type { CloudflareStandIn } from '../../src/sandbox/cloudflare-stand-in.ts';
import { answerPacket } from '../../src/sandbox/dns-server.ts';

const zone = (test: Test): Promise<CloudflareStandIn> =>
  startCloudflareStandIn({
    token: 'token',
    zones: [
      {
        name: 'example.test',
        records: [
          { name: '@', type: 'A', content: '203.0.113.1', ttl: 120 },
          { name: 'app', type: 'A', content: '203.0.113.2' },
          { name: 'app', type: 'A', content: '203.0.113.3' },
          { name: 'six', type: 'AAAA', content: '2001:DB8:0::0042', ttl: 60 },
          { name: 'www', type: 'CNAME', content: 'app.example.test' },
          { name: 'ring', type: 'CNAME', content: 'ring.example.test' },
          { name: 'hidden', type: 'A', content: '203.0.113.4', proxied: true },
          { name: '*.wild', type: 'A', content: '203.0.113.5' },
          { name: 'exact.wild', type: 'TXT', content: 'x' },
        ],
      },
    ],
  }).then((standIn) => {
    test.teardown(() => standIn.close());
    return standIn;
  });

void t.test('a name server answers for the same records as the API', async (t) => {
  const { dnsAddress } = await zone(t);
  const ask = async (name: string, type: QueryType = 'A') => {
    const [answer] = await queryRecord({ name: `${name}example.test`, type, servers: [dnsAddress], timeoutMs: 2000 });
    return answer?.ok ? answer.records : answer?.reason;
  };
  t.same(await ask(''), [{ content: '203.0.113.1', ttl: 120 }]);
  t.match(await ask('app.'), [{ content: '203.0.113.2' }, { content: '203.0.113.3', ttl: 300 }]);
  t.same(await ask('six.', 'AAAA'), [{ content: '2001:db8::42', ttl: 60 }]);
  t.match(await ask('www.'), [{ content: '203.0.113.2' }, { content: '203.0.113.3' }]);
  t.match(await ask('www.', 'CNAME'), [{ content: 'app.example.test' }]);
  t.match(await ask('hidden.'), [{ content: '192.0.2.1' }], 'the proxy, not the server behind it');
  t.match(await ask('hidden.', 'AAAA'), [{ content: '2001:db8::1' }]);
  t.match(await ask('any.thing.wild.'), [{ content: '203.0.113.5' }]);
  t.equal(await ask('exact.wild.'), 'NoData', 'a name that exists is not answered by the wildcard');
  t.equal(await ask('six.'), 'NoData');
  t.equal(await ask('missing.'), 'NotFound');
  t.equal(await ask('another-'), 'Refused', 'not its zone');
  t.equal(await ask('ring.'), 'NoData');
});

void t.test('every server is asked, and one that is silent does not hide the others', async (t) => {
  const { dnsAddress } = await zone(t);
  const silent = createSocket('udp4');
  await new Promise<void>((resolve) => silent.bind(0, '127.0.0.1', resolve));
  t.teardown(() => silent.close());
  const servers = [dnsAddress, `127.0.0.1:${silent.address().port}`, `localhost:${dnsAddress.split(':')[1] ?? ''}`];
  const answers = await queryRecord({ name: 'example.test', type: 'A', servers, timeoutMs: 150 });
  t.match(answers, [{ ok: true }, { ok: false, reason: 'Timeout', message: /150 ms/ }, { ok: true }]);
  t.notOk(allAnswer(answers, '203.0.113.1'));
  t.ok(
    allAnswer(
      [answers[0], answers[2]].filter((answer) => answer !== undefined),
      '203.0.113.1',
    ),
  );
  t.notOk(allAnswer([], '203.0.113.1'));
  const odd = { name: 'example.test', type: 'A', servers: ['not an address:x'], timeoutMs: 500 } as const;
  t.match(await queryRecord(odd), [{ ok: false }]);
  const stop = new AbortController();
  const asked = queryRecord({ ...odd, servers: [servers[1] ?? ''], timeoutMs: 5000, signal: stop.signal });
  setTimeout(() => stop.abort(), 20);
  t.match(await asked, [{ ok: false, reason: 'Aborted' }]);
});

void t.test('no packet can end the name server or make it answer a response', async (t) => {
  const { dnsAddress } = await zone(t);
  const label = (text: string): string => String.fromCharCode(text.length) + text;
  const query = Buffer.from(
    `\x12\x34\x01\x00\0\x01\0\0\0\0\0\0${label('ApP')}${label('example')}${label('test')}\0\0\x01\0\x01`,
    'latin1',
  );
  const fixed = (): { code: 'NOERROR' } => ({ code: 'NOERROR' });
  t.equal(answerPacket(query, fixed)?.toString('latin1', 12), query.toString('latin1', 12), 'letter case is echoed');
  const response = Buffer.from(query);
  response[2] = 0x81;
  t.equal(answerPacket(response, fixed), undefined);
  const big = Array.from({ length: 40 }, () => ({ name: 'a.test', type: 'A', ttl: 1, data: '192.0.2.1' }) as const);
  const cut = answerPacket(query, () => ({ code: 'NOERROR', answers: big }));
  t.ok(cut !== undefined && cut.length <= 512 && ((cut[2] ?? 0) & 0x02) !== 0, 'too long is marked as cut');
  const wrong = { name: 'a', type: 'A', ttl: 1, data: 'nonsense' } as const;
  t.equal(answerPacket(query, () => ({ code: 'NOERROR', answers: [wrong] }))?.[3], 2, 'SERVFAIL');

  const [host, port] = dnsAddress.split(':');
  const socket = createSocket('udp4');
  t.teardown(() => socket.close());
  for (let round = 0; round < 20_000; round++) {
    let packet = randomBytes(round % 80);
    if (round % 2 === 1) {
      packet = Buffer.from(query.subarray(0, round % 7 === 0 ? round % query.length : query.length));
      for (let flips = round % 4; flips >= 0 && packet.length > 0; flips--) {
        const [at = 0, value = 0] = randomBytes(2);
        packet[at % packet.length] = value;
      }
    }
    const reply = answerPacket(packet, fixed);
    if (reply !== undefined && (reply.length > 512 || reply.length < 12)) t.fail(packet.toString('hex'));
    if (round % 100 === 0) socket.send(packet, Number(port), host);
  }
  const [answer] = await queryRecord({ name: 'example.test', type: 'A', servers: [dnsAddress], timeoutMs: 2000 });
  t.match(answer, { ok: true });
});
