import type { Clock } from '../runtime/clock.ts';
import { DesiredIndex } from './desired-index.ts';
import { emptyProblem, objectId } from './manifest-loader.ts';
import { parseManifest } from './manifest-file.ts';
import type { LoadedObject, ManifestContext } from './manifest-file.ts';
import type { ManifestProblem } from './manifest-problem.ts';
import { readManifest } from './manifest-read.ts';
import type { ManifestFile } from './manifest-walk.ts';

const READS_AT_ONCE = 16;

/** What is known of one file. A file that is broken says nothing about its objects: they are frozen. */
export interface CachedFile {
  readonly file: ManifestFile;
  /** Of the bytes last read; empty when they could not be read. */
  readonly hash: string;
  readonly broken: boolean;
  /** Empty for a broken file. */
  readonly objects: readonly LoadedObject[];
  /** Ids of the objects that a broken file is known to have held, or to hold. */
  readonly frozen: ReadonlySet<string>;
  readonly problems: readonly ManifestProblem[];
  /** Of a broken file, as far as it could be read: an object that it mentions is not pruned. */
  readonly text: string | undefined;
  /** Set while a broken file may just be half written: from then on it is read again before anybody is told. */
  readonly settlesAt: number | undefined;
}

export interface Refreshed {
  /** Ids of the objects that the files that changed define or held. */
  readonly touched: ReadonlySet<string>;
  readonly vanished: readonly string[];
  /** Files to read again once they had time to be written to the end. */
  readonly settling: readonly ManifestFile[];
}

/** The files of a directory by content: what has not changed is not parsed again. */
export class ManifestCache {
  /** What the files say, taken together. */
  readonly index = new DesiredIndex();
  readonly #files = new Map<string, CachedFile>();
  readonly #withProblems = new Set<string>();
  readonly #context: ManifestContext;
  readonly #clock: Clock;
  readonly #settleMs: number;

  constructor(context: ManifestContext, clock: Clock, settleMs: number) {
    this.#context = context;
    this.#clock = clock;
    this.#settleMs = settleMs;
  }

  get(path: string): CachedFile | undefined {
    return this.#files.get(path);
  }

  files(): Iterable<CachedFile> {
    return this.#files.values();
  }

  problems(): ManifestProblem[] {
    return [...this.#withProblems].flatMap((path) => this.#files.get(path)?.problems ?? []);
  }

  delete(path: string): void {
    this.index.replace(this.#files.get(path), undefined);
    this.#files.delete(path);
    this.#withProblems.delete(path);
  }

  #set(path: string, before: CachedFile | undefined, after: CachedFile): ReadonlySet<string> {
    this.#files.set(path, after);
    if (after.problems.length > 0) this.#withProblems.add(path);
    else this.#withProblems.delete(path);
    return this.index.replace(before, after);
  }

  async refresh(files: readonly ManifestFile[]): Promise<Refreshed> {
    const touched = new Set<string>();
    const vanished: string[] = [];
    const settling: ManifestFile[] = [];
    let next = 0;
    const work = async (): Promise<void> => {
      for (let file = files[next++]; file !== undefined; file = files[next++]) {
        const before = this.#files.get(file.path);
        const after = await this.#read(file, before?.file.real === file.real ? before : moved(file, before));
        if (after === undefined) {
          vanished.push(file.path);
          continue;
        }
        if (after !== before) {
          for (const id of this.#set(file.path, before, after)) touched.add(id);
        }
        if (after.settlesAt !== undefined) settling.push(file);
      }
    };
    await Promise.all(Array.from({ length: Math.min(READS_AT_ONCE, files.length) }, work));
    return { touched, vanished, settling };
  }

  async #read(file: ManifestFile, before: CachedFile | undefined): Promise<CachedFile | undefined> {
    const read = await readManifest(file.path, file.real);
    if (read.kind === 'missing') return undefined;
    if (read.kind === 'problem') return this.#broken(file, before, '', [], [read.problem], undefined, undefined);
    const now = this.#clock.monotonic();
    const settled = before?.settlesAt === undefined || now >= before.settlesAt;
    if (before !== undefined && before.hash === read.hash && (!before.broken || settled)) {
      return before.settlesAt === undefined ? before : this.#parse(file, before, read, undefined);
    }
    if (before !== undefined && before.hash === read.hash) return before;
    // An old file that is broken at the start was not cut short by somebody who is still writing.
    const recent = before !== undefined || this.#clock.now() - read.modifiedMs < this.#settleMs * 4;
    return this.#parse(file, before, read, recent ? now + this.#settleMs : undefined);
  }

  #parse(
    file: ManifestFile,
    before: CachedFile | undefined,
    read: { readonly text: string; readonly hash: string },
    settlesAt: number | undefined,
  ): CachedFile {
    const empty = read.text.trim() === '';
    const { objects, problems } = parseManifest(file.path, read.text, this.#context);
    if (empty || problems.some(({ severity }) => severity === 'error')) {
      const found = empty ? [emptyProblem(file.path)] : problems;
      return this.#broken(file, before, read.hash, objects, found, read.text, settlesAt);
    }
    const frozen = new Set<string>();
    return { file, hash: read.hash, broken: false, objects, frozen, problems, text: undefined, settlesAt: undefined };
  }

  #broken(
    file: ManifestFile,
    before: CachedFile | undefined,
    hash: string,
    objects: readonly LoadedObject[],
    problems: readonly ManifestProblem[],
    text: string | undefined,
    settlesAt: number | undefined,
  ): CachedFile {
    const held = [...(before?.objects ?? []), ...objects].map(({ type, key }) => objectId(type, key));
    const frozen = new Set([...(before?.frozen ?? []), ...held]);
    const shown = settlesAt === undefined ? problems : (before?.problems ?? []);
    return { file, hash, broken: true, objects: [], frozen, problems: shown, text, settlesAt };
  }
}

/** In a Kubernetes volume every swap gives each file a new real path. */
function moved(file: ManifestFile, before: CachedFile | undefined): CachedFile | undefined {
  return before === undefined ? undefined : { ...before, file };
}
