import t from 'tap';
import { addressAt, parseSubnet, subnetOfInterface, subnetsOverlap } from '../../src/sandbox/subnet.ts';

void t.test('a subnet gives the bridge its first address and the servers the eleventh and up', async (t) => {
  const subnet = parseSubnet('10.99.40.0/24');
  t.equal(addressAt(subnet, 1), '10.99.40.1');
  t.equal(addressAt(subnet, 11), '10.99.40.11');
  t.equal(addressAt(parseSubnet('192.168.0.0/16'), 300), '192.168.1.44');
});

void t.test('a position that the subnet does not have is refused', async (t) => {
  const subnet = parseSubnet('10.99.40.0/27');
  t.equal(addressAt(subnet, 30), '10.99.40.30');
  t.throws(() => addressAt(subnet, 31), { code: 'GF_SANDBOX_SUBNET_INVALID' }, 'the broadcast address');
  t.throws(() => addressAt(subnet, 0), { code: 'GF_SANDBOX_SUBNET_INVALID' }, 'the network address');
});

for (const bad of ['', '10.99.40.0', '10.99.40.1/24', '10.99.40.0/28', '10.0.0.0/7', '10.99.256.0/24', 'fd00::/64']) {
  void t.test(`'${bad}' is no subnet for a fleet`, async (t) => {
    t.throws(() => parseSubnet(bad), { code: 'GF_SANDBOX_SUBNET_INVALID' });
  });
}

void t.test('subnets overlap when one holds the other', async (t) => {
  const overlap = (a: string, b: string) => subnetsOverlap(parseSubnet(a), parseSubnet(b));
  t.ok(overlap('10.99.40.0/24', '10.99.40.0/25'));
  t.ok(overlap('10.99.40.0/24', '10.0.0.0/8'));
  t.notOk(overlap('10.99.40.0/24', '10.99.41.0/24'));
});

void t.test("an interface's own address says which subnet it lies in", async (t) => {
  const taken = subnetOfInterface('10.99.40.7/24');
  t.ok(taken && subnetsOverlap(parseSubnet('10.99.40.0/25'), taken));
  t.ok(subnetsOverlap(parseSubnet('10.99.40.0/24'), subnetOfInterface('10.99.40.7/32')!));
  t.equal(subnetOfInterface('fe80::1/64'), undefined);
});
