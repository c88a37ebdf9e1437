import type { Command } from 'commander';
import type { GitCredentials } from '../git/credentials.ts';
import type { GitUrl } from '../git/git-url.ts';
import { parseDuration } from '../runtime/duration.ts';
import { usageError } from './cli-error.ts';

/** What `gridferry run` understands for a Git source only. */
export interface GitFlags {
  readonly git?: string;
  readonly branch?: string;
  readonly path?: string;
  readonly interval?: string;
  readonly gitTokenFile?: string;
  readonly gitSshKey?: string;
  readonly gitKnownHosts?: string;
  readonly gitCaFile?: string;
  readonly gitAllowHttp?: true;
  readonly allowRewrittenHistory?: true;
  readonly webhookTokenFile?: string;
}

/** A branch to follow, and how to reach it. */
export interface GitRunOptions {
  readonly url: GitUrl;
  readonly branch: string;
  /** Below the root of the repository; empty for the root. */
  readonly path: string;
  /** As the user wrote it. */
  readonly interval: string;
  readonly intervalMs: number;
  readonly credentials: GitCredentials;
  readonly allowRewrittenHistory: boolean;
  readonly webhookTokenFile?: string;
}

const SHORTEST_INTERVAL_MS = 1_000;

export function addGitOptions(command: Command): Command {
  return command
    .option('--git <url>', 'take the manifests from a Git repository instead: https, ssh, or a path')
    .option('--branch <name>', 'with --git: the branch to follow (default: main)')
    .option('--path <directory>', 'with --git: the directory in the repository (default: its root)')
    .option('--interval <duration>', 'with --git: how often to ask for something new (default: 30s)')
    .option('--git-token-file <file>', 'with --git https://…: a token on the first line, not readable by others')
    .option('--git-ssh-key <file>', 'with --git ssh://…: the private key, without passphrase')
    .option('--git-known-hosts <file>', 'with --git ssh://…: the host keys that are trusted, as in known_hosts')
    .option('--git-ca-file <file>', 'with --git https://…: certificates of the authorities to trust (PEM)')
    .option('--git-allow-http', 'with --git http://…: accept that everybody on the way can read and change it')
    .option('--allow-rewritten-history', 'with --git: follow the branch wherever it is moved')
    .option('--webhook-token-file <file>', 'with --git and --listen: serve POST /hook, for whoever knows the secret');
}

/** @throws GF_CLI_USAGE, GF_GIT_URL, GF_GIT_BRANCH_NAME */
export async function gitRunOptions(
  directory: string | undefined,
  options: GitFlags & { readonly cluster?: true; readonly listen?: string },
): Promise<GitRunOptions | undefined> {
  const { git, branch = 'main', path = '', interval = '30s', webhookTokenFile } = options;
  if (git === undefined) {
    const flag = gitOnly.find((name) => options[name] !== undefined);
    if (flag !== undefined) throw usageError(`${flagOf(flag)} is for run --git only`);
    return undefined;
  }
  if (directory !== undefined) throw usageError('run takes a directory or --git, not both: leave one of them out');
  if (options.cluster === true) throw usageError('run takes --git or --cluster: in a cluster, Flux or Argo CD do this');
  if (webhookTokenFile !== undefined && options.listen === undefined) {
    throw usageError('--webhook-token-file needs --listen, which says where to serve POST /hook');
  }
  const [{ parseGitUrl, checkBranch }, { treePath }] = await Promise.all([
    import('../git/git-url.ts'),
    import('../git/tree.ts'),
  ]);
  const { gitTokenFile, gitSshKey, gitKnownHosts, gitCaFile } = options;
  return {
    url: parseGitUrl(git, { allowHttp: options.gitAllowHttp === true }),
    branch: checkBranch(branch),
    path: checkPath(path, treePath),
    interval,
    intervalMs: checkInterval(interval),
    credentials: {
      ...(gitTokenFile === undefined ? {} : { tokenFile: gitTokenFile }),
      ...(gitSshKey === undefined ? {} : { sshKey: gitSshKey }),
      ...(gitKnownHosts === undefined ? {} : { knownHosts: gitKnownHosts }),
      ...(gitCaFile === undefined ? {} : { caFile: gitCaFile }),
    },
    allowRewrittenHistory: options.allowRewrittenHistory === true,
    ...(webhookTokenFile === undefined ? {} : { webhookTokenFile }),
  };
}

const gitOnly = [
  'branch',
  'path',
  'interval',
  'gitTokenFile',
  'gitSshKey',
  'gitKnownHosts',
  'gitCaFile',
  'gitAllowHttp',
  'allowRewrittenHistory',
  'webhookTokenFile',
] as const;

function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function checkPath(path: string, treePath: (path: string) => string): string {
  try {
    return treePath(path);
  } catch {
    throw usageError(`--path names a directory in the repository, such as ./fleet, and not "${path}"`);
  }
}

function checkInterval(text: string): number {
  let interval: number;
  try {
    interval = parseDuration(text);
  } catch {
    throw usageError(`--interval: "${text}" is not a duration such as 30s`);
  }
  if (interval < SHORTEST_INTERVAL_MS) throw usageError('--interval is to be at least 1s');
  return interval;
}
