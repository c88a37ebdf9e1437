import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Transfer } from '../src/api/resources.ts';
import { servedTypes } from '../src/api/resources.ts';
import { createLiveView, followTransfers } from '../src/cli/live-view.ts';
import { formatBytes } from '../controllers/format-bytes.ts';
import { formatSeconds } from '../src/cli/format.ts';
import { wantsColor } from '../src/cli/output.ts';
import { GridferryError, messageOf } from '../src/errors.ts';
import { createSchemaAdmission } from '../src/home/schema-admission.ts';
import { openLocalHome } from '../src/home/local-client.ts';
import type { LocalHome } from '../src/home/local-client.ts';
import { sleep, systemClock } from '../src/runtime/clock.ts';
import { startCloudflareStandIn } from '../src/sandbox/cloudflare-stand-in.ts';
import { fleetDown, fleetUp } from '../src/sandbox/fleet.ts';
import type { Fleet } from '../src/sandbox/fleet.ts';
import { request, resolveName, startWritingClient } from './demo/client.ts';
import type { WritingClient } from './demo/client.ts';
import { proofLines } from './demo/proof.ts';
import type { Claim } from './demo/proof.ts';
import { containerState, fingerprint, PORT, recordedWrites, startSampleService } from './demo/sample-service.ts';
import type { Fingerprint } from './demo/sample-service.ts';

/**
 * `npm run demo`: two servers on this machine, a service with data on the first, and the YAML of examples/quickstart,
 * which moves it to the second while a client keeps writing to it. Then it proves what happened, by means of its own.
 */

const FLEET = 'demo';
const ROOT = join(import.meta.dirname, '..');
const EXAMPLE = join(ROOT, 'examples/quickstart');
const NAME = 'web.ferry.example';
const TOKEN = 'demo-token-of-the-stand-in';

const startedAt = performance.now();
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => interrupted.abort(new Error(`interrupted by ${signal}`)));
}
process.exitCode = await demo(interrupted.signal);
// What an interrupted step still waits for must not keep the program.
process.exit();

async function demo(signal: AbortSignal): Promise<number> {
  const cleanups: (() => Promise<void>)[] = [];
  try {
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    const claims = await Promise.race([moveAndProve(signal, (cleanup) => cleanups.unshift(cleanup)), aborted]);
    say('', ...proofLines(claims, wantsColor(process.stdout)));
    return claims.every(({ holds }) => holds) ? 0 : 1;
  } catch (error) {
    const code = error instanceof GridferryError ? `${error.code}: ` : '';
    process.stderr.write(`\ndemo: ${code}${messageOf(error)}\n`);
    return signal.aborted ? 130 : 1;
  } finally {
    say('', 'Taking everything down.');
    for (const cleanup of cleanups) {
      await cleanup().catch((error: unknown) => process.stderr.write(`demo: ${messageOf(error)}\n`));
    }
    say(`Done in ${formatSeconds((performance.now() - startedAt) / 1000)}.`);
  }
}

