import type Docker from 'dockerode';
import type { Engine } from '../docker/engine.ts';
import { GridferryError, messageOf } from '../errors.ts';
import type { ExecResult, SpawnOptions } from '../ssh/host.ts';
import { runToEnd } from '../ssh/run-to-end.ts';
import { ignoreNotFound, isNotFound } from '../volumes/docker-status.ts';
import {
  createHelper,
  helperDefaults,
  helperHostDefaults,
  hostToolMounts,
  removeHelper,
  spawnInHelper,
} from '../volumes/helper-container.ts';
import { chainOf, forwardKey, forwardRules, parseForwards } from './forward-rules.ts';
import type { Forward, FoundForward } from './forward-rules.ts';
import { dropScript, installScript, listScript, timerScript } from './forward-scripts.ts';

/** On the helper container of a forward: the UID of the transfer. Not the transfer's mark: a forward outlives it. */
const forwardLabel = 'gridferry.io/forward';

/** iptables-legacy, where Docker uses that, lets nobody else in while it holds this. */
const LEGACY_LOCK = '/run/xtables.lock';

/** A helper that was started for one script ends by itself after this long, should nobody come back. */
const LOOK_SECONDS = 120;

/**
 * Passes new connections on from now on, for so many seconds. Doing it again changes the rules in one go and begins the
 * time anew. The rules end by themselves:
 *
 * - each carries its end, which the kernel looks at for every new connection;
 * - a helper container takes them away at that time, and is taken away by Docker. It is not needed for anything else.
 *
 * They outlive a restart of dockerd, and are gone after a reboot.
 *
 * Answers what could not be done: one family of addresses may be passed on where the other cannot.
 *
 * @throws GridferryError `GF_FORWARD_UNAVAILABLE` when this server cannot do it; `GF_VOLUME_BENCH_FAILED`, `GF_SSH_*`,
 * `GF_DOCKER_*`.
 */
export async function startForward(
  engine: Engine,
  forward: Forward,
  seconds: number,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  checkEngine(engine);
  const chain = chainOf(forwardKey(forward.id));
  const until = (await serverTime(engine, signal)) + seconds;
  // First what will end it.
  const timer = await startHelper(engine, {
    name: helperName(chain),
    id: forward.id,
    argv: ['/bin/sh', '-c', timerScript, 'sh', String(until), chain],
  });
  const exec = adminOf(engine, timer, signal);
  const families = forwardRules(forward, until);
  const problems: string[] = [];
  for (const { program, loopback, sysctl, restore } of families) {
    const { exitCode, stderr } = await exec([installScript, program, chain, loopback, sysctl, restore]);
    if (exitCode === 0) continue;
    problems.push(stderr.trim().replaceAll(/\s+/g, ' ').slice(0, 300) || `${program} failed`);
    await exec([dropScript, program, chain]);
  }
  if (problems.length < families.length) return problems;
  await removeHelper(engine.docker, timer);
  throw unavailable(engine, problems.join('; ') || 'no port and address of the same family');
}

/** Takes a forward away before its time. Nothing there is fine. */
export async function endForward(engine: Engine, id: string, signal?: AbortSignal): Promise<void> {
  await dropForwards(engine, [forwardKey(id)], signal);
}

