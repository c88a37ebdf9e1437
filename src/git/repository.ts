import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { GridferryError } from '../errors.ts';
import { gitAccess } from './credentials.ts';
import type { GitCredentials } from './credentials.ts';
import { corruptClone, localFailure, remoteFailure } from './git-errors.ts';
import { isolatedEnvironment, runGit } from './git-process.ts';
import type { GitResult } from './git-process.ts';
import { checkBranch } from './git-url.ts';
import type { GitUrl } from './git-url.ts';
import { parseTree } from './tree.ts';
import type { TreeEntry } from './tree.ts';

export interface GitRepositoryOptions {
  /** Made when it is not there; nobody else may write to it. */
  readonly directory: string;
  readonly url: GitUrl;
  readonly branch: string;
  readonly credentials: GitCredentials;
  /** For one question to the remote, in ms. Default 30 s. */
  readonly askTimeoutMs?: number;
  /** For fetching what is new, in ms. Default 10 minutes. */
  readonly fetchTimeoutMs?: number;
  /** How large the clone may become. Default 1 GiB. */
  readonly maxBytes?: number;
}

/** One branch of a remote repository, as far as it was fetched. Nothing of it is ever checked out or run. */
export interface GitRepository {
  /**
   * Asks where the branch is and gets what is missing. Resolves with the id of its newest commit.
   *
   * @param known the commit that `contains` will be asked about: should the clone have to be made anew, then with the
   * history down to it.
   * @throws GridferryError `GF_GIT_UNREACHABLE`, `GF_GIT_AUTH`, `GF_GIT_HOST_KEY`, `GF_GIT_NOT_FOUND`, `GF_GIT_BRANCH`,
   * `GF_GIT_EMPTY`, `GF_GIT_TIMEOUT`, `GF_GIT_TOO_LARGE`, `GF_GIT_DISK_FULL`, `GF_GIT_CREDENTIALS`, `GF_GIT_CORRUPT`, `GF_GIT_MISSING`.
   */
  fetch(known: string | undefined): Promise<string>;
  /** Whether the commit is here, so that it can be read without the remote. */
  has(commit: string): Promise<boolean>;
  /** Whether `commit` is `ancestor`, or was made on top of it. */
  contains(commit: string, ancestor: string): Promise<boolean>;
  /** Keeps a commit from being tidied away, and durably so. */
  keep(commit: string): Promise<void>;
  /**
   * Everything below a directory of a commit.
   *
   * @throws GridferryError `GF_GIT_PATH` when it has no such directory; `GF_GIT_CORRUPT`.
   */
  listTree(commit: string, path: string): Promise<TreeEntry[]>;
  /** Contents by id; what is asked for has to fit into memory. @throws GridferryError `GF_GIT_CORRUPT` */
  readBlobs(ids: readonly string[]): Promise<Map<string, Buffer>>;
  /** Throws the clone away: the next fetch makes it anew. */
  reset(): void;
  /** Ends whatever runs; what waits for it is rejected. */
  close(): void;
}

const COMMIT = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;
const FETCHED = 'refs/gridferry/fetched';
const KEPT = 'refs/gridferry/kept';
const LOCAL_TIMEOUT_MS = 120_000;
const MAX_BLOBS_BYTES = 512 * 1024 * 1024;
const MAX_CLONE_BYTES = 1024 * 1024 * 1024;
const SIZE_LOOK_MS = 500;

