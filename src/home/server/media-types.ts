import { ApiError } from '../api-error.ts';

/** How an answer is to look. Protobuf is never among them: whoever asks for it accepts JSON, too. */
export interface Representation {
  readonly encoding: 'json' | 'yaml';
  readonly as?: 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList' | 'APIGroupDiscoveryList';
  /** Of `as`. */
  readonly version?: string;
}

/** A media type with its parameters, in lower case but for the values. */
export interface MediaType {
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const PLAIN: Representation = { encoding: 'json' };
const known = new Map<string, Representation | undefined>();

/**
 * The first representation in an `Accept` header that the server has; order counts, weights do not, as in the API server.
 *
 * @throws ApiError `NotAcceptable`.
 */
export function negotiate(accept: string | undefined): Representation {
  if (accept === undefined || accept === '' || accept === 'application/json') return PLAIN;
  if (!known.has(accept)) {
    // Headers are the client's to invent.
    if (known.size > 500) known.clear();
    known.set(accept, firstAcceptable(accept));
  }
  const found = known.get(accept);
  if (found !== undefined) return found;
  throw new ApiError(
    'NotAcceptable',
    'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf',
  );
}

function firstAcceptable(accept: string): Representation | undefined {
  for (const clause of accept.split(',')) {
    const { type, parameters } = parseMediaType(clause);
    const encoding = encodingOf(type);
    if (encoding === undefined) continue;
    const as = parameters.get('as');
    if (as === undefined) return { encoding };
    const group = parameters.get('g');
    const version = parameters.get('v') ?? '';
    if (isServed(as, group, version)) return { encoding, as: as as NonNullable<Representation['as']>, version };
  }
  return undefined;
}

function encodingOf(type: string): 'json' | 'yaml' | undefined {
  if (type === 'application/json' || type === '*/*' || type === 'application/*') return 'json';
  return type === 'application/yaml' ? 'yaml' : undefined;
}

function isServed(as: string, group: string | undefined, version: string): boolean {
  switch (as) {
    case 'Table':
    case 'PartialObjectMetadata':
    case 'PartialObjectMetadataList':
      return group === 'meta.k8s.io' && (version === 'v1' || version === 'v1beta1');
    case 'APIGroupDiscoveryList':
      return group === 'apidiscovery.k8s.io' && (version === 'v2' || version === 'v2beta1');
    default:
      return false;
  }
}

/** Reads `type/subtype; name=value; …`. */
export function parseMediaType(text: string): MediaType {
  const [type = '', ...rest] = text.split(';');
  const parameters = new Map<string, string>();
  for (const parameter of rest) {
    const at = parameter.indexOf('=');
    if (at !== -1) parameters.set(parameter.slice(0, at).trim().toLowerCase(), parameter.slice(at + 1).trim());
  }
  return { type: type.trim().toLowerCase(), parameters };
}
