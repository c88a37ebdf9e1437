import type { CachedFile } from './manifest-cache.ts';
import { objectId } from './manifest-loader.ts';
import type { LoadedObject } from './manifest-file.ts';

/**
 * Which objects the files define, kept up to date file by file: one saved file among thousands costs no more than its
 * own objects.
 */
export class DesiredIndex {
  readonly #definitions = new Map<string, LoadedObject[]>();
  /** How many broken files hold an object. */
  readonly #frozen = new Map<string, number>();
  readonly #repeated = new Set<string>();

  /** Takes one file's objects out and puts its new ones in. Answers the ids that this concerns. */
  replace(before: CachedFile | undefined, after: CachedFile | undefined): Set<string> {
    const touched = new Set<string>();
    for (const loaded of before?.objects ?? [])
      this.#setDefinitions(touched, loaded, (all) => all.filter((other) => other !== loaded));
    for (const loaded of after?.objects ?? []) this.#setDefinitions(touched, loaded, (all) => [...all, loaded]);
    for (const id of before?.frozen ?? []) this.#freeze(touched, id, -1);
    for (const id of after?.frozen ?? []) this.#freeze(touched, id, 1);
    return touched;
  }

  /** How many objects the files define, those of broken files included. */
  get size(): number {
    let size = this.#definitions.size;
    for (const id of this.#frozen.keys()) if (!this.#definitions.has(id)) size++;
    return size;
  }

  /** The object, if exactly one file defines it and no broken file holds it. */
  get(id: string): LoadedObject | undefined {
    const found = this.#definitions.get(id);
    return found?.length === 1 && !this.#frozen.has(id) ? found[0] : undefined;
  }

  /** Whether any file, broken ones included, has the object. */
  defines(id: string): boolean {
    return this.#definitions.has(id) || this.#frozen.has(id);
  }

  /** All objects for which `get` has an answer. */
  all(): Map<string, LoadedObject> {
    const all = new Map<string, LoadedObject>();
    for (const id of this.#definitions.keys()) {
      const loaded = this.get(id);
      if (loaded !== undefined) all.set(id, loaded);
    }
    return all;
  }

  duplicates(): LoadedObject[][] {
    return [...this.#repeated].map((id) => this.#definitions.get(id) ?? []);
  }

  #setDefinitions(
    touched: Set<string>,
    loaded: LoadedObject,
    change: (all: readonly LoadedObject[]) => LoadedObject[],
  ): void {
    const id = objectId(loaded.type, loaded.key);
    const all = change(this.#definitions.get(id) ?? []);
    touched.add(id);
    if (all.length === 0) this.#definitions.delete(id);
    else this.#definitions.set(id, all);
    if (all.length > 1) this.#repeated.add(id);
    else this.#repeated.delete(id);
  }

  #freeze(touched: Set<string>, id: string, by: number): void {
    const count = (this.#frozen.get(id) ?? 0) + by;
    touched.add(id);
    if (count === 0) this.#frozen.delete(id);
    else this.#frozen.set(id, count);
  }
}
