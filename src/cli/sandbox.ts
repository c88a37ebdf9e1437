import { registerSandboxDns } from './sandbox-dns.ts';
import { InvalidArgumentError, type Command } from 'commander';
import type { Fleet } from '../sandbox/fleet.ts';
import type { LinkShape } from '../sandbox/link.ts';

// What a command needs is imported when it runs, so that `--help` stays fast.
const loadFleet = () => import('../sandbox/fleet.ts');

interface NameOption {
  readonly name: string;
}

/** Adds `gridferry sandbox …`: servers of one's own on one Linux machine, to try everything on. */
export function registerSandbox(program: Command): void {
  const sandbox = program
    .command('sandbox')
    .description(
      'Runs a fleet of servers on this Linux machine: each is a set of namespaces with its own sshd, Docker, disk and ' +
        'address. Needs root. Nothing of it is left after "sandbox down".',
    );

  registerSandboxDns(sandbox);

  const named = (command: Command) => command.option('--name <fleet>', 'name of the fleet', 'default');

  named(sandbox.command('up'))
    .summary('start the fleet, or what of it does not run')
    .option('--servers <names>', 'servers of the fleet, separated by commas (default: alpha,beta)', list)
    .option('--subnet <cidr>', 'subnet of the fleet (default: 10.99.0.0/24)')
    .option('--engine <folder>', "folder with another Docker engine's programs")
    .action(async (options: NameOption & { servers?: string[]; subnet?: string; engine?: string }) => {
      const { fleetUp } = await loadFleet();
      const fleet = await fleetUp({
        name: options.name,
        ...(options.servers && { servers: options.servers }),
        ...(options.subnet !== undefined && { subnet: options.subnet }),
        ...(options.engine !== undefined && { engine: { dockerdPath: options.engine } }),
      });
      print(describeFleet(fleet), '', managedServerHint(fleet));
    });

  named(sandbox.command('down'))
    .summary('end the fleet and remove every trace of it')
    .option('--all', 'every fleet of this machine')
    .action(async ({ name, all }: NameOption & { all?: boolean }) => {
      const { fleetDown, listFleets } = await loadFleet();
      const names = all ? (await listFleets()).map((fleet) => fleet.name) : [name];
      for (const each of names) await fleetDown(each);
      print(names.length === 0 ? 'No fleet was there.' : `Removed: ${names.join(', ')}`);
    });

  sandbox
    .command('status')
    .summary('show the fleets and their servers')
    .option('--name <fleet>', 'only this fleet')
    .action(async ({ name }: Partial<NameOption>) => {
      const { listFleets } = await loadFleet();
      const fleets = (await listFleets()).filter((fleet) => name === undefined || fleet.name === name);
      if (fleets.length === 0) print('No fleet is there; start one with: gridferry sandbox up');
      else print(fleets.map(describeFleet).join('\n\n'));
    });

  named(sandbox.command('exec'))
    .summary('run a command on a server')
    .usage('[options] <server> -- <command> [arguments...]')
    .argument('<server>')
    .argument('<command...>')
    .option('--user <user>', 'user to run it as', 'root')
    .action(async (server: string, argv: string[], { name, user }: NameOption & { user: string }) => {
      const { fleetCommand } = await loadFleet();
      const { file, args, env } = await fleetCommand(name, server, argv, { user });
      process.exitCode = await runInteractively(file, args, env);
    });

  named(sandbox.command('power'))
    .summary('cut the power of a server, or give it back')
    .argument('<server>')
    .argument('<state>', 'on or off', oneOf('on', 'off'))
    .action(async (server: string, state: 'on' | 'off', { name }: NameOption) => {
      const { startServer, stopServer } = await loadFleet();
      await (state === 'on' ? startServer : stopServer)(name, server);
      print(`${server} is ${state}.`);
    });

  named(sandbox.command('link'))
    .summary("slow down, cut or heal a server's link")
    .argument('<server>')
    .option('--rate-mbit <number>', 'let through so many megabits per second, in each direction', positive)
    .option('--delay-ms <number>', 'delay every packet so long, in each direction', positive)
    .option('--loss-percent <number>', 'lose so many packets, in each direction', positive)
    .option('--cut [peer]', 'let all packets vanish, or those from and to a server or "controller"')
    .option('--heal [peer]', 'end such a cut, or all of them')
    .option('--reset', 'full speed, no cuts')
    .action(async (server: string, options: LinkOptions) => {
      await changeLink(server, options);
      print(`The link of ${server} is changed.`);
    });
}

