import { realpathSync } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import { relative, resolve, sep } from 'node:path';
import type { Logger } from 'pino';
import { keyOf, keyString } from '../api/meta.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { classOf, messageOf } from '../errors.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Admission } from './admission.ts';
import { ApiError } from './api-error.ts';
import type { Client } from './client.ts';
import { watchDirectory } from './directory-watch.ts';
import { jsonEqual } from './json.ts';
import { applyManifest, getOrUndefined } from './manifest-apply.ts';
import { ManifestCache } from './manifest-cache.ts';
import type { Refreshed } from './manifest-cache.ts';
import { problemsOfRefusal } from './manifest-file.ts';
import type { LoadedObject } from './manifest-file.ts';
import { directoryProblem, duplicateProblems, manifestTypes, objectId } from './manifest-loader.ts';
import { compareProblems, FILE_START, formatProblem, problem } from './manifest-problem.ts';
import type { ManifestProblem } from './manifest-problem.ts';
import { describeObject, prune, pruneCandidates } from './manifest-prune.ts';
import type { LiveObject } from './manifest-prune.ts';
import { readManifest } from './manifest-read.ts';
import { isIgnoredName, isManifestName, listManifests } from './manifest-walk.ts';
import type { ManifestFile, ManifestListing } from './manifest-walk.ts';

/** How long things may take to come to rest, in ms. */
export interface SyncTimings {
  /** From the first hint to reading, so that a burst of events is one pass. */
  readonly debounceMs: number;
  /** For a file that reads as broken right after a change, before it is reported. */
  readonly settleMs: number;
  /** Between the two equal looks at the whole directory that a deletion takes. */
  readonly pruneMs: number;
  /** Between looks at everything, whatever the events say. */
  readonly resyncMs: number;
  /** Before trying again what failed, or what waits for a deletion. */
  readonly retryMs: number;
}

const TIMINGS: SyncTimings = { debounceMs: 15, settleMs: 150, pruneMs: 300, resyncMs: 60_000, retryMs: 500 };
const APPLIES_AT_ONCE = 256;
const LOGGED_ONE_BY_ONE = 50;

export interface DirectorySyncOptions {
  readonly directory: string;
  readonly client: Client;
  readonly types: readonly ResourceType[];
  readonly admission: Admission;
  readonly clock: Clock;
  readonly log: Logger;
  readonly defaultNamespace?: string;
  readonly timings?: Partial<SyncTimings>;
}

export interface DirectorySync {
  /** Resolves when everything in the directory has been read and applied once. */
  readonly ready: Promise<void>;
  /** What is wrong at the moment. */
  problems(): readonly ManifestProblem[];
  /** Calls back when the problems changed; returns a function that ends that. */
  onChange(callback: (problems: readonly ManifestProblem[]) => void): () => void;
  /** Looks at everything now; resolves when it is applied and, where that is due, pruned. */
  resync(): Promise<void>;
  stop(): Promise<void>;
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
  /** As the user named it, made absolute; the real path may change under a link. */
  readonly #directory: string;
  readonly #cache: ManifestCache;
  #isReady: () => void = () => undefined;

  #listing: ManifestListing = { files: [], unreadable: [], problems: [] };
  #pathOfReal = new Map<string, string>();
  /** Device and inode of the directory when it was last listed with files in it. */
  #identity = '';
  #watched = '';
  #closeWatch: (() => Promise<void>) | undefined;

  readonly #dirty = new Set<string>();
  #fullWanted = true;
  #hints = 0;
  #running: Promise<void> | undefined;
  #stopped = false;
  readonly #timers = new Map<string, () => void>();
  #waiters: { fullSeen: boolean; resolve: () => void }[] = [];

  /** The version at which an object was seen to agree with what its file says. */
  readonly #agreed = new Map<string, { readonly loaded: LoadedObject; readonly version: string | undefined }>();
  readonly #retry = new Set<string>();
  #retryDue = false;
  #lastLook: { readonly fingerprint: string; readonly at: number; readonly hints: number } | undefined;

  #rootProblem: ManifestProblem | undefined;
  readonly #applyProblems = new Map<string, readonly ManifestProblem[]>();
  #problems: readonly ManifestProblem[] = [];
  readonly #callbacks = new Set<(problems: readonly ManifestProblem[]) => void>();

