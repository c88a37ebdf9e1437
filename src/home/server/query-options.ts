import { ApiError } from '../api-error.ts';
import type { StatusCause } from '../api-error.ts';
import { forbidden, goQuote } from '../../api/violation.ts';
import { badRequest } from '../api-messages.ts';
import type { DeleteOptions, ListOptions, WatchOptions, WriteOptions } from '../client.ts';
import { isJsonObject } from '../json.ts';

const MAX_MANAGER = 128;
/** How long a watch lasts when the client does not say: between these, as in the API server. */
const WATCH_SECONDS = { least: 1800, most: 3600 };

export type ReadOptions = Omit<ListOptions, 'namespace' | 'signal'>;

export interface WatchRequest {
  readonly options: Omit<WatchOptions, 'namespace' | 'signal'>;
  readonly allowBookmarks: boolean;
  readonly timeoutMs: number;
}

/** The API server's errors about query parameters name the kind of options as if it were an object. */
function invalidOptions(kind: string, causes: readonly StatusCause[]): ApiError {
  const listed = causes.map((cause) => `${cause.field ?? ''}: ${cause.message}`);
  const text = listed.length === 1 ? (listed[0] ?? '') : `[${listed.join(', ')}]`;
  return new ApiError('Invalid', `${kind}.meta.k8s.io "" is invalid: ${text}`, { group: 'meta.k8s.io', kind, causes });
}

function unsupported(field: string, shown: string, supported: readonly string[]): StatusCause {
  const list = supported.map((value) => JSON.stringify(value)).join(', ');
  return { reason: 'FieldValueNotSupported', message: `Unsupported value: ${shown}: supported values: ${list}`, field };
}

/** Go's `strconv.ParseBool`, and a parameter without a value, which is true. */
function flag(query: URLSearchParams, name: string): boolean | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (['', '1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
  // Whatever is not a yes is a no (apimachinery `Convert_Slice_string_To_bool`).
  return false;
}

function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(value)) return value;
  throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
}

export function isWatch(query: URLSearchParams): boolean {
  return flag(query, 'watch') === true;
}

function selection(query: URLSearchParams): Pick<ListOptions, 'labelSelector' | 'fieldSelector' | 'resourceVersion'> {
  const options: Record<string, string> = {};
  for (const name of ['labelSelector', 'fieldSelector', 'resourceVersion']) {
    const value = query.get(name);
    if (value !== null && value !== '') options[name] = value;
  }
  return options;
}

