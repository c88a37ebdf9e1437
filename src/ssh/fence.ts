import { GridferryError } from '../errors.ts';
import { CLAIM_MARK, CLAIM_SCRIPT, GUARD_SCRIPT } from './fence-script.ts';
import type { ExecResult } from './host.ts';

/**
 * What keeps an older leader from a server: a number that grows with every change of leader, kept in a file on the server
 * for each home. A connection of an older epoch is refused and ended there, a program of an older one is not started.
 */
export interface Fence {
  /** Names the home: replicas that stand for election against each other have the same. */
  readonly key: string;
  readonly epoch: number;
  /** Whether this process leads by its own clock: what it would send otherwise, it does not send. */
  mayAct(): boolean;
  /** Fires when it leads no longer: connections are cut off then, instead of being closed in good order. */
  readonly lost: AbortSignal;
  /** The server has seen a newer epoch than ours. */
  onRefused(newest: number): void;
}

/** How a claim ended. */
export type Claim =
  /** The server has our epoch; `raised` when it had none, or an older one. */
  | { readonly kind: 'held' | 'raised' }
  | { readonly kind: 'newer'; readonly epoch: number }
  | { readonly kind: 'failed'; readonly reason: string };

/** Waiting for the lock, and for older connections to end, included. */
export const CLAIM_TIMEOUT_MS = 30_000;

/** The first program of a connection: see `CLAIM_SCRIPT`. */
export function claimCommand({ key, epoch }: Fence): string[] {
  return ['sh', '-c', CLAIM_SCRIPT, 'sh', key, String(epoch)];
}

/** A program that is only started while the server has our epoch: see `GUARD_SCRIPT`. */
export function guardedCommand(argv: readonly string[], { key, epoch }: Fence): string[] {
  return ['sh', '-c', GUARD_SCRIPT, 'sh', key, String(epoch), ...argv];
}

export function readClaim({ stdout, stderr, exitCode }: ExecResult): Claim {
  const line = stdout.trimEnd().split('\n').at(-1) ?? '';
  const [, word = '', rest = ''] = new RegExp(`^${CLAIM_MARK} (\\w+) ?(.*)$`).exec(line) ?? [];
  switch (word) {
    case 'held':
    case 'raised':
      return { kind: word };
    case 'newer':
      return { kind: 'newer', epoch: Number(rest) };
    case 'stuck':
      return {
        kind: 'failed',
        reason: `process ${rest}, the sshd of an older leader's connection, does not end: kill it`,
      };
    case 'busy':
      return { kind: 'failed', reason: 'another connection has been claiming it for too long; it is tried again' };
    case 'unsupported':
      return {
        kind: 'failed',
        reason: `the login does not run below a visible sshd process, but below ${rest}: use OpenSSH, and mount /proc without hidepid or log in as root`,
      };
    default: {
      const said = stderr.trim().split('\n').at(-1) ?? '';
      return {
        kind: 'failed',
        reason: `the login user must be able to write to ~/.local/state/gridferry/fence (${said === '' ? `exit code ${exitCode}` : said})`,
      };
    }
  }
}

export function fenced(server: string, { epoch }: Fence, newest: number): GridferryError {
  return new GridferryError(
    'GF_FENCED',
    `Server ${server} follows a newer leader (epoch ${newest}; ours is ${epoch}): this process does nothing more there. ` +
      `If another replica leads there is nothing to do; if none does, see docs/high-availability.md.`,
    { class: 'retryable', details: { server, epoch, newest } },
  );
}

export function fenceFailed(server: string, reason: string): GridferryError {
  return new GridferryError(
    'GF_FENCE_FAILED',
    `Server ${server} cannot be guarded against an older leader: ${reason}.`,
    {
      class: 'retryable',
      details: { server },
    },
  );
}

/** What was refused had no chance to run. */
export function fenceWasGone(server: string): GridferryError {
  return fenceFailed(server, 'its fence file was gone or damaged, and was made anew; it is tried again');
}

export function notLeading(server: string): GridferryError {
  return new GridferryError(
    'GF_LEADERSHIP_LOST',
    `Nothing is sent to server ${server}, because this process no longer leads; another replica goes on from here.`,
    { class: 'retryable', details: { server } },
  );
}
