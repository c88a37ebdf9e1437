import type { Duplex, Readable, Writable } from 'node:stream';
import type { SshAgent } from './agent.ts';

/**
 * A Linux machine on which programs run: this one, or one at the end of an SSH connection. One connection per host,
 * many channels.
 *
 * Rejects with a `GridferryError`: `GF_SSH_*` for the connection, `GF_COMMAND_*` for what ran.
 */
export interface Host {
  /** For messages: the ManagedServer's name. */
  readonly name: string;
  /** `root`, or the login user. */
  readonly user: string;
  /** Whether programs run as root (login as root, or `sudo -n` works and the resource allows it). */
  readonly isRoot: boolean;

  /** Runs a program to its end and collects its output (bounded; see `maxOutputBytes`). Never through a user-built shell string. */
  exec(argv: readonly string[], options?: ExecOptions): Promise<ExecResult>;

  /** Starts a program and hands out its streams. */
  spawn(argv: readonly string[], options?: SpawnOptions): Promise<HostProcess>;

  /** The same program, started by somebody else there, under the rules for what is started here. Absent: there are none. */
  guard?(argv: readonly string[]): readonly string[];

  /** A byte stream to a UNIX socket on that machine. Synchronous: it connects lazily and reports failure as an `error` event. */
  openSocket(path: string): Duplex;

  /** A byte stream to an address as seen from that machine. Synchronous, as `openSocket`. */
  openTcp(host: string, port: number): Duplex;

  /** Resolves when the connection is gone for good, with the reason. */
  readonly closed: Promise<Error | undefined>;
  close(): Promise<void>;
}

export interface SpawnOptions {
  /** Kills the program (TERM, then the channel) when it fires. */
  readonly signal?: AbortSignal;
  readonly env?: Readonly<Record<string, string>>;
  /** Run as root (through `sudo -n` if need be). Default false: as the login user. */
  readonly root?: boolean;
  /** Forwarded to the program, for as long as it runs. `GF_SSH_AGENT_REFUSED` where that is not allowed. */
  readonly agent?: SshAgent;
}

export interface ExecOptions extends SpawnOptions {
  readonly input?: string | Uint8Array;
  /** A non-zero exit is returned instead of thrown. Default false. */
  readonly allowFailure?: boolean;
  /** Default 60,000. */
  readonly timeoutMs?: number;
  /** Output beyond it is an error, not a silent cut. Default 8 MiB. */
  readonly maxOutputBytes?: number;
}

export interface ExecResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

export interface HostProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when the program ended and its output was read to the end; never rejects because of a non-zero code. */
  readonly exit: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  kill(signal?: NodeJS.Signals): void;
}
