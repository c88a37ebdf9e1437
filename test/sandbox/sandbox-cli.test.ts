import { Command } from 'commander';
import t from 'tap';
import { parseAllDocuments } from 'yaml';
import { describeFleet, managedServerHint, registerSandbox } from '../../src/cli/sandbox.ts';
import type { Fleet } from '../../src/sandbox/fleet.ts';

const fleet: Fleet = {
  name: 'demo',
  subnet: '10.99.40.0/24',
  bridgeAddress: '10.99.40.1',
  dir: '/var/lib/x/demo',
  privateKeyPath: '/var/lib/x/demo/id_ed25519',
  servers: ['alpha', 'b'].map((name, index) => ({
    name,
    address: `10.99.40.${11 + index}`,
    hostKeyFingerprint: `SHA256:${name}`,
    running: true,
    dockerRunning: index === 0,
    sshRunning: true,
    pid: 1,
  })),
};

void t.test('a fleet is shown as an aligned table with the path of its key', async (t) => {
  const lines = describeFleet(fleet).split('\n');
  t.equal(lines[2], 'alpha   10.99.40.11   on      running   running   SHA256:alpha');
  t.equal(lines[3], 'b       10.99.40.12   on      running   stopped   SHA256:b');
  t.match(lines[4], fleet.privateKeyPath);
});

void t.test('the hint is YAML with one ManagedServer per server', async (t) => {
  const documents = parseAllDocuments(managedServerHint(fleet)).map((document) => document.toJS() as unknown);
  t.match(documents, [
    {
      kind: 'ManagedServer',
      metadata: { name: 'alpha' },
      spec: { address: '10.99.40.11', ssh: { hostKey: 'SHA256:alpha' } },
    },
    { kind: 'ManagedServer', metadata: { name: 'b' } },
  ]);
});

void t.test('the commands are there, with the options their help shows', async (t) => {
  const program = new Command('gridferry');
  registerSandbox(program);
  const sandbox = program.commands[0]!;
  t.strictSame(
    sandbox.commands.map((command) => command.name()),
    ['dns', 'up', 'down', 'status', 'exec', 'power', 'link'],
  );
  t.match(sandbox.commands.at(-1)!.helpInformation(), /--rate-mbit[^]*--delay-ms[^]*--cut[^]*--heal/);
});