/** Whether the helper of a forward is there: without it, and without a record, there cannot be rules. */
export async function hasForwardHelper({ docker }: Engine, id: string): Promise<boolean> {
  try {
    await docker.getContainer(helperName(chainOf(forwardKey(id)))).inspect();
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/**
 * Takes away the forwards of that server that catch connections to one of these ports, whosever they are, and the remains
 * of those whose time is over. Answers what was in effect.
 */
export async function clearForwards(
  engine: Engine,
  ports: readonly number[],
  signal?: AbortSignal,
): Promise<FoundForward[]> {
  if (engine.info.rootless || engine.info.podman) return [];
  const { now, forwards } = await listForwards(engine, signal);
  const active = forwards.filter(
    (forward) => forward.until >= now && forward.ports.some(({ port }) => ports.includes(port)),
  );
  const over = forwards.filter((forward) => forward.until < now);
  const keys = [...active, ...over].map(({ key }) => key);
  if (keys.length > 0) await dropForwards(engine, keys, signal);
  return active;
}

/** All forwards of a server, and its time, in seconds since 1970. */
export async function listForwards(
  engine: Engine,
  signal?: AbortSignal,
): Promise<{ readonly now: number; readonly forwards: readonly FoundForward[] }> {
  const listing = await asAdmin(engine, [listScript], signal);
  const [now = '0'] = listing.split('\n', 1);
  return { now: Number(now), forwards: parseForwards(listing) };
}

async function dropForwards(engine: Engine, keys: readonly string[], signal: AbortSignal | undefined): Promise<void> {
  const chains = keys.map(chainOf);
  await asAdmin(engine, [dropScript, 'iptables ip6tables', ...chains], signal);
  for (const chain of chains) await removeHelper(engine.docker, engine.docker.getContainer(helperName(chain)));
}

/** A script and its arguments. */
type Script = readonly [string, ...string[]];
type Admin = (script: Script) => Promise<ExecResult>;

/** Runs scripts with the power over the server's network: as root there, or in a helper that was given it. */
function adminOf(engine: Engine, helper: Docker.Container | undefined, signal: AbortSignal | undefined): Admin {
  const { host } = engine;
  const options = { allowFailure: true, ...(signal === undefined ? {} : { signal }) };
  const argv = ([script, ...args]: Script): string[] => ['sh', '-c', script, 'sh', ...args];
  if (helper === undefined || host.isRoot) return (script) => host.exec(argv(script), { ...options, root: true });
  const spawn = (words: readonly string[], spawnOptions: SpawnOptions) =>
    spawnInHelper(helper, host.name, words, spawnOptions);
  return (script) => runToEnd(host.name, spawn, argv(script), options);
}

/** The same once, with a helper of its own where one is needed. */
async function asAdmin(engine: Engine, script: Script, signal: AbortSignal | undefined): Promise<string> {
  const argv = ['/bin/sleep', String(LOOK_SECONDS)];
  const helper = engine.host.isRoot ? undefined : await startHelper(engine, { id: 'look', argv });
  try {
    const { exitCode, stdout, stderr } = await adminOf(engine, helper, signal)(script);
    if (exitCode !== 0) throw unavailable(engine, stderr.trim().slice(0, 300));
    return stdout;
  } finally {
    if (helper !== undefined) await removeHelper(engine.docker, helper);
  }
}

/** A helper on the server's own network. Docker removes it when it ends. */
async function startHelper(
  { docker, host }: Engine,
  { name, id, argv }: { readonly name?: string; readonly id: string; readonly argv: readonly string[] },
): Promise<Docker.Container> {
  if (name !== undefined) {
    // One that is left from an earlier try has another end. Docker may be taking it away already.
    const earlier = docker.getContainer(name);
    await removeHelper(docker, earlier);
    await earlier.wait({ condition: 'removed' }).catch(ignoreNotFound);
  }
  const container = await createHelper(docker, {
    ...helperDefaults,
    ...(name === undefined ? {} : { name }),
    Cmd: [...argv],
    Labels: { [forwardLabel]: id },
    HostConfig: {
      ...helperHostDefaults,
      NetworkMode: 'host',
      AutoRemove: true,
      CapAdd: ['NET_ADMIN', 'NET_RAW'],
      Mounts: await hostToolMounts(host, LEGACY_LOCK),
    },
  });
  try {
    await container.start();
    return container;
  } catch (error) {
    await removeHelper(docker, container);
    throw unavailable({ host }, `its helper container does not start: ${messageOf(error)}`, error);
  }
}

function helperName(chain: string): string {
  return chain.toLowerCase().replace('-', '-forward-');
}

async function serverTime({ host }: Engine, signal: AbortSignal | undefined): Promise<number> {
  const { stdout } = await host.exec(['date', '+%s'], signal === undefined ? {} : { signal });
  return Number(stdout.trim());
}

/** Where the engine has a network of its own, or none of Docker's rules, there is nothing to put rules into. */
function checkEngine(engine: Engine): void {
  if (engine.info.rootless) throw unavailable(engine, 'its Docker is rootless and has no power over its network');
  if (engine.info.podman) throw unavailable(engine, 'it runs Podman');
}

function unavailable({ host }: Pick<Engine, 'host'>, why: string, cause?: unknown): GridferryError {
  return new GridferryError('GF_FORWARD_UNAVAILABLE', `server ${host.name} cannot pass connections on: ${why}`, {
    cause,
  });
}
