import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { isJsonObject } from '../json.ts';

/** The commit that was decided on: found whole and good, and applied, or about to be. */
export interface DesiredCommit {
  /** Which repository, branch and path it is of. */
  readonly source: string;
  readonly commit: string;
}

/** What was decided before, or `undefined`: then the next commit is the first. */
export function readDesiredCommit(file: string): DesiredCommit | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const value: unknown = JSON.parse(text);
  if (!isJsonObject(value)) throw new TypeError(`${file} is not what Gridferry wrote`);
  const { source, commit } = value;
  if (typeof source !== 'string' || typeof commit !== 'string') {
    throw new TypeError(`${file} is not what Gridferry wrote`);
  }
  return { source, commit };
}

/** Durable when it returns: the old one or the new one is there, whenever the machine stops. */
export function writeDesiredCommit(file: string, desired: DesiredCommit): void {
  const temporary = `${file}.new`;
  const descriptor = openSync(temporary, 'w', 0o600);
  try {
    writeSync(descriptor, `${JSON.stringify(desired)}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(temporary, file);
  const directory = openSync(dirname(file), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
