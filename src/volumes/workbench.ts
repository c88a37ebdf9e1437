import type Docker from 'dockerode';
import type { ExecOptions, ExecResult, Host, HostProcess, SpawnOptions } from '../ssh/host.ts';
import type { BenchTools } from './bench-tools.ts';

/** Where data live on a server. A bind of a single file is marked, because a file cannot be told from a missing folder. */
export type DataLocation =
  | { readonly kind: 'volume'; readonly name: string }
  | { readonly kind: 'bind'; readonly path: string; readonly file?: boolean };

/** A place on one server where programs run as root and see the given data. */
export interface Workbench {
  /** For messages: the server's name. */
  readonly name: string;
  readonly mode: 'direct' | 'container';
  readonly tools: BenchTools;
  /** A folder for our own files (scripts, lists, manifests) that outlives this process, until `close`. */
  readonly workFolder: string;
  /** The path of a location as the bench's programs see it. */
  pathOf(location: DataLocation): string;
  spawn(argv: readonly string[], options?: Omit<SpawnOptions, 'root'>): Promise<HostProcess>;
  exec(argv: readonly string[], options?: Omit<ExecOptions, 'root'>): Promise<ExecResult>;
  /**
   * How a program of the bench is started on its server by the login user, without this process. Absent where that cannot
   * be done.
   */
  hostCommand?(argv: readonly string[], env: Readonly<Record<string, string>>): readonly string[];
  /** Removes the helper container and the work folder. Not calling it leaves both for the next process to take over. */
  close(): Promise<void>;
}

export interface WorkbenchOptions {
  readonly host: Host;
  readonly docker: Docker;
  readonly locations: readonly DataLocation[];
  /** Unique per transfer and server; a bench with the same name left by an earlier process is taken over. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Default: direct where the host gives root and every volume is a plain folder. */
  readonly prefer?: 'direct' | 'container';
  /** Docker's socket on the server: with it, and Docker's own client, `hostCommand` works in container mode. */
  readonly socketPath?: string;
  /** Data are mounted read-only (in container mode), so that not even access times change. */
  readonly readOnly?: boolean;
  /** Folders of binds that are not there are made, as root's, which any user of Docker may have it do. Default false. */
  readonly createMissing?: boolean;
  readonly signal?: AbortSignal;
}

/** One key per location, for maps. */
export function locationKey(location: DataLocation): string {
  return location.kind === 'volume' ? `volume:${location.name}` : `bind:${location.path}`;
}
