import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { GridferryError } from '../errors.ts';
import type { FleetLayout, ServerLayout } from './fleet-layout.ts';
import { run } from './run.ts';
import { addressAt, subnetOfInterface, subnetsOverlap, type Subnet } from './subnet.ts';

/** Fails when the subnet is already that of another interface of this machine. */
export function checkSubnetIsFree(subnet: Subnet, fleet: FleetLayout): void {
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (name === fleet.bridge) continue;
    for (const { cidr } of addresses ?? []) {
      const taken = cidr === null ? undefined : subnetOfInterface(cidr);
      if (taken && subnetsOverlap(subnet, taken)) throw subnetInUse(subnet, `the interface ${name} (${cidr})`);
    }
  }
}

export function subnetInUse(subnet: Subnet, by: string): GridferryError {
  return new GridferryError(
    'GF_SANDBOX_SUBNET_IN_USE',
    `The subnet ${subnet.cidr} is in use by ${by}; give this fleet another one with --subnet.`,
    { details: { subnet: subnet.cidr } },
  );
}

/** Makes the fleet's bridge on the machine, with the first address of the subnet. */
export async function ensureBridge(fleet: FleetLayout, subnet: Subnet): Promise<void> {
  if (!(await interfaceNames()).includes(fleet.bridge)) {
    const address = addressAt(subnet, 1);
    // With an address of its own the bridge keeps it when servers come and go, and nobody's ARP entries go stale.
    await ipBatch([
      `link add ${fleet.bridge} address ${hardwareAddress(address)} type bridge stp_state 0`,
      `address add ${address}/${subnet.prefix} dev ${fleet.bridge}`,
      `link set ${fleet.bridge} up`,
    ]);
  }
  await letBridgedTrafficPass(fleet);
}

/** Connects a server's network namespace, by the number of its first process, to the bridge. */
export async function plugIn(
  fleet: FleetLayout,
  server: ServerLayout,
  initPid: number,
  subnet: Subnet,
  address: string,
): Promise<void> {
  await unplug(server);
  await ipBatch([
    `link add ${server.hostInterface} type veth peer name eth0 address ${hardwareAddress(address)} netns ${initPid}`,
    `link set ${server.hostInterface} master ${fleet.bridge} up`,
  ]);
  await ipBatch(
    ['link set lo up', `address add ${address}/${subnet.prefix} dev eth0`, 'link set eth0 up'],
    ['nsenter', '--target', String(initPid), '--net', '--'],
  );
}

/** Pulls a server's cable for good; the kernel takes the other end with it. */
export async function unplug(server: ServerLayout): Promise<void> {
  await deleteInterface(server.hostInterface);
}

/** Removes every interface and firewall rule of a fleet, known or left by an interrupted start. */
export async function removeNetwork(fleet: FleetLayout): Promise<void> {
  for (const name of await interfaceNames()) {
    if (name.startsWith(fleet.interfacePrefix)) await deleteInterface(name);
  }
  await run(forwardRule('-D', fleet), { reject: false });
}

/**
 * A machine that filters forwarded packets (every machine with a running Docker does) also filters those that merely
 * cross a bridge. One rule lets this bridge's through; where nothing is filtered, none is made.
 */
async function letBridgedTrafficPass(fleet: FleetLayout): Promise<void> {
  const filtersBridges = await readFile('/proc/sys/net/bridge/bridge-nf-call-iptables', 'utf8').catch(() => '0');
  if (filtersBridges.trim() !== '1') return;
  const rules = await run(['iptables', '-w', '-S', 'FORWARD'], { reject: false });
  if (rules.stdout.trim() === '-P FORWARD ACCEPT') return;
  const present = await run(forwardRule('-C', fleet), { reject: false });
  if (present.exitCode !== 0) await run(forwardRule('-I', fleet));
}

function forwardRule(action: '-C' | '-D' | '-I', fleet: FleetLayout): string[] {
  return ['iptables', '-w', action, 'FORWARD', '-i', fleet.bridge, '-o', fleet.bridge, '-j', 'ACCEPT'];
}

async function deleteInterface(name: string): Promise<void> {
  if (!(await interfaceNames()).includes(name)) return;
  const result = await run(['ip', 'link', 'delete', name], { reject: false });
  // The kernel removes a cable by itself when a namespace ends: gone is gone.
  if (result.exitCode !== 0 && (await interfaceNames()).includes(name)) {
    throw new GridferryError(
      'GF_SANDBOX_NETWORK_FAILED',
      `The interface ${name} cannot be removed: ${result.stderr.trim()}`,
    );
  }
}

/** From /proc and not /sys, whose mount may belong to another network namespace. */
async function interfaceNames(): Promise<string[]> {
  const [, , ...devices] = (await readFile('/proc/net/dev', 'utf8')).split('\n');
  return devices.map((device) => device.split(':')[0]?.trim() ?? '').filter((name) => name !== '');
}

async function ipBatch(commands: readonly string[], inside: readonly string[] = []): Promise<void> {
  await run([...inside, 'ip', '-batch', '-'], { input: `${commands.join('\n')}\n` });
}

/** A locally administered hardware address that always belongs to the same IP address. */
function hardwareAddress(address: string): string {
  const bytes = createHash('sha256').update(address).digest().subarray(0, 5);
  return ['02', ...[...bytes].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}
