import type { Logger } from 'pino';
import { keyOf, keyString } from '../api/meta.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { classOf, messageOf } from '../errors.ts';
import { ApiError } from './api-error.ts';
import type { Client } from './client.ts';
import { applyManifest } from './manifest-apply.ts';
import type { ApplyOutcome, ManifestOwner } from './manifest-apply.ts';
import type { LoadedObject } from './manifest-file.ts';
import { objectId } from './manifest-loader.ts';
import { problem } from './manifest-problem.ts';
import type { ManifestProblem } from './manifest-problem.ts';
import { describeObject, prune } from './manifest-prune.ts';
import type { LiveObject } from './manifest-prune.ts';

const APPLIES_AT_ONCE = 256;
const LOGGED_ONE_BY_ONE = 50;

export interface ManifestApplierOptions {
  readonly client: Client;
  readonly owner: ManifestOwner;
  readonly log: Logger;
  /** The places in the files that a refusal of the API is about. */
  readonly explain: (loaded: LoadedObject, refusal: ApiError) => Promise<ManifestProblem[]>;
  /** Told of every object that was created or changed. */
  readonly onChanged?: (loaded: LoadedObject, object: KubeObject, how: 'created' | 'updated') => void;
}

type Live = (id: string) => KubeObject | undefined;

/** Brings the objects to what their manifests say, and remembers of which that is known already. */
export class ManifestApplier {
  readonly #options: ManifestApplierOptions;
  /** The version at which an object was seen to agree with its manifest. */
  readonly #agreed = new Map<string, { readonly loaded: LoadedObject; readonly version: string | undefined }>();
  readonly #retry = new Set<string>();
  readonly #problems = new Map<string, readonly ManifestProblem[]>();
  #stopped = false;

  constructor(options: ManifestApplierOptions) {
    this.#options = options;
  }

  /** Ids of objects that failed for now, or that have to be gone before they can be made again. */
  get retries(): ReadonlySet<string> {
    return this.#retry;
  }

  /** What the API refused, of what was applied last. */
  problems(): ManifestProblem[] {
    return [...this.#problems.values()].flat();
  }

  /** Ends at the next object. */
  stop(): void {
    this.#stopped = true;
  }

  /** Forgets an object that no manifest has any more. */
  forget(id: string): void {
    this.#agreed.delete(id);
    this.#retry.delete(id);
    this.#problems.delete(id);
  }

  /** Forgets all objects but these. */
  retain(wanted: ReadonlyMap<string, unknown>): void {
    for (const id of [...this.#agreed.keys(), ...this.#retry, ...this.#problems.keys()]) {
      if (!wanted.has(id)) this.forget(id);
    }
  }

  /** Applies those of the objects that are not known to agree with their manifests. */
  async apply(objects: ReadonlyMap<string, LoadedObject>, live: Live, revision?: string): Promise<number> {
    const due = this.#due(objects, live);
    const many = due.length > LOGGED_ONE_BY_ONE;
    await this.#inGroups(due, ([id, loaded]) => this.#apply(id, loaded, live(id), revision, many ? 'debug' : 'info'));
    if (many) this.#options.log.info({ objects: due.length }, 'applied from files');
    return due.length;
  }

  /**
   * Asks the API what it would say to those of the objects, and changes nothing. Answers with what it would refuse.
   *
   * @throws what the API throws when it cannot be asked at the moment.
   */
  async check(objects: ReadonlyMap<string, LoadedObject>, live: Live, revision: string): Promise<ManifestProblem[]> {
    const found: ManifestProblem[] = [];
    await this.#inGroups(this.#due(objects, live), async ([id, loaded]) => {
      try {
        await this.#write(loaded, live(id), revision, true);
      } catch (error) {
        if (classOf(error) !== 'terminal') throw error;
        found.push(...(await this.#refusal(loaded, error)));
      }
    });
    return found;
  }

  /** Deletes what no manifest has any more. Answers how much that was. */
  async prune(candidates: Iterable<LiveObject>, why: string): Promise<number> {
    const { client, log, owner } = this.#options;
    let deleted = 0;
    for (const candidate of candidates) {
      if (this.#stopped) break;
      if (!(await prune(client, candidate, owner.fieldManager))) continue;
      deleted++;
      log.info(`deleted ${describeObject(candidate)}: ${why}`);
    }
    return deleted;
  }

  #due(objects: ReadonlyMap<string, LoadedObject>, live: Live): [string, LoadedObject][] {
    const due = [...objects].filter(([id, loaded]) => {
      const agreed = this.#agreed.get(id);
      const version = live(id)?.metadata.resourceVersion;
      return agreed?.loaded !== loaded || version === undefined || agreed.version !== version;
    });
    // Secrets, ConfigMaps and namespaces first: the others refer to them.
    return due.sort(([, a], [, b]) => Number(a.type.group !== '') - Number(b.type.group !== ''));
  }

  async #inGroups<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
    for (let from = 0; from < items.length && !this.#stopped; from += APPLIES_AT_ONCE) {
      await Promise.all(items.slice(from, from + APPLIES_AT_ONCE).map(work));
    }
  }

  #write(
    loaded: LoadedObject,
    live: KubeObject | undefined,
    revision: string | undefined,
    dryRun: boolean,
  ): Promise<ApplyOutcome> {
    const { client, owner } = this.#options;
    return applyManifest(client, loaded, live, { owner, dryRun, ...(revision === undefined ? {} : { revision }) });
  }

