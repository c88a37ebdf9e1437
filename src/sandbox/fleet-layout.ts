import { createHash } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { GridferryError } from '../errors.ts';
import type { EngineSpec } from './engine.ts';

/** Where everything of one fleet is, and what its objects on the machine are called. */
export interface FleetLayout {
  readonly name: string;
  readonly dir: string;
  readonly privateKeyPath: string;
  readonly recordPath: string;
  /** Start of the name of every interface of this fleet (Linux allows 15 characters in all). */
  readonly interfacePrefix: string;
  readonly bridge: string;
  /** Start of the name of every control group of this fleet. */
  readonly cgroupPrefix: string;
}

/** Where everything of one server is. */
export interface ServerLayout {
  readonly name: string;
  readonly dir: string;
  readonly root: string;
  readonly bootScript: string;
  readonly initFile: string;
  readonly linkFile: string;
  /** The host's end of the server's cable. */
  readonly hostInterface: string;
  readonly cgroup: string;
}

/** What `fleetUp` decided and every later call reads. */
export interface FleetRecord {
  readonly subnet: string;
  readonly servers: readonly ServerRecord[];
}

export interface ServerRecord {
  readonly name: string;
  /** Position in the subnet: 11, 12, … */
  readonly position: number;
  readonly engine?: EngineSpec;
}

/** `GRIDFERRY_SANDBOX_DIR` moves every fleet of a process elsewhere. */
export function stateDirectory(stateDir?: string): string {
  const directory = resolve(stateDir ?? process.env['GRIDFERRY_SANDBOX_DIR'] ?? '/var/lib/gridferry-sandbox');
  // Overlay mount options separate paths by these characters.
  if (/[\s,:\\]/.test(directory)) {
    throw new GridferryError(
      'GF_SANDBOX_STATE_DIR_INVALID',
      `The sandbox cannot live in '${directory}': choose a folder without blanks, commas, colons and backslashes.`,
    );
  }
  return directory;
}

export function fleetLayout(name: string, stateDir?: string): FleetLayout {
  checkName(name, 'fleet', 40);
  const dir = join(stateDirectory(stateDir), name);
  const id = createHash('sha256').update(dir).digest('hex').slice(0, 8);
  return {
    name,
    dir,
    privateKeyPath: join(dir, 'id_ed25519'),
    recordPath: join(dir, 'fleet.json'),
    interfacePrefix: `gf${id}`,
    bridge: `gf${id}br`,
    cgroupPrefix: `gridferry-${id}-`,
  };
}

export function serverLayout(fleet: FleetLayout, server: ServerRecord): ServerLayout {
  const dir = join(fleet.dir, 'servers', server.name);
  return {
    name: server.name,
    dir,
    root: join(dir, 'root'),
    bootScript: join(dir, 'boot'),
    initFile: join(dir, 'init'),
    linkFile: join(dir, 'link.json'),
    hostInterface: `${fleet.interfacePrefix}v${server.position.toString(36)}`,
    cgroup: `${fleet.cgroupPrefix}${server.name}`,
  };
}

export function checkName(name: string, what: 'fleet' | 'server', longest: number): void {
  if (name.length > longest || !/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(name)) {
    throw new GridferryError(
      'GF_SANDBOX_NAME_INVALID',
      `'${name}' cannot be the name of a ${what}: use up to ${longest} lower-case letters, digits and dashes.`,
    );
  }
}

export async function readRecord(fleet: FleetLayout): Promise<FleetRecord | undefined> {
  const text = await readFile(fleet.recordPath, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as FleetRecord);
}

export async function writeRecord(fleet: FleetLayout, record: FleetRecord): Promise<void> {
  await writeAtomically(fleet.recordPath, `${JSON.stringify(record, undefined, 2)}\n`);
}

/** A reader sees the old text or the new one, also after a crash in between. */
export async function writeAtomically(path: string, text: string, mode = 0o600): Promise<void> {
  await writeFile(`${path}.new`, text, { mode });
  await rename(`${path}.new`, path);
}
