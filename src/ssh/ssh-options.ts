import type { Logger } from 'pino';
import type { Fence } from './fence.ts';

/** How to reach a server and log in. */
export interface SshOptions {
  /** For messages: the ManagedServer's name. */
  readonly name: string;
  /** Checked already (`checkAddress`): it is connected to as it stands. */
  readonly address: string;
  readonly port: number;
  readonly user: string;
  readonly credentials: SshCredentials;
  readonly hostKey: HostKeyRule;
  /** Whether `sudo -n` may be used. */
  readonly sudo: boolean;
  /** With it the server is claimed for its epoch first, and no program runs there under a newer one. */
  readonly fence?: Fence;
  /** For connecting, the handshake and the login together. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** A server that sent nothing during three such intervals, though asked, is taken for gone. Default 5,000. */
  readonly keepaliveMs?: number;
  /** Stops the attempt; has no effect on the connection once it is there. */
  readonly signal?: AbortSignal;
  readonly log?: Logger;
}

/** With both a password and a key, the password is used; the key only where the server takes no password, or wants both. */
export interface SshCredentials {
  readonly password?: string;
  readonly privateKey?: Buffer;
  readonly passphrase?: string;
}

export type HostKeyRule =
  /** `SHA256:…`, or a public key line. */
  | { readonly pinned: string }
  /** The first contact: whatever key the server shows is taken, and is to be pinned by the caller. */
  | { readonly acceptNew: true }
  /** Nothing is pinned and nothing new is accepted: the attempt fails and says which key was found. */
  | { readonly strict: true };

export const CONNECT_TIMEOUT_MS = 10_000;
export const KEEPALIVE_MS = 5_000;