  constructor(options: DirectorySyncOptions) {
    this.#options = options;
    this.#timings = { ...TIMINGS, ...options.timings };
    this.#types = manifestTypes(options.types);
    this.#directory = resolve(options.directory);
    const defaultNamespace = options.defaultNamespace ?? 'default';
    const context = { types: this.#types, admission: options.admission, defaultNamespace };
    this.#cache = new ManifestCache(context, options.clock, this.#timings.settleMs);
    this.ready = new Promise((resolve) => (this.#isReady = resolve));
  }

  start(): void {
    this.#run();
  }

  problems(): readonly ManifestProblem[] {
    return this.#problems;
  }

  onChange(callback: (problems: readonly ManifestProblem[]) => void): () => void {
    this.#callbacks.add(callback);
    return () => this.#callbacks.delete(callback);
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
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    await this.#closeWatch?.();
    await this.#running;
    for (const { resolve } of this.#waiters.splice(0)) resolve();
    this.#isReady();
  }

  /** One timer per name; the earlier one stays. */
  #later(name: string, ms: number, action: () => void): void {
    if (this.#stopped || this.#timers.has(name)) return;
    const cancel = this.#options.clock.after(ms, () => {
      this.#timers.delete(name);
      action();
      this.#run();
    });
    this.#timers.set(name, cancel);
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
      try {
        if (full) await this.#fullPass();
        else await this.#filePass(dirty);
      } catch (error) {
        if (this.#stopped) return;
        const message = `the resources cannot be brought up to date: ${messageOf(error)}`;
        this.#rootProblem = problem('GF_MANIFEST_APPLY', '.', FILE_START, message, 'it is tried again');
        this.#later('retry-all', this.#timings.retryMs * 4, () => this.#wantFull());
      }
      this.#publish();
    } while (this.#hasWork());
    if (this.#timers.has('settle') || this.#timers.has('prune')) return;
    const [done, waiting] = [this.#waiters.filter((w) => w.fullSeen), this.#waiters.filter((w) => !w.fullSeen)];
    this.#waiters = waiting;
    for (const { resolve } of done) resolve();
  }

  async #fullPass(): Promise<void> {
    const hints = this.#hints;
    let identity: string;
    try {
      const facts = await stat(this.#directory);
      identity = `${String(facts.dev)}:${String(facts.ino)}`;
      this.#listing = await listManifests(this.#directory);
    } catch (error) {
      this.#rootProblem = directoryProblem(error);
      this.#lastLook = undefined;
      this.#later('retry-all', this.#timings.retryMs * 2, () => this.#wantFull());
      this.#isReady();
      return;
    }
    this.#rootProblem = undefined;
    this.#pathOfReal = new Map(this.#listing.files.map(({ path, real }) => [real, path]));
    const refreshed = await this.#cache.refresh(this.#listing.files);
    const listed = new Set([...this.#listing.files.map(({ path }) => path), ...this.#listing.unreadable]);
    for (const path of refreshed.vanished) listed.delete(path);
    for (const { file } of [...this.#cache.files()]) {
      const hidden = this.#listing.unreadable.some((path) => file.path.startsWith(`${path}/`));
      if (!listed.has(file.path) && !hidden) this.#cache.delete(file.path);
    }
    this.#settle(refreshed);
    const live = await this.#listLive();
    const desired = this.#cache.index.all();
    for (const id of this.#agreed.keys()) if (!desired.has(id)) this.#agreed.delete(id);
    await this.#applyAll(desired, (id) => live.get(id)?.object);
    await this.#prune(live, identity, hints);
    if (this.#listing.files.length > 0) this.#identity = identity;
    this.#isReady();
    await this.#watch(identity);
    this.#later('resync', this.#timings.resyncMs, () => this.#wantFull());
  }

  async #filePass(reals: readonly string[]): Promise<void> {
    const files: ManifestFile[] = [];
    for (const real of reals) {
      const file = await this.#fileAt(real);
      if (file === undefined) this.#fullWanted = true;
      else files.push(file);
    }
    const refreshed = await this.#cache.refresh(files);
    const { index } = this.#cache;
    const touched = new Set([...refreshed.touched, ...this.#retry]);
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
      if (loaded === undefined) this.#retry.delete(id);
      else concerned.set(id, loaded);
    }
    const live = new Map<string, KubeObject>();
    for (const [id, { type, key }] of concerned) {
      const object = await getOrUndefined(this.#options.client, type, key);
      if (object !== undefined) live.set(id, object);
    }
    await this.#applyAll(concerned, (id) => live.get(id));
  }

  /** The manifest at a real path, if it is one that can be taken by itself. */
  async #fileAt(real: string): Promise<ManifestFile | undefined> {
    try {
      // Not a link, which may lead anywhere: those are resolved by the look at everything.
      if (!(await lstat(real)).isFile()) return undefined;
    } catch {
      // It is gone again: the next look at everything settles what that means.
      return undefined;
    }
    const known = this.#pathOfReal.get(real);
    if (known !== undefined) return { path: known, real };
    const path = relative(realpathOf(this.#directory), real).split(sep).join('/');
    const names = path.split('/');
    if (names.some(isIgnoredName) || !isManifestName(names.at(-1) ?? '')) return undefined;
    this.#pathOfReal.set(real, path);
    return { path, real };
  }

  #settle({ settling }: Refreshed): void {
    if (settling.length === 0) return;
    this.#later('settle', this.#timings.settleMs + 5, () => {
      for (const { real } of settling) this.#dirty.add(real);
    });
  }

  async #listLive(): Promise<Map<string, LiveObject>> {
    const live = new Map<string, LiveObject>();
    for (const type of this.#types) {
      let token: string | undefined;
      do {
        const page = await this.#options.client.list(type, {
          limit: 500,
          ...(token === undefined ? {} : { continue: token }),
        });
        for (const object of page.items) live.set(objectId(type, keyOf(object)), { type, object });
        token = page.continue;
      } while (token !== undefined && token !== '');
    }
    return live;
  }

  async #applyAll(
    objects: ReadonlyMap<string, LoadedObject>,
    live: (id: string) => KubeObject | undefined,
  ): Promise<void> {
    const due = [...objects].filter(([id, loaded]) => {
      const agreed = this.#agreed.get(id);
      const version = live(id)?.metadata.resourceVersion;
      return agreed?.loaded !== loaded || version === undefined || agreed.version !== version;
    });
    const many = due.length > LOGGED_ONE_BY_ONE;
    // Secrets, ConfigMaps and namespaces first: the others refer to them.
    due.sort(([, a], [, b]) => Number(a.type.group !== '') - Number(b.type.group !== ''));
    for (let from = 0; from < due.length && !this.#stopped; from += APPLIES_AT_ONCE) {
      await Promise.all(
        due
          .slice(from, from + APPLIES_AT_ONCE)
          .map(([id, loaded]) => this.#apply(id, loaded, live(id), many ? 'debug' : 'info')),
      );
    }
    if (many) this.#options.log.info({ objects: due.length }, 'applied from files');
    if (this.#retry.size > 0) this.#later('retry', this.#timings.retryMs, () => (this.#retryDue = true));
  }

  async #apply(id: string, loaded: LoadedObject, live: KubeObject | undefined, level: 'debug' | 'info'): Promise<void> {
    const { client, log } = this.#options;
    const fileChanged = this.#agreed.get(id)?.loaded !== loaded;
    this.#retry.delete(id);
    try {
      const outcome = await applyManifest(client, loaded, live, this.#directory, fileChanged);
      this.#applyProblems.delete(id);
      if (outcome.kind === 'deleting') {
        this.#retry.add(id);
        return;
      }
      this.#agreed.set(id, { loaded, version: outcome.object.metadata.resourceVersion });
      if (outcome.kind !== 'unchanged') {
        log[level](
          { kind: loaded.type.kind, object: keyString(loaded.key), file: loaded.file },
          `${outcome.kind} from file`,
        );
      }
    } catch (error) {
      if (this.#stopped) return;
      this.#agreed.delete(id);
      if (classOf(error) !== 'terminal') this.#retry.add(id);
      this.#applyProblems.set(id, await this.#refusal(loaded, error));
    }
  }

  async #refusal(loaded: LoadedObject, error: unknown): Promise<ManifestProblem[]> {
    if (error instanceof ApiError && error.reason === 'Invalid') {
      const cached = this.#cache.get(loaded.file);
      const read = cached === undefined ? undefined : await readManifest(loaded.file, cached.file.real);
      const text = read?.kind === 'text' && read.hash === cached?.hash ? read.text : undefined;
      return problemsOfRefusal(loaded, text, error);
    }
    const message = `${loaded.type.kind} ${keyString(loaded.key)} cannot be applied: ${messageOf(error)}`;
    const hint = classOf(error) === 'terminal' ? '' : 'it is tried again';
    return [problem('GF_MANIFEST_APPLY', loaded.file, loaded, message, hint)];
  }

  async #prune(live: Map<string, LiveObject>, identity: string, hints: number): Promise<void> {
    const { clock, client, log } = this.#options;
    const { files, unreadable } = this.#listing;
    const defines = (id: string): boolean => this.#cache.index.defines(id);
    const scope = { directory: this.#directory, defines, files: this.#cache.files(), unreadable };
    const candidates = pruneCandidates(live.values(), scope);
    const look = { fingerprint: this.#fingerprint(), at: clock.monotonic(), hints };
    const before = this.#lastLook;
    this.#lastLook = look;
    if (candidates.length === 0) return;
    if (files.length === 0 && this.#identity !== identity) {
      // An empty mount point looks like this. Only a directory whose files this process saw may become empty.
      const message = `the directory is empty, but ${String(candidates.length)} objects came from it; they are kept`;
      const hint = 'if that is meant, delete the objects, or put any manifest into the directory';
      this.#rootProblem = problem('GF_MANIFEST_DIRECTORY_EMPTY', '.', FILE_START, message, hint);
      return;
    }
    const settled =
      before?.fingerprint === look.fingerprint &&
      before.hints === this.#hints &&
      look.at - before.at >= this.#timings.pruneMs;
    if (!settled) {
      // Keep the older look as long as it still holds, or every event-free pass would start the wait anew.
      if (before?.fingerprint === look.fingerprint && before.hints === this.#hints) this.#lastLook = before;
      this.#later('prune', this.#timings.pruneMs + 5, () => this.#wantFull());
      return;
    }
    for (const candidate of candidates) {
      if (this.#stopped) return;
      const id = objectId(candidate.type, keyOf(candidate.object));
      this.#agreed.delete(id);
      if (await prune(client, candidate)) log.info(`deleted ${describeObject(candidate)}: no file has it any more`);
    }
  }

  #fingerprint(): string {
    return [...this.#cache.files()]
      .map(({ file, hash }) => `${file.path}\0${hash}`)
      .sort()
      .join('\n');
  }

  async #watch(identity: string): Promise<void> {
    if (this.#watched === identity || this.#stopped) return;
    // Another directory under the same name: the old watch looks at what was moved away.
    await this.#closeWatch?.();
    this.#watched = identity;
    this.#closeWatch = watchDirectory(realpathOf(this.#directory), {
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
        this.#options.log.warn(
          { error: messageOf(error) },
          `changes in ${this.#directory} are noticed late: the directory cannot be watched`,
        );
      },
    });
  }

  #publish(): void {
    const { index } = this.#cache;
    for (const id of this.#applyProblems.keys()) if (index.get(id) === undefined) this.#applyProblems.delete(id);
    const all = [
      ...(this.#rootProblem === undefined ? [] : [this.#rootProblem]),
      ...this.#listing.problems,
      ...this.#cache.problems(),
      ...index.duplicates().flatMap(duplicateProblems),
      ...[...this.#applyProblems.values()].flat(),
    ].sort(compareProblems);
    if (jsonEqual(all, this.#problems)) return;
    const known = new Set(this.#problems.map(formatProblem));
    this.#problems = all;
    for (const text of all.map(formatProblem)) if (!known.has(text)) this.#options.log.warn(text);
    for (const callback of this.#callbacks) callback(all);
  }
}

function realpathOf(directory: string): string {
  try {
    return realpathSync(directory);
  } catch {
    // It vanished meanwhile; the next look at everything reports that.
    return directory;
  }
}
