import { resolve } from 'node:path';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { messageOf } from '../errors.ts';
import type { ApiError } from './api-error.ts';
import { SYNC_TIMINGS } from './directory-sync-options.ts';
import type { DirectorySyncOptions, SyncTimings } from './directory-sync-options.ts';
import { DirectoryTree } from './directory-tree.ts';
import { DirectoryWatch } from './directory-watch.ts';
import { listLive, ManifestApplier } from './manifest-applier.ts';
import { getOrUndefined } from './manifest-apply.ts';
import { Findings } from './directory-findings.ts';
import { ManifestCache } from './manifest-cache.ts';
import type { Refreshed } from './manifest-cache.ts';
import { problemsOfRefusal } from './manifest-file.ts';
import type { LoadedObject } from './manifest-file.ts';
import { directoryProblem, duplicateProblems, manifestTypes } from './manifest-loader.ts';
import { FILE_START, problem } from './manifest-problem.ts';
import type { ManifestProblem } from './manifest-problem.ts';
import { pruneCandidates } from './manifest-prune.ts';
import type { LiveObject } from './manifest-prune.ts';
import { readManifest } from './manifest-read.ts';
import type { ManifestSource } from './manifest-source.ts';
import type { ManifestFile } from './manifest-walk.ts';
import { NamedTimers } from './named-timers.ts';
import { PruneGuard } from './prune-guard.ts';

export interface DirectorySync extends ManifestSource {
  /** How many manifests there are, and how many objects they define. */
  counts(): { readonly files: number; readonly objects: number };
  /** Calls back when the problems or the counts changed; returns a function that ends that. */
  onChange(callback: () => void): () => void;
}

/**
 * Makes the resources follow the YAML files of a directory: applies what they say, deletes what it created and they say
 * no more. The files are only ever read.
 *
 * A file that is broken freezes its objects; a directory that cannot be listed freezes everything; a deletion needs two
 * equal looks at the whole directory, so that a checkout in progress deletes nothing.
 */
export function startDirectorySync(options: DirectorySyncOptions): DirectorySync {
  const sync = new Syncer(options);
  sync.start();
  return sync;
}

class Syncer implements DirectorySync {
  readonly ready: Promise<void>;
  readonly #options: DirectorySyncOptions;
  readonly #timings: SyncTimings;
  readonly #types: readonly ResourceType[];
  /** As the user named it, made absolute. */
  readonly #directory: string;
  readonly #tree: DirectoryTree;
  readonly #cache: ManifestCache;
  readonly #applier: ManifestApplier;
  readonly #guard: PruneGuard;
  readonly #watch: DirectoryWatch;
  readonly #timers: NamedTimers;
  #isReady: () => void = () => undefined;

  readonly #dirty = new Set<string>();
  #fullWanted = true;
  #retryDue = false;
  #hints = 0;
  #running: Promise<void> | undefined;
  #stopped = false;
  #waiters: { fullSeen: boolean; resolve: () => void }[] = [];

  #rootProblem: ManifestProblem | undefined;
  readonly #findings: Findings;

