import type { RawMountPoint } from '../../src/docker/container-types.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';
import type { ModelJob } from './model-direct.ts';
import type { ModelForward } from './model-forward.ts';
import { EngineFailure } from './engine-failure.ts';
import { bytesOf, newTree } from './file-tree.ts';
import type { FileTree, ModelFile } from './file-tree.ts';

type Json = Record<string, unknown>;

export interface ModelContainer {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly config: Json;
  readonly hostConfig: Json;
  readonly networks: Record<string, Json>;
  readonly mounts: readonly RawMountPoint[];
  /** What it wrote outside its mounts. */
  readonly layer: FileTree;
  state: 'created' | 'running' | 'restarting' | 'exited';
  pid: number;
  exitCode: number;
  /** Whether its first process has been told to stop. */
  stopping: Promise<void> | undefined;
  stoppedByHand: boolean;
  startedBefore: boolean;
  /** When it was last started. */
  startedAt: string;
}

export interface ModelVolume {
  readonly Name: string;
  readonly Driver: string;
  readonly Mountpoint: string;
  readonly Options: Readonly<Record<string, string>>;
  readonly Labels: Readonly<Record<string, string>>;
}

export interface ModelImage {
  readonly Id: string;
  RepoTags: string[];
  readonly RepoDigests: readonly string[];
  readonly Architecture: string;
  readonly Os: string;
  readonly Size: number;
  readonly Config: Json;
  readonly RootFS: { readonly Layers: readonly string[] };
}

export interface ModelNetwork {
  readonly Id: string;
  readonly Name: string;
  readonly Labels: Readonly<Record<string, string>>;
  readonly body: Json;
}

export interface ServerOptions {
  readonly name: string;
  readonly address: string;
  readonly clock: VirtualClock;
  /** How long its containers take to end after a stop signal, in ms. */
  readonly graceMs: number;
  readonly isRoot: boolean;
  /** Called after every change of what runs or is stored. */
  readonly onChange: () => void;
}

/** One server: its Docker engine, its files, and what becomes of both when it or the engine is restarted. */
export class ModelServer {
  readonly name: string;
  readonly address: string;
  readonly isRoot: boolean;
  readonly containers = new Map<string, ModelContainer>();
  readonly volumes = new Map<string, ModelVolume>();
  readonly networks = new Map<string, ModelNetwork>();
  readonly images = new Map<string, ModelImage>();
  /** Folders with files, by absolute path. */
  readonly folders = new Map<string, FileTree>();
  /** Folders of workbenches that work without a container. */
  readonly workFolders = new Set<string>();
  /** What manifests said that a bench keeps, by bench and name. */
  readonly manifests = new Map<string, Map<string, ReadonlyMap<string, ModelFile>>>();
  /** By transfer: its line in authorized_keys, its folder, its connection to the other server, and its jobs. */
  readonly authorizedKeys = new Set<string>();
  readonly transferFolders = new Set<string>();
  readonly warmLinks = new Set<string>();
  readonly jobs = new Map<string, Map<string, ModelJob>>();
  readonly forwards = new Map<string, ModelForward>();
  up = true;
  engineUp = true;
  /** Counts its ends: a connection to an earlier life of the engine is gone. */
  engineLives = 1;
  sshdUp = true;
  /** The newest leader's epoch that was seen. */
  epoch = 0;
  freeBytes = 50 * 2 ** 30;
  freeInodes = 1_000_000;
  readonly #clock: VirtualClock;
  readonly #graceMs: number;
  readonly #changed: () => void;
  #ids = 0;
  #pids = 1000;
  #boots = 0;

  constructor({ name, address, clock, graceMs, isRoot, onChange }: ServerOptions) {
    this.name = name;
    this.address = address;
    this.isRoot = isRoot;
    this.#clock = clock;
    this.#graceMs = graceMs;
    this.#changed = onChange;
    for (const builtin of ['bridge', 'host', 'none']) {
      this.networks.set(builtin, { Id: this.newId(), Name: builtin, Labels: {}, body: { Driver: builtin } });
    }
  }

  newId(): string {
    const side = Buffer.from(this.name).toString('hex').slice(0, 2);
    return `${side}${(++this.#ids).toString(16).padStart(4, '0')}`.padEnd(64, '0');
  }

  get bootId(): string {
    return `${this.name}-boot-${String(this.#boots)}`;
  }

  find(idOrName: string): ModelContainer {
    const found = this.containers.get(idOrName) ?? [...this.containers.values()].find(({ name }) => name === idOrName);
    if (found === undefined) throw new EngineFailure(404, `No such container: ${idOrName}`);
    return found;
  }

  byName(name: string): ModelContainer | undefined {
    return [...this.containers.values()].find((container) => container.name === name);
  }

  folder(path: string): FileTree {
    let tree = this.folders.get(path);
    if (tree === undefined) this.folders.set(path, (tree = newTree()));
    return tree;
  }

  makeVolume(name: string, labels: Readonly<Record<string, string>>, options = {}): ModelVolume {
    const known = this.volumes.get(name);
    if (known !== undefined) return known;
    this.requireSpace(0);
    const Mountpoint = `/var/lib/docker/volumes/${name}/_data`;
    const volume = { Name: name, Driver: 'local', Mountpoint, Options: options, Labels: labels };
    this.volumes.set(name, volume);
    this.folder(Mountpoint);
    this.#changed();
    return volume;
  }