interface LinkOptions extends NameOption {
  readonly rateMbit?: number;
  readonly delayMs?: number;
  readonly lossPercent?: number;
  readonly cut?: string | true;
  readonly heal?: string | true;
  readonly reset?: boolean;
}

async function changeLink(server: string, options: LinkOptions): Promise<void> {
  const { cutLink, healLink, shapeLink } = await loadFleet();
  const { name, rateMbit, delayMs, lossPercent } = options;
  const peer = (from: string | true) => (from === true ? {} : { from });
  const shape: LinkShape = {
    ...(rateMbit !== undefined && { rateMbit }),
    ...(delayMs !== undefined && { delayMs }),
    ...(lossPercent !== undefined && { lossPercent }),
  };
  if (options.reset) {
    await shapeLink(name, server, undefined);
    await healLink(name, server);
  }
  if (options.heal !== undefined) await healLink(name, server, peer(options.heal));
  if (Object.keys(shape).length > 0) await shapeLink(name, server, shape);
  if (options.cut !== undefined) await cutLink(name, server, peer(options.cut));
}

/** The fleet as a table, and below it what one needs to log in. */
export function describeFleet(fleet: Fleet): string {
  const rows = fleet.servers.map((server) => [
    server.name,
    server.address,
    server.running ? 'on' : 'off',
    server.sshRunning ? 'running' : 'stopped',
    server.dockerRunning ? 'running' : 'stopped',
    server.hostKeyFingerprint,
  ]);
  return [
    `Fleet ${fleet.name}, ${fleet.subnet}, this machine is ${fleet.bridgeAddress}`,
    ...table([['NAME', 'ADDRESS', 'POWER', 'SSHD', 'DOCKER', 'HOST KEY'], ...rows]),
    `Private key of root and deploy: ${fleet.privateKeyPath}`,
  ].join('\n');
}

/** Resources for these servers, ready to be saved and applied. */
export function managedServerHint(fleet: Fleet): string {
  const secret = `sandbox-${fleet.name}`;
  const resources = fleet.servers.map((server) =>
    [
      'apiVersion: gridferry.io/v1alpha1',
      'kind: ManagedServer',
      `metadata: { name: ${server.name} }`,
      'spec:',
      `  address: ${server.address}`,
      '  ssh:',
      '    user: root',
      `    credentialsRef: { name: ${secret} }`,
      `    hostKey: "${server.hostKeyFingerprint}"`,
    ].join('\n'),
  );
  return [
    '# To manage these servers, put the following into a directory, and their key where --secrets-dir finds it:',
    `#   install -d -m 700 secrets secrets/default secrets/default/${secret}`,
    `#   install -m 600 ${fleet.privateKeyPath} secrets/default/${secret}/ssh-privatekey`,
    resources.join('\n---\n'),
  ].join('\n');
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('   ')
      .trimEnd(),
  );
}

async function runInteractively(file: string, args: readonly string[], env: Readonly<Record<string, string>>) {
  const { spawn } = await import('node:child_process');
  const { constants } = await import('node:os');
  const term = process.env['TERM'];
  const child = spawn(file, args, { stdio: 'inherit', env: { ...env, ...(term !== undefined && { TERM: term }) } });
  // Ctrl-C reaches the command by itself, over the terminal; this process stays to pass on how it ended.
  const ignore = () => undefined;
  process.on('SIGINT', ignore);
  return new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      process.off('SIGINT', ignore);
      resolve(code ?? 128 + (signal ? constants.signals[signal] : 0));
    });
  });
}

function print(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

function list(value: string): string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function positive(value: string): number {
  const number = Number(value);
  if (!Number.isFinite(number) || number <= 0) throw new InvalidArgumentError('It must be a number above 0.');
  return number;
}

function oneOf(...allowed: readonly string[]) {
  return (value: string): string => {
    if (!allowed.includes(value)) throw new InvalidArgumentError(`It must be ${allowed.join(' or ')}.`);
    return value;
  };
}
