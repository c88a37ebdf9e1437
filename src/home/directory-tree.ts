import { realpathSync } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import { relative, sep } from 'node:path';
import { isIgnoredName, isManifestName, listManifests } from './manifest-walk.ts';
import type { ManifestFile, ManifestListing } from './manifest-walk.ts';

/** Which manifests a directory has, as it was when last looked at. */
export class DirectoryTree {
  readonly #directory: string;
  #listing: ManifestListing = { files: [], unreadable: [], problems: [] };
  #identity = '';
  #pathOfReal = new Map<string, string>();

  /** @param directory as the user named it, made absolute; the real path may change under a link. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  get listing(): ManifestListing {
    return this.#listing;
  }

  /** Device and inode: another directory under the same name has another one. */
  get identity(): string {
    return this.#identity;
  }

  /** The real path, as far as there is one. */
  get root(): string {
    try {
      return realpathSync(this.#directory);
    } catch {
      // It vanished meanwhile; the next look at everything reports that.
      return this.#directory;
    }
  }

  /** Looks at everything. @throws when the directory cannot be listed; what was known stays. */
  async list(): Promise<void> {
    const facts = await stat(this.#directory);
    this.#listing = await listManifests(this.#directory);
    this.#identity = `${String(facts.dev)}:${String(facts.ino)}`;
    this.#pathOfReal = new Map(this.#listing.files.map(({ path, real }) => [real, path]));
  }

  /** Whether the path is, or lies below, what could not be looked into. */
  hides(path: string): boolean {
    return this.#listing.unreadable.some((unreadable) => path === unreadable || path.startsWith(`${unreadable}/`));
  }

  /** The manifest at a real path, if it is one that can be taken by itself. */
  async fileAt(real: string): Promise<ManifestFile | undefined> {
    try {
      // Not a link, which may lead anywhere: those are resolved by the look at everything.
      if (!(await lstat(real)).isFile()) return undefined;
    } catch {
      // It is gone again: the next look at everything settles what that means.
      return undefined;
    }
    const known = this.#pathOfReal.get(real);
    if (known !== undefined) return { path: known, real };
    const path = relative(this.root, real).split(sep).join('/');
    const names = path.split('/');
    if (names.some(isIgnoredName) || !isManifestName(names.at(-1) ?? '')) return undefined;
    this.#pathOfReal.set(real, path);
    return { path, real };
  }
}