  async #apply(
    id: string,
    loaded: LoadedObject,
    live: KubeObject | undefined,
    revision: string | undefined,
    level: 'debug' | 'info',
  ): Promise<void> {
    const { log, onChanged } = this.#options;
    this.#retry.delete(id);
    try {
      const outcome = await this.#write(loaded, live, revision, false);
      this.#problems.delete(id);
      if (outcome.kind === 'deleting') {
        this.#retry.add(id);
        return;
      }
      this.#agreed.set(id, { loaded, version: outcome.object.metadata.resourceVersion });
      if (outcome.kind === 'unchanged') return;
      onChanged?.(loaded, outcome.object, outcome.kind);
      log[level](
        { kind: loaded.type.kind, object: keyString(loaded.key), file: loaded.file },
        `${outcome.kind} from file`,
      );
    } catch (error) {
      if (this.#stopped) return;
      this.#agreed.delete(id);
      if (classOf(error) !== 'terminal') this.#retry.add(id);
      this.#problems.set(id, await this.#refusal(loaded, error));
    }
  }

  async #refusal(loaded: LoadedObject, error: unknown): Promise<ManifestProblem[]> {
    if (error instanceof ApiError && error.reason === 'Invalid') return this.#options.explain(loaded, error);
    const message = `${loaded.type.kind} ${keyString(loaded.key)} cannot be applied: ${messageOf(error)}`;
    const isNamespaceMissing = error instanceof ApiError && error.statusDetails.kind === 'namespaces';
    const remedy = isNamespaceMissing ? 'add a manifest of kind Namespace, or create it with kubectl' : '';
    const hint = classOf(error) === 'terminal' ? remedy : 'it is tried again';
    return [problem('GF_MANIFEST_APPLY', loaded.file, loaded, message, hint)];
  }
}

/** Each page is counted against what is left, which costs more than what it saves where both are in one process. */
const LIVE_PAGE = 5_000;

/** Every object of the kinds, by id. */
export async function listLive(client: Client, types: readonly ResourceType[]): Promise<Map<string, LiveObject>> {
  const live = new Map<string, LiveObject>();
  for (const type of types) {
    let token: string | undefined;
    do {
      const page = await client.list(type, { limit: LIVE_PAGE, ...(token === undefined ? {} : { continue: token }) });
      for (const object of page.items) live.set(objectId(type, keyOf(object)), { type, object });
      token = page.continue;
    } while (token !== undefined && token !== '');
  }
  return live;
}