  constructor(options: DirectorySyncOptions) {
    const { client, clock, log, admission, defaultNamespace = 'default' } = options;
    this.#options = options;
    this.#timings = { ...SYNC_TIMINGS, ...options.timings };
    this.#types = manifestTypes(options.types);
    this.#directory = resolve(options.directory);
    this.#tree = new DirectoryTree(this.#directory);
    this.#cache = new ManifestCache({ types: this.#types, admission, defaultNamespace }, clock, this.#timings.settleMs);
    this.#applier = new ManifestApplier({
      client,
      owner: { fieldManager: 'gridferry-directory', source: this.#directory },
      log,
      explain: (loaded, refusal) => this.#explain(loaded, refusal),
    });
    this.#guard = new PruneGuard(this.#timings.pruneMs);
    this.#timers = new NamedTimers(clock);
    this.#findings = new Findings(log);
    this.#watch = new DirectoryWatch({
      onFile: (path) => {
        this.#hints++;
        this.#dirty.add(path);
        this.#later('debounce', this.#timings.debounceMs, () => undefined);
      },
      onTree: () => {
        this.#hints++;
        this.#later('debounce-tree', this.#timings.debounceMs, () => this.#wantFull());
      },
      onError: (error) => {
        const message = `changes in ${this.#directory} are noticed late: the directory cannot be watched`;
        log.warn({ error: messageOf(error) }, message);
      },
    });
    this.ready = new Promise((resolve) => (this.#isReady = resolve));
  }

  start(): void {
    this.#run();
  }

  problems(): readonly ManifestProblem[] {
    return this.#findings.problems;
  }

  counts(): { readonly files: number; readonly objects: number } {
    return this.#findings.counts;
  }

  onChange(callback: () => void): () => void {
    return this.#findings.onChange(callback);
  }

  resync(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters.push({ fullSeen: false, resolve });
      this.#fullWanted = true;
      this.#run();
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#applier.stop();
    this.#timers.end();
    await this.#watch.close();
    await this.#running;
    for (const { resolve } of this.#waiters.splice(0)) resolve();
    this.#isReady();
  }

  #later(name: string, ms: number, action: () => void): void {
    this.#timers.start(name, ms, () => {
      action();
      this.#run();
    });
  }

  #wantFull(): void {
    this.#fullWanted = true;
  }

  #run(): void {
    if (this.#running !== undefined || this.#stopped) return;
    this.#running = this.#passes().finally(() => {
      this.#running = undefined;
      if (this.#hasWork()) this.#run();
    });
  }

  #hasWork(): boolean {
    return !this.#stopped && (this.#fullWanted || this.#retryDue || this.#dirty.size > 0);
  }

  async #passes(): Promise<void> {
    do {
      const full = this.#fullWanted;
      this.#fullWanted = false;
      if (full) for (const waiter of this.#waiters) waiter.fullSeen = true;
      const dirty = [...this.#dirty];
      this.#dirty.clear();
      this.#retryDue = false;
      let hasLooked = full;
      try {
        if (full) await this.#fullPass();
        else await this.#filePass(dirty);
      } catch (error) {
        if (this.#stopped) return;
        hasLooked = false;
        const message = `the resources cannot be brought up to date: ${messageOf(error)}`;
        this.#rootProblem = problem('GF_MANIFEST_APPLY', '.', FILE_START, message, 'it is tried again');
        this.#later('retry-all', this.#timings.retryMs * 4, () => this.#wantFull());
      }
      this.#publish();
      if (hasLooked) this.#isReady();
    } while (this.#hasWork());
    if (this.#timers.has('settle') || this.#timers.has('prune')) return;
    const [done, waiting] = [this.#waiters.filter((w) => w.fullSeen), this.#waiters.filter((w) => !w.fullSeen)];
    this.#waiters = waiting;
    for (const { resolve } of done) resolve();
  }

  async #fullPass(): Promise<void> {
    const hints = this.#hints;
    try {
      await this.#tree.list();
    } catch (error) {
      this.#rootProblem = directoryProblem(error);
      this.#guard.forget();
      this.#later('retry-all', this.#timings.retryMs * 2, () => this.#wantFull());
      return;
    }
    this.#rootProblem = undefined;
    const { files } = this.#tree.listing;
    const refreshed = await this.#cache.refresh(files);
    const listed = new Set(files.map(({ path }) => path));
    for (const path of refreshed.vanished) listed.delete(path);
    for (const { file } of [...this.#cache.files()]) {
      if (!listed.has(file.path) && !this.#tree.hides(file.path)) this.#cache.delete(file.path);
    }
    this.#settle(refreshed);
    const live = await listLive(this.#options.client, this.#types);
    const desired = this.#cache.index.all();
    this.#applier.retain(desired);
    await this.#applyAll(desired, (id) => live.get(id)?.object);
    await this.#prune(live, hints);
    if (!this.#stopped) await this.#watch.follow(this.#tree.root, this.#tree.identity);
    this.#later('resync', this.#timings.resyncMs, () => this.#wantFull());
  }

  async #filePass(reals: readonly string[]): Promise<void> {
    const files: ManifestFile[] = [];
    for (const real of reals) {
      const file = await this.#tree.fileAt(real);
      if (file === undefined) this.#fullWanted = true;
      else files.push(file);
    }
    const refreshed = await this.#cache.refresh(files);
    const { index } = this.#cache;
    const touched = new Set([...refreshed.touched, ...this.#applier.retries]);
    this.#settle(refreshed);
    const repeated = index.duplicates().flat();
    if (repeated.length > 0) {
      // An object that moves between files is in both for a moment: look at the other one, too.
      const paths = new Set(repeated.map(({ file }) => file));
      const again = await this.#cache.refresh([...paths].flatMap((path) => this.#cache.get(path)?.file ?? []));
      for (const id of again.touched) touched.add(id);
      this.#settle(again);
    }
    // What is defined no more may have to be deleted, which only a look at everything decides.
    if (refreshed.vanished.length > 0 || [...touched].some((id) => !index.defines(id))) this.#fullWanted = true;
    const concerned = new Map<string, LoadedObject>();
    for (const id of touched) {
      const loaded = index.get(id);
      if (loaded === undefined) this.#applier.forget(id);
      else concerned.set(id, loaded);
    }
    const live = new Map<string, KubeObject>();
    for (const [id, { type, key }] of concerned) {
      const object = await getOrUndefined(this.#options.client, type, key);
      if (object !== undefined) live.set(id, object);
    }
    await this.#applyAll(concerned, (id) => live.get(id));
  }

  #settle({ settling }: Refreshed): void {
    if (settling.length === 0) return;
    this.#later('settle', this.#timings.settleMs + 5, () => {
      for (const { real } of settling) this.#dirty.add(real);
    });
  }

  async #applyAll(
    objects: ReadonlyMap<string, LoadedObject>,
    live: (id: string) => KubeObject | undefined,
  ): Promise<void> {
    await this.#applier.apply(objects, live);
    if (this.#applier.retries.size > 0) this.#later('retry', this.#timings.retryMs, () => (this.#retryDue = true));
  }

  async #explain(loaded: LoadedObject, refusal: ApiError): Promise<ManifestProblem[]> {
    const cached = this.#cache.get(loaded.file);
    const read = cached === undefined ? undefined : await readManifest(loaded.file, cached.file.real);
    const text = read?.kind === 'text' && read.hash === cached?.hash ? read.text : undefined;
    return problemsOfRefusal(loaded, text, refusal);
  }

  async #prune(live: ReadonlyMap<string, LiveObject>, hints: number): Promise<void> {
    const { files, unreadable } = this.#tree.listing;
    const defines = (id: string): boolean => this.#cache.index.defines(id);
    const scope = { directory: this.#directory, defines, files: this.#cache.files(), unreadable };
    const candidates = pruneCandidates(live.values(), scope);
    const look = {
      identity: this.#tree.identity,
      files: files.length,
      fingerprint: () => this.#cache.fingerprint(),
      hints,
      at: this.#options.clock.monotonic(),
    };
    switch (this.#guard.judge(look, this.#hints, candidates.length)) {
      case 'go':
        await this.#applier.prune(candidates, 'no file has it any more');
        break;
      case 'later':
        this.#later('prune', this.#timings.pruneMs + 5, () => this.#wantFull());
        break;
      case 'empty': {
        const message = `the directory is empty, but ${String(candidates.length)} objects came from it; they are kept`;
        const hint = 'if that is meant, delete the objects, or put any manifest into the directory';
        this.#rootProblem = problem('GF_MANIFEST_DIRECTORY_EMPTY', '.', FILE_START, message, hint);
      }
    }
  }

  #publish(): void {
    const { index } = this.#cache;
    const problems = [
      ...(this.#rootProblem === undefined ? [] : [this.#rootProblem]),
      ...this.#tree.listing.problems,
      ...this.#cache.problems(),
      ...index.duplicates().flatMap(duplicateProblems),
      ...this.#applier.problems(),
    ];
    this.#findings.set(problems, { files: this.#tree.listing.files.length, objects: index.size });
  }
}
