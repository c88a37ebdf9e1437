import { GridferryError, messageOf } from '../errors.ts';
import { redactPatterns } from '../security/secret-patterns.ts';
import type { HostKey } from './host-key.ts';
import type { SshOptions } from './ssh-options.ts';

/** How far a login has come; it decides what the same fault means. */
export type LoginPhase = 'connecting' | 'handshake' | 'login';

type Target = Pick<SshOptions, 'name' | 'address' | 'port'>;

const UNREACHABLE = new Set([
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EACCES',
  'EPERM',
  'EINVAL',
]);

function where({ name, address, port }: Target): string {
  return `server ${name} (${address.includes(':') ? `[${address}]` : address}:${port})`;
}

function details({ name, address, port }: Target): Record<string, string | number> {
  return { server: name, address, port };
}

/** A fault of the socket, by its system error code. */
export function socketFailed(target: Target, error: Error): GridferryError {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const options = { class: 'retryable', cause: error, details: details(target) } as const;
  if (code === 'ECONNREFUSED') {
    return new GridferryError(
      'GF_SSH_REFUSED',
      `Nothing listens for SSH at ${where(target)}: check that sshd runs there, and spec.ssh.port.`,
      options,
    );
  }
  if (code === 'ETIMEDOUT') return timedOut(target, 'connecting', undefined);
  if (UNREACHABLE.has(code)) {
    return new GridferryError(
      'GF_SSH_UNREACHABLE',
      `There is no way to ${where(target)} (${code}): check spec.address, the network and the firewall.`,
      options,
    );
  }
  return closedByServer(target, 'login', error);
}

export function timedOut(target: Target, phase: LoginPhase, afterMs: number | undefined): GridferryError {
  const within = afterMs === undefined ? '' : ` within ${Math.round(afterMs / 100) / 10} s`;
  const what = {
    connecting: `${where(target)} did not answer${within}: check that it is up, spec.address, and that a firewall lets port ${target.port} through`,
    handshake: `${where(target)} accepted the connection but did not finish the SSH handshake${within}: check that sshd is behind that port and not overloaded`,
    login: `${where(target)} did not answer the login${within}: check the load and the DNS settings of the server`,
  }[phase];
  return new GridferryError('GF_SSH_TIMEOUT', `${capital(what)}.`, {
    class: 'retryable',
    details: { ...details(target), phase },
  });
}

export function closedByServer(target: Target, phase: LoginPhase, cause?: unknown): GridferryError {
  const reason = cause === undefined ? '' : ` (${messageOf(cause)})`;
  const text =
    phase === 'login'
      ? `${where(target)} closed the connection during the login${reason}: look into the server's sshd log.`
      : `${where(target)} closed the connection before the SSH handshake was done${reason}: it may limit connections (MaxStartups, fail2ban, a firewall); look into its sshd log.`;
  return new GridferryError('GF_SSH_CLOSED', capital(text), { class: 'retryable', cause, details: details(target) });
}

/** What the server sent instead of an SSH identification; OpenSSH says so in plain text when it is too busy. */
export function notSsh(target: Target, sent: string, cause?: unknown): GridferryError {
  const line = redactPatterns((sent.split(/\r?\n/)[0] ?? '').replace(/[^\x20-\x7e]/g, '?').slice(0, 60));
  if (/^(?:Exceeded MaxStartups|Not allowed at this time)/.test(line)) {
    return closedByServer(target, 'handshake', new Error(line));
  }
  return new GridferryError(
    'GF_SSH_PROTOCOL',
    `What answers at ${where(target)} is not an SSH server (it sent "${line}"): correct spec.ssh.port.`,
    { cause, details: details(target) },
  );
}

export function handshakeFailed(target: Target, error: Error): GridferryError {
  return new GridferryError(
    'GF_SSH_PROTOCOL',
    `The SSH handshake with ${where(target)} failed (${error.message}): update its sshd, or allow current algorithms in its sshd_config.`,
    { cause: error, details: details(target) },
  );
}