async function moveAndProve(
  signal: AbortSignal,
  onEnd: (cleanup: () => Promise<void>) => void,
): Promise<readonly Claim[]> {
  // Its ports are the ones that the example names; as only one can have them, they also keep a second demo out.
  const cloudflare = await startCloudflareStandIn({
    token: TOKEN,
    port: 9953,
    dnsPort: 9954,
    zones: [{ name: 'ferry.example', records: [{ type: 'A', name: NAME, content: '10.99.0.11', ttl: 300 }] }],
  }).catch((cause: unknown) => {
    throw new Error(`the stand-in for Cloudflare cannot start, is another demo running? ${messageOf(cause)}`, {
      cause,
    });
  });
  onEnd(() => cloudflare.close());
  onEnd(() => fleetDown(FLEET));

  say('Starting two servers, alpha and beta: namespaces of this machine, each with its own sshd and Docker.');
  await fleetDown(FLEET);
  const fleet = await fleetUp({ name: FLEET, servers: ['alpha', 'beta'], subnet: '10.99.0.0/24' });
  signal.throwIfAborted();
  say('Running the service "web" on alpha, with a volume of some 200 MB.');
  await startSampleService(FLEET, 'alpha');
  signal.throwIfAborted();
  const before = await fingerprint(FLEET, 'alpha');
  const dnsBefore = await resolveName(NAME, cloudflare.dnsAddress);
  const client = startWritingClient({ name: NAME, nameServer: cloudflare.dnsAddress, port: PORT });
  onEnd(() => client.stop());
  await until(() => client.acknowledged.length > 20, 10_000, 'the service on alpha does not answer', signal);

  say(`A client finds it by DNS (${NAME} is ${dnsBefore}) and writes to it all the time.`, '');
  say('$ gridferry run examples/quickstart --once', '');
  const { transfer, exitCode } = await runExample(fleet, signal, onEnd);
  const acknowledged = client.acknowledged.length;
  const settled = (): boolean => exitCode !== 0 || client.acknowledged.length > acknowledged + 20;
  await until(settled, 5000, 'the service does not answer any more', signal);
  await client.stop();
  const dnsAfter = await resolveName(NAME, cloudflare.dnsAddress);
  return prove({ transfer, exitCode, before, dnsBefore, dnsAfter, client });
}

/** Runs the controllers as a user would, and shows the transfer meanwhile. */
async function runExample(
  fleet: Fleet,
  signal: AbortSignal,
  onEnd: (cleanup: () => Promise<void>) => void,
): Promise<{ readonly transfer: Readonly<Transfer> | undefined; readonly exitCode: number }> {
  // In the fleet's own folder, so that whatever takes the fleet down takes this with it.
  const folder = join(fleet.dir, 'run');
  const state = join(folder, 'state');
  const secrets = join(folder, 'secrets');
  await writeSecret(secrets, 'fleet-ssh', 'ssh-privatekey', await readFile(fleet.privateKeyPath));
  await writeSecret(secrets, 'cloudflare', 'token', TOKEN);
  const logFile = join(folder, 'run.log');
  const child = startGridferry(['run', EXAMPLE, '--once', '--state', state, '--secrets-dir', secrets], logFile);
  const ended = new AbortController();
  const exit = new Promise<number>((resolve) => {
    child.once('close', (code) => {
      ended.abort();
      resolve(code ?? 1);
    });
  });
  onEnd(async () => {
    child.kill('SIGKILL');
    await exit;
  });

  const transfer = await follow(state, AbortSignal.any([signal, ended.signal]));
  const exitCode = await exit;
  signal.throwIfAborted();
  if (exitCode !== 0) {
    const log = (await readFile(logFile, 'utf8')).trim().split('\n');
    process.stderr.write(`\ngridferry run ended with ${exitCode}; the end of its log:\n${log.slice(-25).join('\n')}\n`);
  }
  return { transfer, exitCode };
}