/** @throws ApiError `Invalid`, `BadRequest` */
export function listOptions(query: URLSearchParams): ReadOptions {
  const match = query.get('resourceVersionMatch') ?? '';
  const version = query.get('resourceVersion') ?? '';
  const causes: StatusCause[] = [];
  const field = 'resourceVersionMatch';
  if (match !== '' && version === '') {
    causes.push(forbidden(field, 'resourceVersionMatch is forbidden unless resourceVersion is provided'));
  }
  if (match !== '' && (query.get('continue') ?? '') !== '') {
    causes.push(forbidden(field, 'resourceVersionMatch is forbidden when continue is provided'));
  }
  if (match !== '' && match !== 'Exact' && match !== 'NotOlderThan') {
    causes.push(unsupported(field, JSON.stringify(match), ['Exact', 'NotOlderThan', '']));
  }
  if (match === 'Exact' && version === '0') {
    causes.push(forbidden(field, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'));
  }
  if (query.has('sendInitialEvents')) {
    causes.push(forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list'));
  }
  const limit = integer(query, 'limit');
  if (causes.length > 0) throw invalidOptions('ListOptions', causes);
  return {
    ...selection(query),
    ...(limit === undefined ? {} : { limit }),
    ...(query.get('continue') ? { continue: query.get('continue') ?? '' } : {}),
    ...(match === '' ? {} : { resourceVersionMatch: match as 'Exact' | 'NotOlderThan' }),
  };
}

/** @throws ApiError `Invalid`, `BadRequest` */
export function watchRequest(query: URLSearchParams, random: () => number): WatchRequest {
  const match = query.get('resourceVersionMatch') ?? '';
  const sendInitialEvents = flag(query, 'sendInitialEvents');
  const causes: StatusCause[] = [];
  const field = 'resourceVersionMatch';
  if (sendInitialEvents === undefined && match !== '') {
    causes.push(forbidden(field, 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided'));
  }
  if (sendInitialEvents !== undefined && match === '') {
    causes.push(forbidden(field, 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'));
  }
  if (match !== '' && match !== 'NotOlderThan')
    causes.push(unsupported(field, JSON.stringify(match), ['NotOlderThan']));
  if ((query.get('continue') ?? '') !== '') {
    causes.push(forbidden(field, 'resourceVersionMatch is forbidden when continue is provided'));
  }
  const seconds = integer(query, 'timeoutSeconds') ?? 0;
  if (causes.length > 0) throw invalidOptions('ListOptions', causes);
  const { least, most } = WATCH_SECONDS;
  return {
    options: { ...selection(query), ...(sendInitialEvents === true ? { sendInitialEvents } : {}) },
    allowBookmarks: flag(query, 'allowWatchBookmarks') === true,
    timeoutMs: (seconds > 0 ? seconds : least + random() * (most - least)) * 1000,
  };
}

/**
 * What a write is told in its query. Who does not name himself goes by the name of his program, as in the API server.
 *
 * @throws ApiError `Invalid`
 */
export function writeOptions(
  kind: 'CreateOptions' | 'UpdateOptions' | 'PatchOptions',
  query: URLSearchParams,
  userAgent: string,
): Required<Pick<WriteOptions, 'dryRun' | 'fieldManager' | 'fieldValidation'>> {
  const causes: StatusCause[] = [];
  const manager = query.get('fieldManager') ?? '';
  const validation = query.get('fieldValidation') ?? '';
  const dryRun = query.getAll('dryRun').filter((value) => value !== '');
  if (dryRun.some((value) => value !== 'All')) causes.push(unsupported('dryRun', JSON.stringify(dryRun), ['All']));
  if (manager.length > MAX_MANAGER) {
    causes.push({
      reason: 'FieldValueTooLong',
      message: `Too long: may not be more than ${String(MAX_MANAGER)} bytes`,
      field: 'fieldManager',
    });
  }
  const odd = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.exec(manager);
  if (odd !== null) {
    const point = (odd[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    const message = `Invalid value: ${goQuote(manager)}: invalid character U+${point} (at position ${String(odd.index)})`;
    causes.push({ reason: 'FieldValueInvalid', message, field: 'fieldManager' });
  }
  if (!['', 'Ignore', 'Strict', 'Warn'].includes(validation)) {
    causes.push(unsupported('fieldValidation', JSON.stringify(validation), ['', 'Ignore', 'Strict', 'Warn']));
  }
  if (causes.length > 0) throw invalidOptions(kind, causes);
  return {
    dryRun: dryRun.length > 0,
    fieldManager: manager === '' ? programOf(userAgent) : manager,
    fieldValidation: validation === '' ? 'Warn' : (validation as 'Ignore' | 'Strict' | 'Warn'),
  };
}

function programOf(userAgent: string): string {
  const program = userAgent.split('/', 1)[0]?.slice(0, MAX_MANAGER) ?? '';
  return program || 'unknown';
}

/** @throws ApiError `Invalid` for an apply whose author has no name. */
export function requireManager(query: URLSearchParams): void {
  if ((query.get('fieldManager') ?? '') !== '') return;
  const message = 'Required value: is required for apply patch';
  throw invalidOptions('PatchOptions', [{ reason: 'FieldValueRequired', message, field: 'fieldManager' }]);
}

export function isForced(query: URLSearchParams): boolean {
  return flag(query, 'force') === true;
}

/**
 * What a deletion is told, in its body or, without one, in its query.
 *
 * @throws ApiError `Invalid`, `BadRequest`
 */
export function deleteOptions(query: URLSearchParams, body: unknown, userAgent: string): DeleteOptions {
  const given = body === undefined ? fromQuery(query) : fromBody(body);
  const causes: StatusCause[] = [];
  const { propagationPolicy: policy, orphanDependents, dryRun } = given;
  if (policy !== undefined && orphanDependents !== undefined) {
    const message = `Invalid value: ${JSON.stringify(policy)}: orphanDependents and deletionPropagation cannot be both set`;
    causes.push({ reason: 'FieldValueInvalid', message, field: 'propagationPolicy' });
  }
  if (policy !== undefined && !isPolicy(policy)) {
    const supported = ['Foreground', 'Background', 'Orphan', 'nil'];
    causes.push(unsupported('propagationPolicy', JSON.stringify(policy), supported));
  }
  if (dryRun.some((value) => value !== 'All')) causes.push(unsupported('dryRun', JSON.stringify(dryRun), ['All']));
  if (causes.length > 0) throw invalidOptions('DeleteOptions', causes);
  const wanted = orphanDependents === undefined ? policy : orphanDependents ? 'Orphan' : 'Background';
  return {
    dryRun: dryRun.length > 0,
    fieldManager: programOf(userAgent),
    ...(wanted !== undefined && isPolicy(wanted) ? { propagationPolicy: wanted } : {}),
    ...(given.preconditions === undefined ? {} : { preconditions: given.preconditions }),
  };
}

interface GivenDeleteOptions {
  readonly propagationPolicy?: string;
  readonly orphanDependents?: boolean;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly dryRun: readonly string[];
}

function isPolicy(text: string): text is 'Foreground' | 'Background' | 'Orphan' {
  return text === 'Foreground' || text === 'Background' || text === 'Orphan';
}

function fromQuery(query: URLSearchParams): GivenDeleteOptions {
  integer(query, 'gracePeriodSeconds');
  const policy = query.get('propagationPolicy');
  const orphan = flag(query, 'orphanDependents');
  return {
    ...(policy === null || policy === '' ? {} : { propagationPolicy: policy }),
    ...(orphan === undefined ? {} : { orphanDependents: orphan }),
    dryRun: query.getAll('dryRun').filter((value) => value !== ''),
  };
}

function fromBody(body: unknown): GivenDeleteOptions {
  if (!isJsonObject(body)) throw badRequest('DeleteOptions must be an object');
  const { kind = 'DeleteOptions', propagationPolicy, orphanDependents, preconditions, dryRun = [] } = body;
  if (kind !== 'DeleteOptions') {
    throw badRequest(`no kind ${JSON.stringify(kind)} is registered: the body of a deletion is of kind DeleteOptions`);
  }
  const { uid, resourceVersion } = isJsonObject(preconditions) ? preconditions : {};
  const wellFormed =
    isOptional(propagationPolicy, 'string') &&
    isOptional(orphanDependents, 'boolean') &&
    isOptional(uid, 'string') &&
    isOptional(resourceVersion, 'string') &&
    isOptional(body['gracePeriodSeconds'], 'number');
  if (!wellFormed || !isTextList(dryRun)) throw badRequest('DeleteOptions has a field of the wrong type');
  return {
    ...(typeof propagationPolicy === 'string' ? { propagationPolicy } : {}),
    ...(typeof orphanDependents === 'boolean' ? { orphanDependents } : {}),
    preconditions: {
      ...(typeof uid === 'string' ? { uid } : {}),
      ...(typeof resourceVersion === 'string' ? { resourceVersion } : {}),
    },
    dryRun: dryRun ?? [],
  };
}

function isTextList(value: unknown): value is string[] | null {
  return value === null || (Array.isArray(value) && value.every((item) => typeof item === 'string'));
}

function isOptional(value: unknown, type: 'string' | 'boolean' | 'number'): boolean {
  return value === undefined || value === null || typeof value === type;
}
