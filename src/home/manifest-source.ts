import type { ManifestProblem } from './manifest-problem.ts';

/** What keeps the resources in line with manifests that lie somewhere. */
export interface ManifestSource {
  /** Resolves when everything has been read and applied once, or has been found unfit for that. */
  readonly ready: Promise<void>;
  /** What is wrong at the moment. */
  problems(): readonly ManifestProblem[];
  /** Looks at everything now; resolves when it is applied and, where that is due, pruned. */
  resync(): Promise<void>;
  stop(): Promise<void>;
}
