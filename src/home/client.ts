import type { KubeObject, ObjectKey, ResourceType } from '../api/meta.ts';

/**
 * The one port through which everything reads and writes resources, with the semantics of the Kubernetes API. Behind it
 * is a cluster or the embedded API; nobody in front of it may care which.
 *
 * Every method rejects with an `ApiError` (see `api-error.ts`) whose `reason` is the Kubernetes one: `NotFound`,
 * `AlreadyExists`, `Conflict`, `Invalid`, `Expired` (410), `BadRequest`, …
 */
export interface Client {
  /** Set where a watch with `sendInitialEvents` is the cheaper way to read everything of a kind. */
  readonly prefersStreamedLists?: true;

  get<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey): Promise<T>;

  list<T extends KubeObject>(type: ResourceType<T>, options?: ListOptions): Promise<ListResult<T>>;

  /**
   * Every change after `options.resourceVersion`, in order, until the signal fires (then the iterator ends) or the
   * version is too old (then it throws `Expired`). Without a version: first an `ADDED` for each existing object.
   */
  watch<T extends KubeObject>(type: ResourceType<T>, options: WatchOptions): AsyncIterable<WatchEvent<T>>;

  create<T extends KubeObject>(type: ResourceType<T>, object: T, options?: WriteOptions): Promise<T>;

  /** Replaces all but `status` (and the server's own metadata). With a `resourceVersion` it is a compare-and-swap. */
  update<T extends KubeObject>(type: ResourceType<T>, object: T, options?: WriteOptions): Promise<T>;

  /** Replaces `status` and nothing else. */
  updateStatus<T extends KubeObject>(type: ResourceType<T>, object: T, options?: WriteOptions): Promise<T>;

  patch<T extends KubeObject>(
    type: ResourceType<T>,
    key: ObjectKey,
    patch: Patch,
    options?: WriteOptions & { readonly subresource?: 'status' },
  ): Promise<T>;

  /**
   * Deletes, or, while finalizers are left, sets `deletionTimestamp`. Resolves with the object as it was last seen.
   */
  delete<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey, options?: DeleteOptions): Promise<T>;
}

export interface ListOptions {
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly limit?: number;
  readonly continue?: string;
  /** With `resourceVersionMatch`: the state at exactly this version, or at one not older. Absent: the latest. */
  readonly resourceVersion?: string;
  readonly resourceVersionMatch?: 'Exact' | 'NotOlderThan';
  /** Gives the call up. */
  readonly signal?: AbortSignal;
}

export interface ListResult<T extends KubeObject> {
  readonly items: T[];
  /** The version the list is consistent at; watch from here to miss nothing. */
  readonly resourceVersion: string;
  readonly continue?: string;
  /** How many are left after this page, where the server knows. */
  readonly remainingItemCount?: number;
}

export interface WatchOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly resourceVersion?: string;
  /**
   * First an `ADDED` for each existing object, then a bookmark with `initialEventsEnd`, then the changes. (A
   * "streaming list"; `resourceVersion` then means: not older than that.)
   */
  readonly sendInitialEvents?: boolean;
  readonly signal: AbortSignal;
}

export type WatchEvent<T extends KubeObject = KubeObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  /** Nothing relevant happened up to this version: a later watch may start here. */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string; readonly initialEventsEnd?: true };

export interface JsonPatchOperation {
  readonly op: 'add' | 'remove' | 'replace' | 'move' | 'copy' | 'test';
  readonly path: string;
  readonly from?: string;
  readonly value?: unknown;
}

export type Patch =
  | { readonly type: 'merge'; readonly body: Readonly<Record<string, unknown>> }
  | { readonly type: 'json'; readonly body: readonly JsonPatchOperation[] }
  /**
   * Server-side apply: the body is all that `fieldManager` (required) wants to own. Creates the object when it is not
   * there. What another manager owns with another value is a `Conflict`, unless `force` takes it over.
   */
  | { readonly type: 'apply'; readonly body: Readonly<Record<string, unknown>>; readonly force?: boolean };

export interface WriteOptions {
  /** Who writes, for `managedFields` and the audit log. */
  readonly fieldManager?: string;
  /** Validate and answer, but store nothing. */
  readonly dryRun?: boolean;
  /** What becomes of fields that the schema does not know: refused, dropped with a warning, dropped. Default `Strict`. */
  readonly fieldValidation?: 'Strict' | 'Warn' | 'Ignore';
  /** Fields that the text of the object has twice: only who parsed it knows. They count as unknown ones do. */
  readonly duplicateFields?: readonly string[];
  /** Told each warning of the server, such as of a dropped field. */
  readonly onWarning?: (text: string) => void;
  /** Told when a patch of type `apply` made the object. */
  readonly onCreated?: () => void;
}

export interface DeleteOptions {
  readonly dryRun?: boolean;
  /** Who deletes, for the audit log of the local home; a cluster knows its callers by their logins. */
  readonly fieldManager?: string;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
}
