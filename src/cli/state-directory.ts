import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { basename, isAbsolute, join, resolve } from 'node:path';
import { GridferryError } from '../errors.ts';

/** In a state directory of `run`: the directory of manifests that it is for. */
const SOURCE_FILE = 'directory';
const STORE_FILE = 'gridferry.db';
export const AUDIT_FILE = 'audit.log';

/** Where state directories are made when none is named: `$XDG_STATE_HOME/gridferry`, else `~/.local/state/gridferry`. */
export function stateHome(env: NodeJS.ProcessEnv = process.env): string {
  // The XDG specification: a relative path is invalid and to be ignored.
  const base = env['XDG_STATE_HOME'];
  return join(base !== undefined && isAbsolute(base) ? base : join(homedir(), '.local/state'), 'gridferry');
}

/** The state directory of a directory of manifests, when `--state` does not name another: one for each. */
export function defaultStateDirectory(directory: string, env: NodeJS.ProcessEnv = process.env): string {
  const path = realOr(directory);
  const digest = createHash('sha256').update(path).digest('hex').slice(0, 12);
  const readable = basename(path)
    .replaceAll(/[^A-Za-z0-9._-]/g, '_')
    .slice(0, 40);
  return join(stateHome(env), `${readable}-${digest}`);
}

/** Remembers which directory a state is for, so that other commands can say so. */
export function recordSource(stateDirectory: string, directory: string): void {
  mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
  chmodSync(stateDirectory, 0o700);
  writeFileSync(join(stateDirectory, SOURCE_FILE), `${realOr(directory)}\n`, { mode: 0o600 });
}

/** GRIDFERRY_STATE, unless it is empty. */
export function stateFromEnvironment(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const path = env['GRIDFERRY_STATE'];
  return path === '' ? undefined : path;
}

export interface FoundState {
  readonly path: string;
  /** Why this one, when another could be meant as well. */
  readonly note?: string;
}

/**
 * The state that a reading command means: `--state`, else GRIDFERRY_STATE, else that of the current directory, else the
 * only one there is, else the one used last.
 *
 * @throws GridferryError `GF_CLI_NO_STATE`; its detail `named` says whether a state was asked for
 */
export function findState(
  named: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
  currentDirectory: string = process.cwd(),
): FoundState {
  const given = named ?? stateFromEnvironment(env);
  if (given !== undefined) {
    const path = resolve(currentDirectory, given);
    if (existsSync(join(path, STORE_FILE))) return { path };
    // The directory of manifests itself is what people name by mistake, and there is no doubt what they mean.
    const meant = defaultStateDirectory(path, env);
    if (existsSync(join(meant, STORE_FILE))) return { path: meant };
    throw noState(`${path} holds no state`);
  }
  const own = defaultStateDirectory(currentDirectory, env);
  if (existsSync(join(own, STORE_FILE))) return { path: own, ...noteOnCluster(own, env) };
  const states = listStates(env);
  const [latest, ...others] = states;
  if (latest === undefined) throw noState(`There is no state in ${stateHome(env)}`, false);
  if (others.length === 0) return { path: latest.path, ...noteOnCluster(latest.path, env) };
  const of = latest.source === undefined ? latest.path : `${latest.source} (${latest.path})`;
  return {
    path: latest.path,
    note: `Of ${states.length} states this is the one used last, ${of}; --state names another.`,
  };
}

function listStates(env: NodeJS.ProcessEnv): { path: string; source: string | undefined; usedAt: number }[] {
  const base = stateHome(env);
  if (!existsSync(base)) return [];
  return readdirSync(base)
    .map((name) => join(base, name))
    .filter((path) => existsSync(join(path, STORE_FILE)))
    .map((path) => ({ path, source: sourceOf(path), usedAt: usedAt(path) }))
    .sort((a, b) => b.usedAt - a.usedAt);
}

/** The newest of the database and its log: while `run` is at work, only the log is written. */
function usedAt(path: string): number {
  const times = ['', '-wal'].map((end) => {
    const file = join(path, STORE_FILE + end);
    return existsSync(file) ? statSync(file).mtimeMs : 0;
  });
  return Math.max(...times);
}

function sourceOf(path: string): string | undefined {
  const file = join(path, SOURCE_FILE);
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
}

/** Who has set KUBECONFIG may expect to see the cluster. */
function noteOnCluster(path: string, env: NodeJS.ProcessEnv): { readonly note?: string } {
  const kubeconfig = env['KUBECONFIG'];
  if (kubeconfig === undefined || kubeconfig === '' || kubeconfig.startsWith(path)) return {};
  return { note: `This is the local home ${path}; --kubeconfig ${kubeconfig} shows the cluster.` };
}

function noState(what: string, named = true): GridferryError {
  return new GridferryError(
    'GF_CLI_NO_STATE',
    `${what}: start "gridferry run <directory>" first, or name the state of a run with --state or GRIDFERRY_STATE, ` +
      `or a cluster with --kubeconfig.`,
    { details: { named } },
  );
}

function realOr(path: string): string {
  // A repository elsewhere, `https://…` or `user@host:…`, is the same from every directory.
  if (/^(?:[a-z][a-z0-9+.-]*:\/\/|[^/]+@[^/]+:)/i.test(path)) return path;
  return existsSync(path) ? realpathSync(path) : resolve(path);
}
