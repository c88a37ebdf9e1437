import { isDeepStrictEqual } from 'node:util';
import { jsonMapProblem } from './go-values.ts';
import type { KubeObject } from './meta.ts';
import { forbidden, invalidValue, REDACTED, required, tooLong } from './violation.ts';
import type { Violation } from './violation.ts';

/** What the API server asks of core kinds beyond their types (`pkg/apis/core/validation/validation.go`). */

const MAX_DATA_BYTES = 1024 * 1024;
const CONFIG_KEY =
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

interface DataObject extends KubeObject {
  readonly type?: string;
  readonly immutable?: boolean;
  readonly data?: Readonly<Record<string, string>>;
  readonly binaryData?: Readonly<Record<string, string>>;
}

export function secretViolations(secret: DataObject, old: DataObject | undefined): Violation[] {
  if (old !== undefined && (secret.type !== old.type || old.immutable === true)) {
    const found = secret.type === old.type ? [] : [invalidValue('type', secret.type, 'field is immutable')];
    found.push(...immutableViolations(secret, old, ['data']));
    if (found.length > 0) return found;
  }
  const { data = {} } = secret;
  const found = Object.keys(data).flatMap((key) => keyViolations('data', key));
  const bytes = Object.values(data).reduce((sum, value) => sum + Buffer.byteLength(value, 'base64'), 0);
  if (bytes > MAX_DATA_BYTES) found.push(tooLong('data', MAX_DATA_BYTES));
  return [...found, ...typeViolations(secret, data)];
}

function typeViolations(secret: DataObject, data: Readonly<Record<string, string>>): Violation[] {
  const missing = (key: string): Violation[] => (Object.hasOwn(data, key) ? [] : [required(`data[${key}]`)]);
  const json = (key: string): Violation[] => {
    if (!Object.hasOwn(data, key)) return missing(key);
    const problem = jsonMapProblem(Buffer.from(data[key] ?? '', 'base64').toString());
    return problem === undefined ? [] : [invalidValue(`data[${key}]`, REDACTED, problem)];
  };
  switch (secret.type) {
    case 'kubernetes.io/tls':
      return [...missing('tls.crt'), ...missing('tls.key')];
    case 'kubernetes.io/basic-auth': {
      const found = [...missing('username'), ...missing('password')];
      return found.length === 2 ? found : [];
    }
    case 'kubernetes.io/ssh-auth':
      return data['ssh-privatekey'] ? [] : [required('data[ssh-privatekey]')];
    case 'kubernetes.io/dockerconfigjson':
      return json('.dockerconfigjson');
    case 'kubernetes.io/dockercfg':
      return json('.dockercfg');
    case 'kubernetes.io/service-account-token': {
      const account = 'kubernetes.io/service-account.name';
      return secret.metadata.annotations?.[account] ? [] : [required(`metadata.annotations[${account}]`)];
    }
    default:
      return [];
  }
}

export function configMapViolations(map: DataObject, old: DataObject | undefined): Violation[] {
  const { data = {}, binaryData = {} } = map;
  const found = old === undefined ? [] : immutableViolations(map, old, ['data', 'binaryData']);
  for (const key of Object.keys(data)) {
    found.push(...keyViolations('data', key));
    if (Object.hasOwn(binaryData, key)) {
      found.push(invalidValue(`data[${key}]`, key, 'duplicate of key present in binaryData'));
    }
  }
  for (const key of Object.keys(binaryData)) found.push(...keyViolations('binaryData', key));
  const bytes =
    Object.values(data).reduce((sum, value) => sum + Buffer.byteLength(value), 0) +
    Object.values(binaryData).reduce((sum, value) => sum + Buffer.byteLength(value, 'base64'), 0);
  if (bytes > MAX_DATA_BYTES) found.push(tooLong('[]', MAX_DATA_BYTES));
  return found;
}

function immutableViolations(
  next: DataObject,
  old: DataObject,
  fields: readonly ('data' | 'binaryData')[],
): Violation[] {
  if (old.immutable !== true) return [];
  const problem = 'field is immutable when `immutable` is set';
  const changed = fields.filter((field) => !isDeepStrictEqual(next[field] ?? {}, old[field] ?? {}));
  return [...(next.immutable === true ? [] : ['immutable']), ...changed].map((field) => forbidden(field, problem));
}

function keyViolations(field: string, key: string): Violation[] {
  const problems: string[] = [];
  if (key.length > 253) problems.push('must be no more than 253 characters');
  if (!/^[-._a-zA-Z0-9]+$/.test(key)) problems.push(CONFIG_KEY);
  if (key === '.') problems.push("must not be '.'");
  else if (key === '..') problems.push("must not be '..'");
  else if (key.startsWith('..')) problems.push("must not start with '..'");
  return problems.map((problem) => invalidValue(`${field}[${key}]`, key, problem));
}

export function leaseViolations(lease: KubeObject): Violation[] {
  const spec = (lease.spec ?? {}) as { leaseDurationSeconds?: number; leaseTransitions?: number };
  const { leaseDurationSeconds: duration, leaseTransitions: transitions } = spec;
  const found: Violation[] = [];
  if (duration !== undefined && duration <= 0) {
    found.push(invalidValue('spec.leaseDurationSeconds', duration, 'must be greater than 0'));
  }
  if (transitions !== undefined && transitions < 0) {
    found.push(invalidValue('spec.leaseTransitions', transitions, 'must be greater than or equal to 0'));
  }
  return found;
}