/** @throws GridferryError `GF_GIT_BRANCH_NAME`, `GF_GIT_CREDENTIALS` */
export function openGitRepository(options: GitRepositoryOptions): GitRepository {
  const { url, directory } = options;
  const closing = new AbortController();
  const { signal } = closing;
  const shown = url.remote;
  const ref = `refs/heads/${checkBranch(options.branch)}`;
  gitAccess(url, options.credentials);
  const clone = join(directory, 'clone.git');
  const env = isolatedEnvironment(directory);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  sweep(clone);

  function remotely(args: readonly string[], timeoutMs: number, more?: AbortSignal): Promise<GitResult> {
    const access = gitAccess(url, options.credentials);
    return runGit({
      args: [...access.settings, ...args],
      env: { ...env, ...access.env },
      timeoutMs,
      signal: more === undefined ? signal : AbortSignal.any([signal, more]),
    });
  }

  /** git has no limit of its own for what a remote may send. */
  async function withinSize<R>(work: (tooLarge: AbortSignal) => Promise<R>): Promise<R> {
    const maxBytes = options.maxBytes ?? MAX_CLONE_BYTES;
    const tooLarge = new AbortController();
    const looking = setInterval(() => {
      if (sizeOf(clone) > maxBytes) tooLarge.abort(outgrown(shown, maxBytes));
    }, SIZE_LOOK_MS);
    try {
      const result = await work(tooLarge.signal);
      if (sizeOf(clone) > maxBytes) throw outgrown(shown, maxBytes);
      return result;
    } catch (error) {
      if (isOutgrown(error)) rmSync(clone, { recursive: true, force: true });
      throw error;
    } finally {
      clearInterval(looking);
      sweep(clone);
    }
  }

  function locally(args: readonly string[], more: { input?: string; maxOutputBytes?: number } = {}) {
    return runGit({
      args: ['--git-dir', clone, ...args],
      env,
      timeoutMs: LOCAL_TIMEOUT_MS,
      ...more,
      signal,
    });
  }

  async function ask(): Promise<string> {
    const timeoutMs = options.askTimeoutMs ?? 30_000;
    const asked = await remotely(['ls-remote', '--exit-code', '--', url.remote, ref], timeoutMs);
    if (asked.exitCode === 0) {
      // A pattern matches at the end of a name, so `refs/heads/x/refs/heads/main` might be listed, too.
      const lines = asked.stdout.toString('utf8').split('\n');
      const line = lines.map((text) => text.split('\t')).find(([, name]) => name === ref);
      if (line?.[0] !== undefined && COMMIT.test(line[0])) return line[0];
    } else if (asked.exitCode !== 2) throw remoteFailure(shown, asked);
    const head = await remotely(['ls-remote', '--symref', '--', url.remote, 'HEAD', 'refs/heads/*'], timeoutMs);
    if (head.exitCode !== 0) throw remoteFailure(shown, head);
    const said = head.stdout.toString('utf8');
    if (!/^[0-9a-f]{40,64}\t/m.test(said)) {
      throw new GridferryError('GF_GIT_EMPTY', `${shown} has no commits: push one to ${options.branch}.`, {
        class: 'retryable',
      });
    }
    const standard = /^ref: refs\/heads\/(\S+)\tHEAD$/m.exec(said)?.[1];
    const hint = standard === undefined ? '' : `; its default branch is ${standard.slice(0, 100)}`;
    throw new GridferryError('GF_GIT_BRANCH', `${shown} has no branch ${options.branch}${hint}: name another.`, {
      class: 'retryable',
    });
  }

  async function resolveCommit(name: string): Promise<string | undefined> {
    const found = await locally(['rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`]);
    const id = found.stdout.toString('utf8').trim();
    return found.exitCode === 0 && COMMIT.test(id) ? id : undefined;
  }

  async function makeClone(head: string): Promise<void> {
    rmSync(clone, { recursive: true, force: true });
    const format = head.length === 64 ? 'sha256' : 'sha1';
    // Without the templates of the machine, there are no hooks to begin with.
    const made = await runGit({
      args: ['init', '--bare', '--quiet', '--template=', `--object-format=${format}`, '--', clone],
      env,
      timeoutMs: LOCAL_TIMEOUT_MS,
      signal,
    });
    if (made.exitCode !== 0) throw localFailure(made);
  }

  return {
    async fetch(known) {
      const head = await ask();
      const before = await resolveCommit(FETCHED);
      if (before === head) return head;
      const complete = before !== undefined && (known === undefined || (await resolveCommit(known)) !== undefined);
      if (!complete) await makeClone(head);
      // The newest commit is enough to begin with: every later fetch brings what was made on top of it, and with that
      // the answer to whether history was rewritten. A clone that lost the commit in use needs all of it.
      const depth = !complete && known === undefined ? ['--depth=1'] : [];
      const flags = ['--quiet', '--no-tags', '--no-write-fetch-head', '--no-recurse-submodules', ...depth];
      const timeoutMs = options.fetchTimeoutMs ?? 600_000;
      const args = ['--git-dir', clone, 'fetch', ...flags, '--', url.remote, `+${ref}:${FETCHED}`];
      const fetched = await withinSize((tooLarge) => remotely(args, timeoutMs, tooLarge));
      if (fetched.exitCode !== 0) throw remoteFailure(shown, fetched);
      const commit = await resolveCommit(FETCHED);
      if (commit === undefined) throw corruptClone(`${FETCHED} is no commit`);
      return commit;
    },
    async has(commit) {
      return (await resolveCommit(commit)) !== undefined;
    },
    async contains(commit, ancestor) {
      const answer = await locally(['merge-base', '--is-ancestor', checked(ancestor), checked(commit)]);
      if (answer.exitCode > 1) throw localFailure(answer);
      return answer.exitCode === 0;
    },
    async keep(commit) {
      const kept = await locally(['update-ref', KEPT, checked(commit)]);
      if (kept.exitCode !== 0) throw localFailure(kept);
    },
    async listTree(commit, path) {
      const tree = await locally(['cat-file', '--batch-check'], { input: `${checked(commit)}:${path}\n` });
      if (tree.exitCode !== 0) throw localFailure(tree);
      const [id = '', type = ''] = tree.stdout.toString('utf8').trim().split(' ');
      if (type !== 'tree' || !COMMIT.test(id)) throw noDirectory(commit, path);
      const listed = await locally(['ls-tree', '-r', '-z', '--long', '--full-tree', id]);
      if (listed.exitCode !== 0) throw localFailure(listed);
      return parseTree(listed.stdout);
    },
    async readBlobs(ids) {
      if (ids.length === 0) return new Map();
      const input = `${ids.map(checked).join('\n')}\n`;
      const read = await locally(['cat-file', '--batch'], { input, maxOutputBytes: MAX_BLOBS_BYTES });
      if (read.exitCode !== 0) throw localFailure(read);
      return parseBatch(read.stdout);
    },
    reset() {
      rmSync(clone, { recursive: true, force: true });
    },
    close() {
      closing.abort();
    },
  };
}

function checked(commit: string): string {
  if (COMMIT.test(commit)) return commit;
  throw corruptClone(`${JSON.stringify(commit.slice(0, 80))} is no id of an object`);
}

/** `<id> <type> <size>`, the content, a newline; or `<id> missing` (git-cat-file, "Batch output"). */
function parseBatch(output: Buffer): Map<string, Buffer> {
  const blobs = new Map<string, Buffer>();
  for (let at = 0; at < output.length;) {
    const end = output.indexOf(0x0a, at);
    const [id = '', type, size] = output.toString('latin1', at, end).split(' ');
    if (type !== 'blob' || size === undefined) throw corruptClone(`object ${id.slice(0, 64)} is ${type ?? 'unknown'}`);
    blobs.set(id, output.subarray(end + 1, end + 1 + Number(size)));
    at = end + 1 + Number(size) + 1;
  }
  return blobs;
}

function noDirectory(commit: string, path: string): GridferryError {
  return new GridferryError(
    'GF_GIT_PATH',
    `Commit ${commit.slice(0, 12)} has no directory ${path}: correct --path, or commit the directory.`,
  );
}

function outgrown(shown: string, maxBytes: number): GridferryError {
  return new GridferryError(
    'GF_GIT_TOO_LARGE',
    `${shown} is larger than ${String(maxBytes)} bytes and is not fetched: keep manifests in a repository of their own.`,
    { class: 'retryable' },
  );
}

function isOutgrown(error: unknown): boolean {
  return error instanceof GridferryError && error.code === 'GF_GIT_TOO_LARGE';
}

function sizeOf(clone: string): number {
  try {
    const names = readdirSync(join(clone, 'objects'), { recursive: true, encoding: 'utf8' });
    const sizes = names.map((name) => statSync(join(clone, 'objects', name), { throwIfNoEntry: false })?.size ?? 0);
    return sizes.reduce((sum, size) => sum + size, 0);
  } catch {
    // git moves directories about while it works; there is another look soon.
    return 0;
  }
}

/**
 * What a git that was killed left behind: locks, which would stop every later one, and half of a pack. One of an earlier
 * Gridferry that still runs only loses its lock, and fails.
 */
function sweep(clone: string): void {
  let names: string[];
  try {
    names = readdirSync(clone, { recursive: true, encoding: 'utf8' });
  } catch {
    // There is no clone yet.
    return;
  }
  for (const name of names) {
    if (/(?:\.lock|\/tmp_(?:pack|idx|obj|rev)_[^/]*)$/.test(name)) rmSync(join(clone, name), { force: true });
  }
}
