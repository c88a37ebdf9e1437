import type { Logger } from 'pino';
import { jsonEqual } from './json.ts';
import { compareProblems, formatProblem } from './manifest-problem.ts';
import type { ManifestProblem } from './manifest-problem.ts';

export interface Counts {
  readonly files: number;
  readonly objects: number;
}

/** What was found in a directory the last time: told to who wants to know when it differs. */
export class Findings {
  readonly #log: Logger;
  readonly #callbacks = new Set<() => void>();
  #problems: readonly ManifestProblem[] = [];
  #counts: Counts = { files: 0, objects: 0 };

  constructor(log: Logger) {
    this.#log = log;
  }

  /** By file and place. */
  get problems(): readonly ManifestProblem[] {
    return this.#problems;
  }

  get counts(): Counts {
    return this.#counts;
  }

  /** Returns a function that ends the calls. */
  onChange(callback: () => void): () => void {
    this.#callbacks.add(callback);
    return () => this.#callbacks.delete(callback);
  }

  /** New problems are logged as well. */
  set(found: readonly ManifestProblem[], counts: Counts): void {
    const problems = [...found].sort(compareProblems);
    if (jsonEqual(problems, this.#problems) && jsonEqual(counts, this.#counts)) return;
    const known = new Set(this.#problems.map(formatProblem));
    this.#problems = problems;
    this.#counts = counts;
    for (const text of problems.map(formatProblem)) if (!known.has(text)) this.#log.warn(text);
    for (const callback of this.#callbacks) callback();
  }
}