function startGridferry(args: readonly string[], logFile: string): ChildProcess {
  // It must not outlive the demo, however that ends.
  const wrapper = ['setpriv', '--pdeathsig', 'KILL', '--'] as const;
  const [program, ...rest] = [...wrapper, process.execPath, join(ROOT, 'bin/gridferry.js'), ...args];
  const child = spawn(program, rest, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  const log = createWriteStream(logFile, { mode: 0o600 });
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  return child;
}

/** Shows the transfer until it has ended; returns it as it was last seen. */
async function follow(state: string, signal: AbortSignal): Promise<Readonly<Transfer> | undefined> {
  const home = await openState(state, signal);
  if (home === undefined) return undefined;
  const view = createLiveView({ stream: process.stdout, clock: systemClock });
  try {
    const [transfer] = await followTransfers({
      client: home,
      view,
      clock: systemClock,
      namespace: 'default',
      names: ['move-web'],
      signal,
    });
    return transfer;
  } finally {
    view.close();
    home.close();
  }
}

/** The state as a second process sees it, once the first one has made it. */
async function openState(stateDir: string, signal: AbortSignal): Promise<LocalHome | undefined> {
  while (!signal.aborted) {
    try {
      return openLocalHome({ stateDir, readOnly: true, types: servedTypes, admission: createSchemaAdmission() });
    } catch {
      // Not made yet, or only half.
      await sleep(systemClock, 50);
    }
  }
  return undefined;
}

interface Observed {
  readonly transfer: Readonly<Transfer> | undefined;
  readonly exitCode: number;
  readonly before: Fingerprint;
  readonly dnsBefore: string;
  readonly dnsAfter: string;
  readonly client: WritingClient;
}

async function prove({ transfer, exitCode, before, dnsBefore, dnsAfter, client }: Observed): Promise<readonly Claim[]> {
  const phase = transfer?.status?.phase ?? 'unknown';
  const end: Claim = {
    holds: phase === 'Completed' && exitCode === 0,
    what: 'transfer',
    evidence: `${phase}, exit code ${exitCode}`,
  };
  const [source, target] = await Promise.all([containerState(FLEET, 'alpha'), containerState(FLEET, 'beta')]);
  if (target === undefined) return [end];
  const [kept, after, written, answer] = await Promise.all([
    fingerprint(FLEET, 'alpha'),
    fingerprint(FLEET, 'beta'),
    recordedWrites(FLEET, 'beta'),
    request(`http://10.99.0.12:${PORT}/health`).catch((error: unknown) => ({ status: 0, body: messageOf(error) })),
  ]);
  const lost = client.acknowledged.filter((number) => !written.has(number)).length;
  const measured = client.longestGapMs() / 1000;
  const told = transfer?.status?.downtimeSeconds;
  return [
    end,
    {
      holds: after.digest === before.digest && kept.digest === before.digest,
      what: 'data identical',
      evidence: `${formatBytes(after.bytes)} in ${after.files} files: sha256 ${after.digest.slice(0, 12)}… on beta, ${before.digest.slice(0, 12)}… on alpha before`,
    },
    {
      holds: lost === 0 && client.acknowledged.length > 0,
      what: 'no write lost',
      evidence: `${client.acknowledged.length - lost} of ${client.acknowledged.length} acknowledged writes are on beta`,
    },
    {
      holds: answer.status === 200,
      what: 'service answers on beta',
      evidence: `GET http://10.99.0.12:${PORT}/health: ${answer.status} ${answer.body.trim()}`,
    },
    {
      holds: source?.running !== true && target.running && target.restartPolicy === 'unless-stopped',
      what: 'one writer',
      evidence: `alpha: ${stateText(source)}; beta: ${stateText(target)}`,
    },
    {
      holds: dnsBefore === '10.99.0.11' && dnsAfter === '10.99.0.12',
      what: 'DNS',
      evidence: `${NAME}: ${dnsBefore} → ${dnsAfter}`,
    },
    {
      // The client also waits for the change of DNS, which comes after the target was found healthy.
      holds: told !== undefined && measured >= told - 1 && measured <= told + 3,
      what: 'downtime',
      evidence: `${formatSeconds(measured)} between two writes of the client, ${told === undefined ? 'nothing' : formatSeconds(told)} in the status`,
    },
  ];
}

function stateText(state: Awaited<ReturnType<typeof containerState>>): string {
  if (state === undefined) return 'none';
  return `${state.running ? 'running' : 'stopped'}, restart ${state.restartPolicy}`;
}

async function writeSecret(directory: string, name: string, key: string, value: string | Uint8Array): Promise<void> {
  const folder = join(directory, 'default', name);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(join(folder, key), value, { mode: 0o600 });
}

async function until(holds: () => boolean, ms: number, otherwise: string, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(otherwise);
    await sleep(systemClock, 20, signal);
  }
}

function say(...lines: readonly string[]): void {
  for (const line of lines) process.stdout.write(`${line}\n`);
}
