import type { Clock } from '../runtime/clock.ts';
import { DesiredIndex } from './desired-index.ts';
import { emptyProblem, objectId } from './manifest-loader.ts';
import { parseManifest } from './manifest-file.ts';
import type { LoadedObject, ManifestContext } from './manifest-file.ts';
import type { ManifestProblem } from './manifest-problem.ts';
import { readManifest } from './manifest-read.ts';
import type { ThreadOutcome } from './manifest-thread.ts';
import { isWorthThreads, readInThreads } from './manifest-threads.ts';
import type { ManifestFile } from './manifest-walk.ts';
import type { PlainDocument } from './manifest-yaml.ts';

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

  /** Equal for equal files with equal content. */
  fingerprint(): string {
    return [...this.#files.values()]
      .map(({ file, hash }) => `${file.path}\0${hash}`)
      .sort()
      .join('\n');
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

  /** Reads files again. One call at a time. */
  async refresh(files: readonly ManifestFile[]): Promise<Refreshed> {
    const touched = new Set<string>();
    const vanished: string[] = [];
    const settling: ManifestFile[] = [];
    const take = (file: ManifestFile, outcome: ThreadOutcome): void => {
      const before = this.#files.get(file.path);
      const after = this.#next(file, before, outcome);
      if (after === undefined) {
        vanished.push(file.path);
        return;
      }
      if (after !== before) {
        for (const id of this.#set(file.path, before, after)) touched.add(id);
      }
      if (after.settlesAt !== undefined) settling.push(file);
    };
    const left = isWorthThreads(files.length) ? await this.#refreshInThreads(files, take) : files;
    for (let from = 0; from < left.length; from += READS_AT_ONCE) {
      const group = left.slice(from, from + READS_AT_ONCE);
      const outcomes = group.map(async (file) => take(file, await readManifest(file.path, file.real)));
      await Promise.all(outcomes);
    }
    return { touched, vanished, settling };
  }

  /** Answers with the files that could not be read there. */
  async #refreshInThreads(
    files: readonly ManifestFile[],
    take: (file: ManifestFile, outcome: ThreadOutcome) => void,
  ): Promise<readonly ManifestFile[]> {
    const tasks = files.map((file) => {
      const known = this.#files.get(file.path);
      return { file, hash: known?.broken === false ? known.hash : undefined };
    });
    const left = await readInThreads(tasks, ({ file }, outcome) => take(file, outcome));
    return left.map(({ file }) => file);
  }

  #next(file: ManifestFile, known: CachedFile | undefined, read: ThreadOutcome): CachedFile | undefined {
    const before = known?.file.real === file.real ? known : moved(file, known);
    if (read.kind === 'missing') return undefined;
    if (read.kind === 'same') return before;
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
    read: { readonly text: string; readonly hash: string; readonly documents?: string | undefined },
    settlesAt: number | undefined,
  ): CachedFile {
    const empty = read.text.trim() === '';
    const plain = read.documents === undefined ? undefined : (JSON.parse(read.documents) as PlainDocument[]);
    const { objects, problems } = parseManifest(file.path, read.text, this.#context, plain);
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
