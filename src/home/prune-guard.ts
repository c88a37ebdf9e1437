/** What one look at the whole directory saw. */
export interface Look {
  /** Which directory it was. */
  readonly identity: string;
  readonly files: number;
  /** Equal for equal content. */
  readonly fingerprint: () => string;
  /** How many hints at changes had come before it began. */
  readonly hints: number;
  /** Monotonic ms. */
  readonly at: number;
}

type Remembered = Omit<Look, 'fingerprint'> & { readonly fingerprint: string };

/**
 * Decides whether what no file has any more may be deleted. That takes two equal looks at the whole directory with
 * nothing in between, so that a checkout in progress deletes nothing, and a directory whose files were seen.
 */
export class PruneGuard {
  readonly #restMs: number;
  #last: Remembered | undefined;
  /** The directory that was last seen with files in it. */
  #populated = '';

  constructor(restMs: number) {
    this.#restMs = restMs;
  }

  /** The directory could not be looked at. */
  forget(): void {
    this.#last = undefined;
  }

  /**
   * @param hints how many have come by now.
   * @returns `empty`: it looks like a mount point without its mount; `later`: look again.
   */
  judge(look: Look, hints: number, candidates: number): 'go' | 'later' | 'empty' {
    const before = this.#last;
    this.#last = undefined;
    if (candidates === 0) {
      if (look.files > 0) this.#populated = look.identity;
      return 'go';
    }
    const { files, identity } = look;
    // An empty mount point looks like this. Only a directory whose files this process saw may become empty.
    if (files === 0 && this.#populated !== identity) return 'empty';
    if (files > 0) this.#populated = identity;
    const now = { ...look, fingerprint: look.fingerprint() };
    const holds = before?.fingerprint === now.fingerprint && before.hints === hints;
    // The older look stays as long as it holds, or every event-free pass would start the wait anew.
    this.#last = holds ? before : now;
    return holds && now.at - before.at >= this.#restMs ? 'go' : 'later';
  }
}
