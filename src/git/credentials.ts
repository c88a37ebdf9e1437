import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { GridferryError, messageOf } from '../errors.ts';
import { shellQuote } from '../security/shell-quote.ts';
import type { GitUrl } from './git-url.ts';

/** Files that hold what a server asks for. They are read again for every connection, so that a new one is taken up. */
export interface GitCredentials {
  readonly tokenFile?: string;
  readonly sshKey?: string;
  readonly knownHosts?: string;
  /** Certificates (PEM) of the authorities that https servers are signed by, instead of the system's. */
  readonly caFile?: string;
}

/** How git is told: settings for its command line and variables for its environment, none of them a secret itself. */
export interface GitAccess {
  readonly settings: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const MAX_SECRET_BYTES = 64 * 1024;

/**
 * Prints the token where git asks for it. The file's name comes by the environment; its content goes through a pipe,
 * never through an argument (`printf` and `read` are the shell's own) or a variable of another program.
 */
const TOKEN_HELPER =
  '!f() { test "$1" = get || exit 0; IFS= read -r token < "$GRIDFERRY_TOKEN_FILE" || test -n "$token" || exit 1; ' +
  `printf 'username=%s\\npassword=%s\\n' "$GRIDFERRY_TOKEN_USER" "$token"; }; f`;

/**
 * What git needs to reach `url`, and nothing it may use elsewhere: a token is given to this origin alone, whatever the
 * server redirects to, and ssh sees no key, agent, host key or setting of the user's own.
 *
 * @throws GridferryError `GF_GIT_CREDENTIALS`
 */
export function gitAccess(url: GitUrl, credentials: GitCredentials): GitAccess {
  const { tokenFile, sshKey, knownHosts, caFile } = credentials;
  const settings = ['-c', `protocol.${url.transport}.allow=always`];
  if (url.transport === 'ssh') {
    if (tokenFile !== undefined) throw unusable('--git-token-file goes with an https URL, not with ssh');
    if (sshKey === undefined || knownHosts === undefined) {
      throw unusable('an ssh URL needs --git-ssh-key and --git-known-hosts (ssh-keyscan prints the lines to check)');
    }
    readPrivateFile(sshKey);
    return {
      settings,
      env: { GIT_SSH_COMMAND: sshCommand(sshKey, knownHosts), GIT_SSH_VARIANT: 'ssh' },
    };
  }
  if (sshKey !== undefined || knownHosts !== undefined) {
    throw unusable('--git-ssh-key and --git-known-hosts go with an ssh URL');
  }
  const env: Record<string, string> = caFile === undefined ? {} : { GIT_SSL_CAINFO: resolve(caFile) };
  if (tokenFile === undefined) return { settings, env };
  if (url.transport === 'file') throw unusable('--git-token-file goes with an https URL');
  readPrivateFile(tokenFile);
  settings.push('-c', `credential.${url.origin}.helper=${TOKEN_HELPER}`);
  env['GRIDFERRY_TOKEN_FILE'] = resolve(tokenFile);
  // GitHub, GitLab and Gitea take any name beside a token; Bitbucket wants `x-token-auth@` in the URL.
  env['GRIDFERRY_TOKEN_USER'] = url.user ?? 'x-access-token';
  return { settings, env };
}

function sshCommand(sshKey: string, knownHosts: string): string {
  const options: Record<string, string> = {
    IdentityFile: sshPath(sshKey),
    IdentitiesOnly: 'yes',
    IdentityAgent: 'none',
    PreferredAuthentications: 'publickey',
    StrictHostKeyChecking: 'yes',
    UserKnownHostsFile: sshPath(knownHosts),
    GlobalKnownHostsFile: '/dev/null',
    UpdateHostKeys: 'no',
    BatchMode: 'yes',
    ClearAllForwardings: 'yes',
    PermitLocalCommand: 'no',
    ConnectTimeout: '15',
    ServerAliveInterval: '10',
    ServerAliveCountMax: '3',
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  return shellQuote(['ssh', '-F', '/dev/null', ...flags]);
}

/** A path as ssh_config takes it: quoted for spaces, with its percent tokens kept from being expanded. */
function sshPath(path: string): string {
  if (/["\\\r\n$]/.test(path)) throw unusable(`${JSON.stringify(path)} has a character that ssh would misread`);
  return `"${resolve(path).replaceAll('%', '%%')}"`;
}

/**
 * The first line of a file that only its owner may read: a token.
 *
 * @throws GridferryError `GF_GIT_CREDENTIALS`
 */
export function readTokenFile(path: string): string {
  const [token = ''] = readPrivateFile(path).split(/\r?\n/);
  if (token === '') throw unusable(`${path} is empty: its first line is to be the token`);
  return token;
}

function readPrivateFile(path: string): string {
  try {
    const { mode, size } = statSync(path);
    if ((mode & 0o077) !== 0) throw unusable(`${path} is open to other users; run: chmod 600 ${shellQuote([path])}`);
    if (size > MAX_SECRET_BYTES) throw unusable(`${path} is too large for what it is to hold`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof GridferryError) throw error;
    throw unusable(`${path} cannot be read (${messageOf(error)})`);
  }
}

function unusable(why: string): GridferryError {
  return new GridferryError('GF_GIT_CREDENTIALS', `The Git source cannot log in: ${why}.`);
}
