import { join } from 'node:path';
import type { KubeObject, ResourceType } from '../../api/meta.ts';
import type { SourceSpec } from '../../api/resources.ts';
import { GridferryError, messageOf } from '../../errors.ts';
import { sleep } from '../../runtime/clock.ts';
import type { ApiError } from '../api-error.ts';
import { listLive, ManifestApplier } from '../manifest-applier.ts';
import type { LoadedObject, ManifestContext } from '../manifest-file.ts';
import { manifestTypes, objectId } from '../manifest-loader.ts';
import { FILE_START, formatProblem, problem } from '../manifest-problem.ts';
import type { ManifestProblem } from '../manifest-problem.ts';
import { pruneCandidates } from '../manifest-prune.ts';
import type { LiveObject } from '../manifest-prune.ts';
import type { ManifestSource } from '../manifest-source.ts';
import { SourceObject } from '../source-object.ts';
import { readDesiredCommit, writeDesiredCommit } from './desired-commit.ts';
import { Fetcher } from './fetcher.ts';
import { GIT_SOURCE_TIMINGS } from './git-source-options.ts';
import type { GitSourceOptions, GitSourceTimings } from './git-source-options.ts';
import { gitStatus, shortRevision } from './git-status.ts';
import type { Contact, Refusal } from './git-status.ts';
import { errorsOf, invalidCommit, isRefusal, judgeCommit } from './judge-commit.ts';
import { explainRefusal, loadCommit } from './load-commit.ts';
import type { LoadedCommit } from './load-commit.ts';

const COMPONENT = 'git-source';

/**
 * Makes the resources follow a branch: each commit whole, or not at all. A commit is read and checked completely, against
 * the API as well, before it is decided on, which is a durable step; from then on it is the one in use, through crashes
 * and drift, until a better one has been decided on.
 */
export function startGitSource(options: GitSourceOptions): ManifestSource {
  const source = new GitSource(options);
  source.start();
  return source;
}

class GitSource implements ManifestSource {
  readonly ready: Promise<void>;
  readonly #options: GitSourceOptions;
  readonly #timings: GitSourceTimings;
  readonly #types: readonly ResourceType[];
  readonly #context: ManifestContext;
  /** What objects carry that came from here. */
  readonly #identity: string;
  readonly #stateFile: string;
  readonly #object: SourceObject;
  readonly #applier: ManifestApplier;
  readonly #fetcher: Fetcher;
  readonly #stop = new AbortController();
  #isReady: () => void = () => undefined;
  #running: Promise<void> = Promise.resolve();
  #wake: () => void = () => undefined;
  #waiters: { readonly round: number; readonly resolve: () => void }[] = [];

  /** The id of the commit in use, which may not be loaded yet. */
  #decided: string | undefined;
  #desired: LoadedCommit | undefined;
  /** The commit that was looked at last, and may not be in use. */
  #checked: LoadedCommit | undefined;
  #applied: string | undefined;
  #attempted: string | undefined;
  #refusal: Refusal | undefined;
  /** What keeps all of it from going on. */
  #trouble: ManifestProblem | undefined;
  #contact: Contact = { kind: 'none' };
  #fetchedAtMs: number | undefined;
  #shownFetchedAtMs: number | undefined;
  /** What had been asked for when the question under way began. */
  #requested: string | undefined;
  /** What is answered once its consequences have been drawn. */
  #toAnswer: string | undefined;
  #handledRequest: string | undefined;
  #applyDue = 0;
  #changed = 0;

