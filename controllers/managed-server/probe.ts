import type { ManagedServer, ManagedServerStatus } from '../../src/api/resources.ts';
import { dockerCall } from '../../src/docker/api.ts';
import { COMPOSE } from '../../src/docker/compose-files.ts';
import type { Engine } from '../../src/docker/engine.ts';
import { classOf, GridferryError, messageOf } from '../../src/errors.ts';
import { readFilesystem } from '../../src/ssh/filesystem.ts';
import { readHostFacts } from '../../src/ssh/host-facts.ts';
import type { ServerConnections } from '../servers/connections.ts';

type Facts = NonNullable<ManagedServerStatus['facts']>;
type ServiceFound = NonNullable<ManagedServerStatus['services']>[number];

/** What one look at a server found: as far as it came. */
export interface ProbeResult {
  readonly hostKey:
    { readonly algorithm: string; readonly fingerprint: string; readonly publicKey: string } | undefined;
  readonly facts: Facts | undefined;
  readonly services: readonly ServiceFound[] | undefined;
  readonly failure: ProbeFailure | undefined;
}

export interface ProbeFailure {
  /** What could not be done: reach the server and log in, trust its key, or use Docker there. */
  readonly at: 'Reach' | 'HostKey' | 'Login' | 'Docker';
  readonly code: string;
  /** CamelCase, for a condition. */
  readonly reason: string;
  readonly message: string;
  readonly terminal: boolean;
}

/** Looks at a server: login, host, Docker, in this order. Failures are part of the answer. */
export async function probeServer(
  servers: ServerConnections,
  server: Readonly<ManagedServer>,
  signal: AbortSignal,
): Promise<ProbeResult> {
  let hostKey: ProbeResult['hostKey'];
  try {
    const login = await servers.login(server, signal);
    hostKey = login.hostKey;
    const host = await readHostFacts(login.host, { signal });
    const tools = Object.entries(host.tools).map(([name, tool]) => [name, tool.version] as const);
    const facts: Facts = {
      os: host.os.prettyName,
      kernel: host.kernel,
      architecture: host.architecture,
      cpus: host.cpus,
      memoryBytes: host.memoryBytes,
      clockSkewMs: Math.round(host.clockSkewMs),
      root: login.host.isRoot,
      tools: Object.fromEntries(tools),
    };
    const { engine } = await servers.connect(server, signal);
    return {
      hostKey,
      facts: { ...facts, docker: dockerFacts(engine), filesystems: await filesystems(engine, signal) },
      services: await findServices(engine, signal),
      failure: undefined,
    };
  } catch (error) {
    return { hostKey, facts: undefined, services: undefined, failure: failureOf(error) };
  }
}

function dockerFacts({ info }: Engine): NonNullable<Facts['docker']> {
  return {
    version: info.version,
    apiVersion: info.apiVersion,
    storageDriver: info.storageDriver,
    imageStore: info.imageStore,
    rootDir: info.rootDir,
    rootless: info.rootless,
  };
}

async function filesystems(engine: Engine, signal: AbortSignal): Promise<NonNullable<Facts['filesystems']>> {
  const path = engine.info.rootDir;
  const found = await readFilesystem(engine.host, path, { signal });
  return [
    {
      path,
      type: found.type,
      totalBytes: found.totalBytes,
      freeBytes: found.freeBytes,
      totalInodes: found.totalInodes,
      freeInodes: found.freeInodes,
    },
  ];
}

interface Listed {
  readonly Names: readonly string[];
  readonly State: string;
  readonly Labels?: Readonly<Record<string, string>> | null;
}

async function findServices(engine: Engine, signal: AbortSignal): Promise<ServiceFound[]> {
  const list = await dockerCall<readonly Listed[]>(engine, {
    method: 'GET',
    path: ['containers', 'json'],
    query: { all: true },
    doing: 'list its containers',
    signal,
  });
  const services = new Map<string, ServiceFound>();
  for (const { Names, State, Labels } of list) {
    if (Labels?.['gridferry.io/workbench'] !== undefined) continue;
    const project = Labels?.[COMPOSE.project];
    const kind = project === undefined ? 'Container' : 'ComposeProject';
    const name = project ?? (Names[0] ?? '').replace(/^\//, '');
    const known = services.get(`${kind}/${name}`) ?? { name, kind, containers: 0, running: 0 };
    services.set(`${kind}/${name}`, {
      ...known,
      containers: known.containers + 1,
      running: known.running + (State === 'running' ? 1 : 0),
    });
  }
  return [...services.values()].sort((a, b) => a.name.localeCompare(b.name)).slice(0, 500);
}

const HOST_KEY = /^GF_SSH_HOST_KEY_/;
const LOGIN = /^GF_(SSH_(AUTH|KEY|PASSPHRASE|SUDO)|SECRET|SECRETS|CREDENTIALS)_/;

function failureOf(error: unknown): ProbeFailure {
  const code = error instanceof GridferryError ? error.code : 'GF_UNEXPECTED';
  const at = HOST_KEY.test(code)
    ? 'HostKey'
    : LOGIN.test(code)
      ? 'Login'
      : code.startsWith('GF_DOCKER_')
        ? 'Docker'
        : 'Reach';
  return { at, code, reason: reasonOf(code), message: messageOf(error), terminal: classOf(error) === 'terminal' };
}

/** `GF_SSH_HOST_KEY_CHANGED` as a condition's reason: `HostKeyChanged`. */
function reasonOf(code: string): string {
  const words = code.replace(/^GF_(SSH_)?/, '').split('_');
  return words.map((word) => word[0]! + word.slice(1).toLowerCase()).join('');
}
