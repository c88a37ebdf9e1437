import t from 'tap';
import { disciplineCommands } from '../../src/sandbox/link.ts';

void t.test('a link that is as it was needs no queueing discipline', async (t) => {
  t.strictSame(disciplineCommands('eth0', { cut: [] }, 'dst'), []);
});

void t.test('a rate bounds one class and leaves no black hole', async (t) => {
  const commands = disciplineCommands('eth0', { shape: { rateMbit: 100 }, cut: [] }, 'dst');
  t.match(commands[1], /rate 100mbit burst 66000b/);
  t.notMatch(commands.join('\n'), /blackhole|netem/);
});

void t.test('a cut from one peer matches its address where the packet carries it', async (t) => {
  const cut = ['10.0.0.12'];
  t.match(disciplineCommands('eth0', { cut }, 'dst').join('\n'), 'match ip dst 10.0.0.12/32 flowid 1:2');
  t.match(disciplineCommands('veth', { cut }, 'src').join('\n'), 'match ip src 10.0.0.12/32 flowid 1:2');
});

void t.test('a cut from everybody spares ARP, so that senders meet silence', async (t) => {
  const filters = disciplineCommands('eth0', { cut: ['all'] }, 'dst').filter((command) => command.startsWith('filter'));
  t.strictSame(
    filters.map((filter) => /protocol (\w+)/.exec(filter)?.[1]),
    ['ip', 'ipv6'],
  );
});
