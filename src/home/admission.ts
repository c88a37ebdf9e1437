import type { KubeObject, ResourceType } from '../api/meta.ts';
import type { StatusCause } from './api-error.ts';

export type AdmissionOperation = 'create' | 'update' | 'status';

export interface AdmitOptions {
  /** Told what is odd but let in. */
  readonly onWarning?: (text: string) => void;
}

export interface DecodeOptions extends AdmitOptions {
  /** What becomes of fields that the schema does not know: refused, dropped with a warning, dropped. Default `Strict`. */
  readonly fieldValidation?: 'Strict' | 'Warn' | 'Ignore';
  /** Fields that the text of the request has twice, as `duplicateFields` finds them. */
  readonly duplicateFields?: readonly string[];
  /** Whether the object is what a server-side apply made: `null` is then a value, which validation may refuse. */
  readonly applied?: boolean;
  /** What a patch made of a stored object, with parts that `decode` need not see: errors then say so and show it. */
  readonly patched?: KubeObject;
}

/** What stands between a write and the store, in the two steps of an API server. */
export interface Admission {
  /**
   * Reads JSON as an object of its kind, before anything is looked up: unknown fields, types of metadata and of core
   * kinds, defaults. `object` may be changed in place.
   *
   * @throws ApiError `BadRequest`, or `Invalid` for what a patch made.
   */
  decode<T extends KubeObject>(type: ResourceType<T>, object: T, options?: DecodeOptions): T;

  /**
   * The object as it is to be stored. `object` may be changed; `old` may not.
   *
   * @throws ApiError `Invalid` with one cause per violation.
   */
  admit<T extends KubeObject>(
    type: ResourceType<T>,
    object: T,
    old: T | undefined,
    operation: AdmissionOperation,
    options?: AdmitOptions,
  ): T;

  /** All that is wrong with an object of a user's file, in words for people, with what they may have meant. */
  explain(type: ResourceType, object: KubeObject): StatusCause[];
}