export function hostKeyUnknown(target: Target, found: HostKey): GridferryError {
  return new GridferryError(
    'GF_SSH_HOST_KEY_UNKNOWN',
    `The host key of ${where(target)} is not known. It showed ${found.algorithm} ${found.fingerprint}: if that is right (compare with "ssh-keygen -lf" on the server), set spec.ssh.hostKey: "${found.fingerprint}".`,
    { details: { ...details(target), found: found.fingerprint, algorithm: found.algorithm } },
  );
}

export function hostKeyChanged(target: Target, expected: string, found: HostKey): GridferryError {
  return new GridferryError(
    'GF_SSH_HOST_KEY_CHANGED',
    `The host key of ${where(target)} is not the pinned one: expected ${expected}, found ${found.algorithm} ${found.fingerprint}. Either the server was reinstalled or somebody stands in between. Only if you know why, set spec.ssh.hostKey: "${found.fingerprint}".`,
    { details: { ...details(target), expected, found: found.fingerprint, algorithm: found.algorithm } },
  );
}

export function loginRefused(
  target: Target,
  user: string,
  tried: readonly string[],
  offered: readonly string[],
  reason?: string,
): GridferryError {
  const methods = tried.length === 0 ? 'no method' : tried.join(', then ');
  const accepts = offered.length === 0 ? '' : ` (it accepts ${offered.join(' and ')})`;
  const why = reason === undefined ? '' : ` (${reason})`;
  return new GridferryError(
    'GF_SSH_AUTH_FAILED',
    `${capital(where(target))} refused the login of ${user} by ${methods}${accepts}${why}. Check spec.ssh.user and the Secret in spec.ssh.credentialsRef.`,
    { details: { ...details(target), user, tried: tried.join(','), offered: offered.join(',') } },
  );
}

/** A key on the server does instead, so this is only met in the reason why one was used. */
export function agentRefused(server: string, reason: string): GridferryError {
  return new GridferryError(
    'GF_SSH_AGENT_REFUSED',
    `Server ${server} takes no forwarded SSH agent (${reason}): set AllowAgentForwarding to yes in its sshd_config.`,
    { details: { server } },
  );
}

/** The connection ended while it was in use. */
export function connectionLost(target: Target, reason: string, cause?: unknown): GridferryError {
  return new GridferryError(
    'GF_SSH_CLOSED',
    `The connection to ${where(target)} is gone (${reason}). What ran there may have finished or not; it is looked at again on the next connection.`,
    { class: 'retryable', cause, details: details(target) },
  );
}

/** RFC 4254 §5.1: why a channel was not opened. */
const ADMINISTRATIVELY_PROHIBITED = 1;

export function forwardFailed(server: string, user: string, target: string, error: Error): GridferryError {
  const details = { server, user, target };
  if ((error as Error & { reason?: unknown }).reason === ADMINISTRATIVELY_PROHIBITED) {
    return new GridferryError(
      'GF_SSH_FORWARDING_REFUSED',
      `sshd of server ${server} does not let ${user} connect to ${target}: set AllowTcpForwarding and AllowStreamLocalForwarding to yes in its sshd_config.`,
      { cause: error, details },
    );
  }
  return new GridferryError(
    'GF_HOST_CONNECT_FAILED',
    `Nothing answers ${user} at ${target} on server ${server}: check that what listens there runs, that ${user} may use it (for Docker: group docker), and that sshd allows forwarding.`,
    { class: 'retryable', cause: error, details },
  );
}

export function sudoRefused(
  { name, user, sudo }: Pick<SshOptions, 'name' | 'user' | 'sudo'>,
  refusal: string | undefined,
): GridferryError {
  const remedy = sudo
    ? `sudo refused it (${refusal ?? 'no reason given'}): allow it without a password in /etc/sudoers.d`
    : 'spec.ssh.sudo is false: set it to true';
  return new GridferryError(
    'GF_SSH_SUDO_REFUSED',
    `${user} cannot become root on server ${name}, because ${remedy}, or log in as root.`,
    { details: { server: name, user } },
  );
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