  removeVolume(name: string): void {
    const volume = this.volumes.get(name);
    if (volume === undefined) throw new EngineFailure(404, `get ${name}: no such volume`);
    const user = [...this.containers.values()].find(({ mounts }) => mounts.some((mount) => mount.Name === name));
    if (user !== undefined) throw new EngineFailure(409, `remove ${name}: volume is in use - [${user.id}]`);
    this.volumes.delete(name);
    this.folders.delete(volume.Mountpoint);
    this.#changed();
  }

  addContainer(container: ModelContainer): void {
    this.requireSpace(0);
    this.containers.set(container.id, container);
    this.#changed();
  }

  start(container: ModelContainer): void {
    if (container.state === 'running') return;
    for (const port of portsOf(container)) {
      const taken = [...this.containers.values()].some(
        (other) => other !== container && other.state === 'running' && portsOf(other).includes(port),
      );
      if (taken) throw new EngineFailure(500, `Bind for 0.0.0.0:${String(port)} failed: port is already allocated`);
    }
    container.state = 'running';
    container.startedBefore = true;
    container.startedAt = new Date(this.#clock.monotonic()).toISOString();
    container.stoppedByHand = false;
    container.pid = ++this.#pids;
    this.#changed();
  }

  /** What `docker stop` does: it goes on to its end whoever still listens. */
  stop(container: ModelContainer): Promise<void> {
    container.stoppedByHand = true;
    if (container.state === 'restarting') this.#exit(container, 0);
    if (container.state !== 'running') return Promise.resolve();
    container.stopping ??= new Promise((resolve) => {
      this.#clock.after(this.#graceMs, () => {
        if (container.state === 'running') this.#exit(container, 0);
        container.stopping = undefined;
        resolve();
      });
    });
    return container.stopping;
  }

  remove(container: ModelContainer): void {
    if (container.state === 'running') this.#exit(container, 137);
    this.containers.delete(container.id);
    this.#changed();
  }

  /** The first process ends by itself; the restart policy does the rest. */
  crash(container: ModelContainer): void {
    if (container.state !== 'running') return;
    this.#exit(container, 1);
    if (policyOf(container) === 'no' || container.stopping !== undefined) return;
    container.state = 'restarting';
    this.#clock.after(150, () => {
      if (container.state !== 'restarting' || !this.containers.has(container.id)) return;
      if (this.up && this.engineUp && policyOf(container) !== 'no') this.start(container);
      else container.state = 'exited';
    });
  }

  async restartEngine(liveRestore: boolean, downMs: number): Promise<void> {
    if (!this.engineUp) return;
    this.engineUp = false;
    this.engineLives++;
    if (!liveRestore) this.#exitAll(143);
    await this.#pass(downMs);
    if (!this.up) return;
    this.engineUp = true;
    if (!liveRestore) this.#startByPolicy();
  }

  async reboot(downMs: number): Promise<void> {
    if (!this.up) return;
    this.up = false;
    this.engineUp = false;
    this.engineLives++;
    for (const jobs of this.jobs.values()) for (const job of jobs.values()) job.stopped = true;
    this.jobs.clear();
    this.warmLinks.clear();
    this.forwards.clear();
    this.#exitAll(137);
    await this.#pass(downMs);
    this.#boots++;
    this.up = true;
    this.engineUp = true;
    this.#startByPolicy();
  }

  usedBytes(): number {
    return [...this.folders.values()].reduce((sum, tree) => sum + bytesOf(tree), 0);
  }

  /** @throws EngineFailure as a full disk makes it */
  requireSpace(bytes: number): void {
    if (this.freeBytes <= bytes || this.freeInodes <= 0) {
      throw new EngineFailure(500, 'write /var/lib/docker: no space left on device');
    }
  }

  #exit(container: ModelContainer, exitCode: number): void {
    container.state = 'exited';
    container.pid = 0;
    container.exitCode = exitCode;
    this.#changed();
  }

  #exitAll(exitCode: number): void {
    for (const container of this.containers.values()) {
      if (container.state === 'running' || container.state === 'restarting') this.#exit(container, exitCode);
    }
  }

  /** A container that never ran is not started, and `unless-stopped` means what it says; `always` does not care. */
  #startByPolicy(): void {
    for (const container of this.containers.values()) {
      const policy = policyOf(container);
      const wanted =
        policy === 'always' ||
        (policy === 'unless-stopped' && !container.stoppedByHand) ||
        (policy === 'on-failure' && !container.stoppedByHand && container.exitCode !== 0);
      if (wanted && container.startedBefore && container.state !== 'running') this.start(container);
    }
  }

  #pass(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(ms, resolve));
  }
}

export function policyOf({ hostConfig }: ModelContainer): string {
  const { Name = 'no' } = (hostConfig['RestartPolicy'] ?? {}) as { Name?: string };
  return Name === '' ? 'no' : Name;
}

/** Ports of the server that a container publishes. */
export function portsOf({ hostConfig }: ModelContainer): number[] {
  const bindings = (hostConfig['PortBindings'] ?? {}) as Record<string, readonly { HostPort?: string }[]>;
  return Object.values(bindings).flatMap((list) => list.map(({ HostPort = '' }) => Number(HostPort)));
}

export function labelsOf({ config }: ModelContainer): Readonly<Record<string, string>> {
  return (config['Labels'] ?? {}) as Record<string, string>;
}
