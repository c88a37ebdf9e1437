import Docker from 'dockerode';
import type { Duplex } from 'node:stream';
import { GridferryError } from '../errors.ts';
import type { Host } from '../ssh/host.ts';
import { classifyDial } from './dial.ts';
import { dockerCall } from './api.ts';
import { createEngineAgent, hostSocket } from './engine-agent.ts';
import { engineFacts } from './engine-facts.ts';
import type { EngineFacts, RawInfo, RawVersion } from './engine-facts.ts';

/** One Docker engine. Every rejection of `docker.*` is a classified `GridferryError`. */
export interface Engine {
  readonly docker: Docker;
  readonly info: EngineFacts;
  readonly host: Host;
  /** Ends the idle connections to the engine; the host stays open. */
  close(): void;
}

export interface ConnectOptions {
  /** Default `/var/run/docker.sock`. */
  readonly socketPath?: string;
  /** How many requests may be under way at once. Default 24. */
  readonly maxSockets?: number;
  readonly signal?: AbortSignal;
}

export const DEFAULT_SOCKET = '/var/run/docker.sock';

/** Docker 20.10. */
export const MIN_API = '1.41';

/** The newest API version whose differences this code knows (Docker 29). */
export const MAX_API = '1.52';

/**
 * Connects to the Docker engine of a host and negotiates the API version.
 *
 * Throws `GF_DOCKER_MISSING` (no such socket), `GF_DOCKER_PERMISSION` (the user may not open it),
 * `GF_DOCKER_UNREACHABLE` (nobody answers on it), `GF_DOCKER_API_TOO_OLD`, or the host's own `GF_SSH_*`.
 */
export async function connectEngine(host: Host, options: ConnectOptions = {}): Promise<Engine> {
  const socketPath = options.socketPath ?? DEFAULT_SOCKET;
  const open: () => Duplex = hostSocket(host, socketPath);
  const agent = createEngineAgent({ open, maxSockets: options.maxSockets ?? 24 });
  // Every option that DOCKER_HOST, DOCKER_TLS_VERIFY or DOCKER_CERT_PATH would set is given, so that the environment of
  // this process has no say in which engine is spoken to.
  const docker = new Docker({
    protocol: 'http',
    host: 'docker',
    port: 80,
    pathPrefix: '/',
    agent,
    timeout: undefined,
    key: undefined,
    cert: undefined,
    ca: undefined,
  } as unknown as Docker.DockerOptions);
  classifyDial(docker, host.name);
  const call = { docker, host };
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  try {
    const version = await dockerCall<RawVersion>(call, {
      method: 'GET',
      path: ['version'],
      doing: 'tell its version',
      ...signal,
    });
    const apiVersion = negotiate(host.name, version);
    (docker.modem as unknown as { version: string }).version = `v${apiVersion}`;
    const info = await dockerCall<RawInfo>(call, {
      method: 'GET',
      path: ['info'],
      doing: 'describe itself',
      ...signal,
    });
    return { docker, host, info: engineFacts(version, info, apiVersion), close: () => agent.destroy() };
  } catch (error) {
    agent.destroy();
    if (options.signal?.aborted) throw error;
    throw await explainFailure(host, socketPath, error);
  }
}

/** Whether `version` (such as `1.44`) is at least `wanted`. Numbers, not text: 1.9 is older than 1.41. */
export function atLeast(version: string, wanted: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

function negotiate(where: string, version: RawVersion): string {
  const offered = version.ApiVersion ?? '0';
  if (!atLeast(offered, MIN_API)) {
    throw new GridferryError(
      'GF_DOCKER_API_TOO_OLD',
      `Docker ${version.Version ?? '(unknown)'} on ${where} speaks API ${offered}; upgrade it to 20.10 or newer (API ${MIN_API}).`,
    );
  }
  const chosen = atLeast(offered, MAX_API) ? MAX_API : offered;
  if (!atLeast(chosen, version.MinAPIVersion ?? '0')) {
    throw new GridferryError(
      'GF_DOCKER_API_TOO_NEW',
      `Docker ${version.Version ?? '(unknown)'} on ${where} no longer speaks API ${MAX_API}; upgrade Gridferry.`,
    );
  }
  return chosen;
}

/**
 * sshd does not tell why it could not open a socket, so the machine itself is asked. An error that says that the machine
 * is gone wins over every guess about Docker.
 */
async function explainFailure(host: Host, socketPath: string, error: unknown): Promise<unknown> {
  // What Docker itself answered needs no explanation from the machine.
  if (error instanceof GridferryError && /^GF_DOCKER_(?!UNREACHABLE$)/.test(error.code)) return error;
  const exists = await host.exec(['test', '-S', socketPath], { allowFailure: true, timeoutMs: 15_000 });
  if (exists.exitCode !== 0) {
    // A directory that the user may not search looks like an absent file: ask as root where that is allowed.
    const asRoot = host.isRoot && (await host.exec(['test', '-S', socketPath], { allowFailure: true, root: true }));
    if (!asRoot || asRoot.exitCode !== 0) {
      return new GridferryError(
        'GF_DOCKER_MISSING',
        `There is no Docker socket at ${socketPath} on ${host.name}; install and start Docker, or set docker.socketPath.`,
        { cause: error },
      );
    }
  }
  const writable = await host.exec(['test', '-w', socketPath], { allowFailure: true, timeoutMs: 15_000 });
  if (writable.exitCode !== 0) {
    return new GridferryError(
      'GF_DOCKER_PERMISSION',
      `${host.user} may not open ${socketPath} on ${host.name}; add the user to the docker group there (usermod -aG docker ${host.user}) and log in anew, or log in as root.`,
      { cause: error },
    );
  }
  return error;
}