  constructor(options: GitSourceOptions) {
    const { client, log, clock, random, repository, url, branch, path, name, namespace, interval } = options;
    this.#options = options;
    this.#timings = { ...GIT_SOURCE_TIMINGS, ...options.timings };
    this.#types = manifestTypes(options.types);
    this.#context = { types: this.#types, admission: options.admission, defaultNamespace: namespace };
    this.#identity = `${url}#${branch}:${path}`;
    this.#stateFile = join(options.stateDirectory, 'desired.json');
    const spec: SourceSpec = { type: 'Git', url, branch, interval, ...(path === '' ? {} : { path }) };
    const onRequest = (): void => this.#lookNow();
    this.#object = new SourceObject({ client, key: { namespace, name }, spec, log, onRequest });
    this.#applier = new ManifestApplier({
      client,
      log,
      owner: { fieldManager: 'gridferry-git', source: this.#identity },
      explain: (loaded, refusal) => this.#explain(loaded, refusal),
      onChanged: (loaded, object, how) => this.#tellChange(loaded, object, how),
    });
    this.#fetcher = new Fetcher({
      fetch: () => repository.fetch(this.#decided),
      clock,
      random,
      intervalMs: this.#timings.intervalMs,
      onOutcome: () => this.#wake(),
    });
    this.ready = new Promise((resolve) => (this.#isReady = resolve));
  }

  start(): void {
    this.#running = this.#run();
  }

  problems(): readonly ManifestProblem[] {
    if (this.#contact.kind !== 'failed') return this.#failures();
    const { error } = this.#contact;
    const code = error instanceof GridferryError ? (error.code as ManifestProblem['code']) : 'GF_GIT_UNREACHABLE';
    // With a commit in use, the work goes on without the remote.
    const severity = this.#desired === undefined ? 'error' : 'warning';
    return [problem(code, '.', FILE_START, messageOf(error), '', { severity }), ...this.#failures()];
  }

  resync(): Promise<void> {
    if (this.#stop.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters.push({ round: this.#fetcher.rounds + 1, resolve });
      this.#lookNow();
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#applier.stop();
    this.#options.repository.close();
    this.#wake();
    await this.#running;
    await this.#fetcher.running;
    await this.#object.stop();
    for (const { resolve } of this.#waiters.splice(0)) resolve();
    this.#isReady();
  }

  #lookNow(): void {
    this.#fetcher.hurry();
    this.#wake();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!(await this.#guarded(() => this.#begin())) && !signal.aborted) {
      this.#isReady();
      await this.#pause(this.#timings.retryMs);
    }
    for (let isFirst = true; !signal.aborted; isFirst = false) {
      const requested = this.#object.request;
      if (this.#fetcher.askIfDue()) this.#requested = requested;
      if (isFirst) await Promise.race([this.#fetcher.running, this.#pause(this.#timings.patienceMs)]);
      if (!(await this.#guarded(() => this.#consider()))) this.#fetcher.hurry();
      await this.#guarded(() => this.#bring());
      this.#handledRequest = this.#toAnswer ?? this.#handledRequest;
      await this.#guarded(() => this.#report());
      this.#answerWaiters();
      this.#isReady();
      await this.#pause(Math.min(this.#fetcher.waitMs, this.#applyWaitMs()));
    }
  }

  #now(): number {
    return this.#options.clock.monotonic();
  }

  /** Ms until the objects are to be looked at. Without a commit there is nothing to look for, but a failure to retry. */
  #applyWaitMs(): number {
    const wait = Math.max(0, this.#applyDue - this.#now());
    return wait === 0 && this.#desired === undefined ? Infinity : wait;
  }

  async #pause(ms: number): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    // To be woken is how most pauses end.
    await sleep(this.#options.clock, ms, AbortSignal.any([woken.signal, this.#stop.signal])).catch(() => undefined);
  }

  /** Nothing that goes wrong may end the loop: it is told, and tried again. Answers whether all went well. */
  async #guarded(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (this.#stop.signal.aborted) return false;
      if (isCorrupt(error) && this.#fetcher.idle) this.#options.repository.reset();
      const message = `the resources cannot be brought up to date: ${messageOf(error)}`;
      if (message !== this.#trouble?.message) this.#options.log.warn(message);
      this.#trouble = problem('GF_MANIFEST_APPLY', '.', FILE_START, message, 'it is tried again');
      this.#applyDue = this.#now() + this.#timings.retryMs * 4;
      await this.#pause(this.#timings.retryMs);
      return false;
    }
  }

  /** Takes up what an earlier process decided, and how far it came. */
  async #begin(): Promise<void> {
    await this.#object.start();
    const before = readDesiredCommit(this.#stateFile);
    // Another repository, branch or path is the user's decision, and begins anew.
    if (before?.source !== this.#identity) return;
    this.#decided = before.commit;
    const { status } = this.#object.object;
    this.#applied = status?.lastAppliedRevision;
    this.#attempted = status?.lastAttemptedRevision;
    this.#handledRequest = status?.lastHandledReconcileAt;
    if (status?.lastFetchedAt !== undefined) this.#fetchedAtMs = Date.parse(status.lastFetchedAt);
    this.#shownFetchedAtMs = this.#fetchedAtMs;
    await this.#reload();
  }

  /** Reads the commit in use, unless it is not here: then the next fetch brings it. */
  async #reload(): Promise<void> {
    const { repository, path, branch } = this.#options;
    if (this.#decided === undefined || this.#desired !== undefined) return;
    if (!(await repository.has(this.#decided))) return;
    const loaded = await loadCommit(repository, this.#decided, path, this.#context, []);
    const errors = errorsOf(loaded);
    if (errors.length === 0) this.#desired = loaded;
    // It was good for the Gridferry of before, and is frozen for this one.
    else this.#refuse(invalidCommit(branch, loaded.commit, errors));
  }

  /** Decides what follows from the answer of the remote. */
  async #consider(): Promise<void> {
    const outcome = this.#fetcher.take();
    if (outcome === undefined || this.#stop.signal.aborted) return;
    if (outcome.kind === 'failed') this.#lostContact(outcome.error);
    else {
      if (this.#contact.kind === 'failed') this.#tell('Normal', 'FetchRecovered', 'the remote answers again');
      this.#contact = { kind: 'ok' };
      this.#fetchedAtMs = this.#options.clock.now();
      await this.#judge(outcome.commit);
    }
    this.#toAnswer = this.#requested;
  }

  #lostContact(error: unknown): void {
    const { log, clock, repository } = this.#options;
    const before = this.#contact;
    const sinceMs = before.kind === 'failed' ? before.sinceMs : clock.now();
    this.#contact = { kind: 'failed', sinceMs, error };
    if (isCorrupt(error)) repository.reset();
    if (before.kind === 'failed' && messageOf(before.error) === messageOf(error)) return;
    log.warn(messageOf(error));
    this.#tell('Warning', 'FetchFailed', messageOf(error));
  }

  async #judge(commit: string): Promise<void> {
    const { repository, client, branch, path, name, allowRewrittenHistory } = this.#options;
    await this.#reload();
    this.#attempted = commit;
    if (commit === this.#desired?.commit) {
      this.#refusal = undefined;
      return;
    }
    const mayReplace = allowRewrittenHistory || this.#object.accepted === commit;
    const mustContain = mayReplace ? undefined : this.#decided;
    const known = [this.#desired, this.#checked].filter((loaded) => loaded !== undefined);
    const judged = await judgeCommit(
      { commit, mustContain, branch, name, path, identity: this.#identity },
      {
        repository,
        context: this.#context,
        known,
        listLive: () => listLive(client, this.#types),
        onLoaded: (loaded) => (this.#checked = loaded),
        check: (...args) => this.#applier.check(...args),
      },
    );
    if (this.#stop.signal.aborted) return;
    if (isRefusal(judged)) this.#refuse(judged);
    else await this.#decide(judged);
  }

  #refuse(refusal: Refusal): void {
    const before = this.#refusal;
    this.#refusal = refusal;
    this.#trouble = undefined;
    if (before?.message === refusal.message) return;
    const { commit, reason, message, problems } = refusal;
    this.#options.log.warn({ commit, problems: problems.map(formatProblem) }, message);
    this.#tell('Warning', reason, message);
  }

  /** From here on the commit is the one in use, whatever happens to this process. */
  async #decide(loaded: LoadedCommit): Promise<void> {
    const { commit } = loaded;
    await this.#options.repository.keep(commit);
    writeDesiredCommit(this.#stateFile, { source: this.#identity, commit });
    this.#decided = commit;
    this.#desired = loaded;
    this.#checked = undefined;
    this.#refusal = undefined;
    this.#trouble = undefined;
    this.#applyDue = 0;
  }

  /** Makes the objects what the commit in use says. */
  async #bring(): Promise<void> {
    const desired = this.#desired;
    if (desired === undefined || this.#now() < this.#applyDue) return;
    const isNews = this.#applied !== desired.commit;
    if (isNews) await this.#report();
    const live = await listLive(this.#options.client, this.#types);
    this.#applier.retain(desired.objects);
    await this.#applier.apply(desired.objects, (id) => live.get(id)?.object, desired.commit);
    const pruned = await this.#prune(live, desired);
    if (this.#stop.signal.aborted) return;
    this.#trouble = undefined;
    const complete = this.#applier.retries.size === 0 && this.#applier.problems().length === 0;
    this.#applyDue = this.#now() + (complete ? this.#timings.resyncMs : this.#timings.retryMs);
    if (!complete || !isNews) return;
    this.#applied = desired.commit;
    const revision = shortRevision(this.#options.branch, desired.commit);
    const counts = `${String(this.#changed)} changed, ${String(pruned)} deleted, ${String(desired.objects.size)} in all`;
    this.#changed = 0;
    this.#options.log.info({ commit: desired.commit }, `applied ${revision}: ${counts}`);
    this.#tell('Normal', 'Applied', `applied ${revision}: ${counts}`);
  }

  #prune(live: ReadonlyMap<string, LiveObject>, desired: LoadedCommit): Promise<number> {
    const defines = (id: string): boolean => desired.objects.has(id);
    const scope = { directory: this.#identity, defines, files: [], unreadable: [] };
    return this.#applier.prune(pruneCandidates(live.values(), scope), `commit ${desired.commit} has it no more`);
  }

  #failures(): ManifestProblem[] {
    const found = this.#refusal?.problems ?? this.#applier.problems();
    return this.#trouble === undefined ? [...found] : [this.#trouble, ...found];
  }

  async #report(): Promise<void> {
    const { branch, clock } = this.#options;
    const age = (this.#fetchedAtMs ?? 0) - (this.#shownFetchedAtMs ?? 0);
    // Told at once when it begins to matter, and now and then before: each time is a write that everybody watches.
    if (this.#contact.kind === 'failed' || age >= this.#timings.fetchedAtMs) this.#shownFetchedAtMs = this.#fetchedAtMs;
    const desired = this.#desired;
    const failures = this.#refusal === undefined ? this.#failures() : [];
    const state = {
      branch,
      contact: this.#contact,
      fetchedAtMs: this.#shownFetchedAtMs,
      attempted: this.#attempted,
      refusal: this.#refusal,
      desired: desired && { commit: desired.commit, objects: desired.objects.size, files: desired.files.size },
      applied: this.#applied,
      failures,
      waitingFor: failures.length === 0 ? this.#applier.retries.size : 0,
      handledRequest: this.#handledRequest,
    };
    const { object } = this.#object;
    await this.#object.write((generation) => gitStatus(state, object.status, generation, clock.now()));
  }

  #answerWaiters(): void {
    if (!this.#fetcher.idle) return;
    const isDone = (waiter: { readonly round: number }): boolean => waiter.round <= this.#fetcher.rounds;
    for (const waiter of this.#waiters.filter(isDone)) waiter.resolve();
    this.#waiters = this.#waiters.filter((waiter) => !isDone(waiter));
  }

  async #explain(loaded: LoadedObject, refusal: ApiError): Promise<ManifestProblem[]> {
    const id = objectId(loaded.type, loaded.key);
    const commit = [this.#checked, this.#desired].find((each) => each?.objects.get(id) === loaded);
    return explainRefusal(this.#options.repository, commit, loaded, refusal);
  }

  #tell(type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#options.recorder.record({ object: this.#object.object, type, reason, message, component: COMPONENT });
  }

  #tellChange(loaded: LoadedObject, object: KubeObject, how: 'created' | 'updated'): void {
    this.#changed++;
    const revision = shortRevision(this.#options.branch, this.#desired?.commit ?? '');
    const message = `${how} from ${loaded.file} of ${revision}`;
    this.#options.recorder.record({ object, type: 'Normal', reason: 'Applied', message, component: COMPONENT });
  }
}

function isCorrupt(error: unknown): boolean {
  return error instanceof GridferryError && error.code === 'GF_GIT_CORRUPT';
}
