import t from 'tap';
import { chainOf, forwardKey, forwardRules, parseForwards } from '../../src/forward/forward-rules.ts';
import type { Forward } from '../../src/forward/forward-rules.ts';

const UNTIL = Date.parse('2026-11-21T18:38:58Z') / 1000;
const forward: Forward = {
  id: '8c0e6e4a-3f0e-4b9b-9a3d-111111111111',
  name: 'default.move-web',
  ports: [
    { hostAddress: '', port: 8080 },
    { hostAddress: '10.0.0.5', port: 443 },
  ],
  to: { ipv4: '10.99.84.12' },
};
const chain = chainOf(forwardKey(forward.id));

void t.test('new connections to the ports go to the same ports of the target, until then', async (t) => {
  const [rules, none] = forwardRules(forward, UNTIL);
  t.equal(none, undefined);
  t.match(rules, { program: 'iptables', loopback: '127.0.0.0/8', sysctl: 'net/ipv4/ip_forward' });
  const mark = '-m comment --comment "gridferry.io/transfer=8c0e6e4a-3f0e-4b9b-9a3d-111111111111,default.move-web"';
  const through = (port: number): string =>
    `-p tcp -m conntrack --ctstate DNAT --ctorigdstport ${String(port)} --ctreplsrc 10.99.84.12 --ctreplsrcport ${String(port)} ${mark}`;
  const end = '-m time --datestop 2026-11-21T18:38:58';
  t.same(rules?.restore.split('\n'), [
    '*filter',
    `:${chain} - [0:0]`,
    `-A ${chain} ${through(8080)} -j ACCEPT`,
    `-A ${chain} ${through(443)} -j ACCEPT`,
    'COMMIT',
    '*nat',
    `:${chain}-M - [0:0]`,
    `-A ${chain}-M ${through(8080)} -j MASQUERADE`,
    `-A ${chain}-M ${through(443)} -j MASQUERADE`,
    `:${chain} - [0:0]`,
    `-A ${chain} -p tcp -m tcp --dport 8080 ${end} ${mark} -j DNAT --to-destination 10.99.84.12:8080`,
    `-A ${chain} -d 10.0.0.5 -p tcp -m tcp --dport 443 ${end} ${mark} -j DNAT --to-destination 10.99.84.12:443`,
    'COMMIT',
    '',
  ]);
});

void t.test('each family of addresses is passed on to an address of its own', async (t) => {
  const ports = [...forward.ports, { hostAddress: 'fd00::5', port: 53 }];
  const both = forwardRules({ ...forward, ports, to: { ipv4: '10.99.84.12', ipv6: 'fd00::12' } }, UNTIL);
  t.same(
    both.map(({ program }) => program),
    ['iptables', 'ip6tables'],
  );
  t.match(both[1]?.restore, '-j DNAT --to-destination [fd00::12]:8080');
  t.match(both[1]?.restore, '-d fd00::5 -p tcp');
  t.notMatch(both[1]?.restore, '10.0.0.5');
  t.notMatch(both[0]?.restore, 'fd00::5');
  t.same(forwardRules({ ...forward, ports: [{ hostAddress: 'fd00::5', port: 53 }] }, UNTIL), []);
});

void t.test('names of chains fit the kernel, and names of transfers cannot end their quotes', async (t) => {
  t.ok(`${chain}-M`.length <= 28);
  const hostile = forwardRules({ ...forward, id: 'a" -j ACCEPT #', name: `x\n*filter\n${'y'.repeat(400)}` }, UNTIL);
  const text = hostile[0]?.restore ?? '';
  for (const line of text.split('\n')) {
    t.equal((line.match(/"/g) ?? []).length % 2, 0);
    const comment = /--comment "([^"]*)"/.exec(line)?.[1] ?? '';
    t.ok(comment.length <= 255);
  }
  t.equal(text.match(/\*filter/g)?.length, 1);
});

void t.test('what iptables tells of its rules is understood', async (t) => {
  const listing = `1795286330
-P PREROUTING ACCEPT
-N ${chain}
-N ${chain}-M
-A PREROUTING -m addrtype --dst-type LOCAL -j ${chain}
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80
-A ${chain} -p tcp -m tcp --dport 8080 -m time --datestop 2026-11-21T18:38:58 -m comment --comment "gridferry.io/transfer=one,default.move-web" -j DNAT --to-destination 10.99.84.12:8080
-A ${chain} -d 10.0.0.5/32 -p tcp -m tcp --dport 443 -m time --datestop 2026-11-21T18:38:58 -m comment --comment "gridferry.io/transfer=one,default.move-web" -j DNAT --to-destination 10.99.84.12:443
-A GRIDFERRY-0123456789ab -p tcp -m tcp --dport 9 -m time --datestop 2026-11-21T18:00:00 -m comment --comment "gridferry.io/transfer=two,n.m" -j DNAT --to-destination 10.99.84.12:9
-A ${chain} -p tcp -m tcp --dport 8080 -m time --datestop 2026-11-21T18:38:58 -m comment --comment "gridferry.io/transfer=one,default.move-web" -j DNAT --to-destination [fd00::12]:8080`;
  t.same(parseForwards(listing), [
    {
      key: forwardKey(forward.id),
      id: 'one',
      until: UNTIL,
      ports: [
        { hostAddress: '', port: 8080 },
        { hostAddress: '10.0.0.5', port: 443 },
      ],
    },
    {
      key: '0123456789ab',
      id: 'two',
      until: Date.parse('2026-11-21T18:00:00Z') / 1000,
      ports: [{ hostAddress: '', port: 9 }],
    },
  ]);
});
