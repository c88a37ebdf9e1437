import t from 'tap';
import { checkName, fleetLayout, serverLayout, stateDirectory } from '../../src/sandbox/fleet-layout.ts';

void t.test('interface names fit into the 15 characters that Linux allows', async (t) => {
  const fleet = fleetLayout('a-fleet-with-a-name-of-forty-characters', '/var/lib/x');
  const server = serverLayout(fleet, { name: 'alpha', position: 65_535 });
  t.ok(fleet.bridge.length <= 15, fleet.bridge);
  t.ok(server.hostInterface.length <= 15, server.hostInterface);
  t.not(server.hostInterface, serverLayout(fleet, { name: 'beta', position: 11 }).hostInterface);
});

void t.test('fleets of different names or folders share no interface and no control group', async (t) => {
  const fleets = [fleetLayout('one', '/a'), fleetLayout('two', '/a'), fleetLayout('one', '/b')];
  t.equal(new Set(fleets.map((fleet) => fleet.interfacePrefix)).size, 3);
  t.equal(new Set(fleets.map((fleet) => fleet.cgroupPrefix)).size, 3);
});

for (const bad of ['', 'Alpha', '-a', 'a-', 'a_b', 'a/b', '..', 'a b', 'x'.repeat(41)]) {
  void t.test(`'${bad}' is refused as a name`, async (t) => {
    t.throws(() => fleetLayout(bad, '/var/lib/x'), { code: 'GF_SANDBOX_NAME_INVALID' });
    t.throws(() => checkName(bad, 'server', 40), { code: 'GF_SANDBOX_NAME_INVALID' });
  });
}

void t.test('a folder that mount options cannot express is refused', async (t) => {
  t.throws(() => stateDirectory('/tmp/a,b'), { code: 'GF_SANDBOX_STATE_DIR_INVALID' });
  t.throws(() => stateDirectory('/tmp/a b'), { code: 'GF_SANDBOX_STATE_DIR_INVALID' });
  t.equal(stateDirectory('/tmp/ab/'), '/tmp/ab');
});
