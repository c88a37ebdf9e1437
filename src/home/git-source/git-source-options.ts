import type { Logger } from 'pino';
import type { ResourceType } from '../../api/meta.ts';
import type { GitRepository } from '../../git/repository.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { EventRecorder } from '../../runtime/event-recorder.ts';
import type { Admission } from '../admission.ts';
import type { Client } from '../client.ts';

/** All in ms. */
export interface GitSourceTimings {
  /** Between looks at the remote. */
  readonly intervalMs: number;
  /** How long the start waits for the remote before it goes on with the commit in use. */
  readonly patienceMs: number;
  /** Between looks at all objects, for what somebody else changed. */
  readonly resyncMs: number;
  /** Before trying again what the API refused for now. */
  readonly retryMs: number;
  /** How old `lastFetchedAt` may become while nothing else changes. */
  readonly fetchedAtMs: number;
}

export const GIT_SOURCE_TIMINGS: GitSourceTimings = {
  intervalMs: 30_000,
  patienceMs: 10_000,
  resyncMs: 60_000,
  retryMs: 500,
  fetchedAtMs: 300_000,
};

export interface GitSourceOptions {
  readonly repository: GitRepository;
  /** The repository as it is shown, without credentials. */
  readonly url: string;
  readonly branch: string;
  /** Below the root of the repository; empty for the root itself. */
  readonly path: string;
  /** Of the `Source` object. */
  readonly name: string;
  readonly namespace: string;
  /** As the user wrote it, for the object. */
  readonly interval: string;
  readonly allowRewrittenHistory: boolean;
  /** Where the commit in use is remembered. */
  readonly stateDirectory: string;
  readonly client: Client;
  readonly types: readonly ResourceType[];
  readonly admission: Admission;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly recorder: EventRecorder;
  readonly log: Logger;
  readonly timings?: Partial<GitSourceTimings>;
}
