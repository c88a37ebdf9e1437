import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { API_VERSION, keyOf } from '../api/meta.ts';
import type { ObjectKey } from '../api/meta.ts';
import { Sources } from '../api/resources.ts';
import type { Source, SourceSpec, SourceStatus } from '../api/resources.ts';
import { messageOf } from '../errors.ts';
import { isNewerVersion } from '../runtime/change.ts';
import { writeStatus } from '../runtime/status-writer.ts';
import { isReason } from './api-error.ts';
import type { Client } from './client.ts';
import { jsonEqual } from './json.ts';
import { ACCEPT_ANNOTATION, RECONCILE_ANNOTATION } from './manifest-annotations.ts';
import { getOrUndefined } from './manifest-apply.ts';

export interface SourceObjectOptions {
  readonly client: Client;
  readonly key: ObjectKey;
  readonly spec: SourceSpec;
  readonly log: Logger;
  /** Called when somebody asks for a look at once, or accepts a commit. */
  readonly onRequest: () => void;
}

const FIELD_MANAGER = 'gridferry-source';
const WATCH_AGAIN_MS = 1_000;

/** The `Source` that stands for what this process reads its manifests from: the only one there is in its home. */
export class SourceObject {
  readonly #options: SourceObjectOptions;
  readonly #stop = new AbortController();
  #current: Source | undefined;
  #watching: Promise<void> | undefined;

  constructor(options: SourceObjectOptions) {
    this.#options = options;
  }

  /** The object as it was last seen; for Events about it. */
  get object(): Source {
    const { key, spec } = this.#options;
    return this.#current ?? { apiVersion: API_VERSION, kind: 'Source', metadata: { ...key }, spec };
  }

  /** What was asked for last and is not yet answered in the status. */
  get request(): string | undefined {
    const value = this.object.metadata.annotations?.[RECONCILE_ANNOTATION];
    return value === this.object.status?.lastHandledReconcileAt ? undefined : value;
  }

  /** The commit that the user takes although it does not contain the one before. */
  get accepted(): string | undefined {
    return this.object.metadata.annotations?.[ACCEPT_ANNOTATION];
  }

  /** Makes the object, or brings its spec up to date, and removes those of earlier runs with another source. */
  async start(): Promise<void> {
    const { client, key } = this.#options;
    for (const other of (await client.list(Sources)).items) {
      const { namespace, name } = keyOf(other);
      if (namespace !== key.namespace || name !== key.name) await client.delete(Sources, keyOf(other));
    }
    this.#current = await this.#ensure();
    this.#watching ??= this.#watch();
  }

  /** Writes the status, if it differs from what is stored. */
  async write(status: (observedGeneration: number) => SourceStatus): Promise<void> {
    const read = this.#current ?? (await this.#ensure());
    const written = await writeStatus(this.#options.client, Sources, read, status(read.metadata.generation ?? 1));
    if (written.kind !== 'gone') {
      this.#current = written.object;
      return;
    }
    // Somebody deleted it, which changes nothing about what is read.
    const made = await this.#ensure();
    const again = await writeStatus(this.#options.client, Sources, made, status(made.metadata.generation ?? 1));
    this.#current = again.kind === 'gone' ? undefined : again.object;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  async #ensure(): Promise<Source> {
    const { client, key, spec } = this.#options;
    const options = { fieldManager: FIELD_MANAGER };
    for (;;) {
      try {
        const found = (await getOrUndefined(client, Sources, key)) as Source | undefined;
        if (found === undefined) {
          const object: Source = { apiVersion: API_VERSION, kind: 'Source', metadata: { ...key }, spec };
          return await client.create(Sources, object, options);
        }
        if (jsonEqual(found.spec, spec)) return found;
        return await client.update(Sources, { ...found, spec }, options);
      } catch (error) {
        if (!isReason(error, 'Conflict', 'AlreadyExists', 'NotFound')) throw error;
      }
    }
  }

  async #watch(): Promise<void> {
    const { client, key, log, onRequest } = this.#options;
    const { signal } = this.#stop;
    const selection = { namespace: key.namespace, fieldSelector: `metadata.name=${key.name}`, signal };
    // It changes while this waits, which the compiler cannot know.
    const isStopped = (): boolean => signal.aborted;
    while (!isStopped()) {
      try {
        for await (const event of client.watch(Sources, selection)) {
          if (event.type === 'BOOKMARK') continue;
          const { request, accepted } = this;
          if (event.type === 'DELETED') this.#current = undefined;
          // What this process wrote meanwhile is newer than an event that was on its way.
          else if (this.#current === undefined || isNewer(event.object, this.#current)) this.#current = event.object;
          if ((this.request !== undefined && this.request !== request) || this.accepted !== accepted) onRequest();
        }
      } catch (error) {
        if (!isStopped()) log.warn({ error: messageOf(error) }, 'requests for a reconcile are noticed late');
      }
      await delay(WATCH_AGAIN_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

function isNewer(a: Source, b: Source): boolean {
  return a.metadata.uid !== b.metadata.uid || isNewerVersion(a.metadata.resourceVersion, b.metadata.resourceVersion);
}
