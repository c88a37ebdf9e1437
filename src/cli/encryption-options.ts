import type { KeySource } from '../security/encryption-keys.ts';
import { usageError } from './cli-error.ts';

const KEY = 'GRIDFERRY_ENCRYPTION_KEY';
const KEY_FILE = 'GRIDFERRY_ENCRYPTION_KEY_FILE';

/**
 * The keys of a local home, as far as they were named; `undefined` means its own. A key in the environment is taken out
 * of it, so that no program started from here inherits it.
 *
 * @throws GridferryError `GF_CLI_USAGE` when there are two answers
 */
export function namedKeySource(file?: string, env: NodeJS.ProcessEnv = process.env): KeySource | undefined {
  const path = file ?? nonEmpty(env[KEY_FILE]);
  const text = nonEmpty(env[KEY]);
  Reflect.deleteProperty(env, KEY);
  if (path !== undefined && text !== undefined) {
    throw usageError(`${KEY} and a key file are both given: leave one of them out.`);
  }
  if (text !== undefined) return { type: 'Value', text };
  return path === undefined ? undefined : { type: 'File', path, named: true };
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
