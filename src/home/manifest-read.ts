import { hash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { messageOf } from '../errors.ts';
import { FILE_START, problem } from './manifest-problem.ts';
import type { ManifestProblem } from './manifest-problem.ts';

export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
const MAX_ATTEMPTS = 5;

export interface ManifestText {
  readonly kind: 'text';
  readonly text: string;
  /** Of the bytes. */
  readonly hash: string;
  readonly modifiedMs: number;
}

export type ReadManifest =
  ManifestText | { readonly kind: 'missing' } | { readonly kind: 'problem'; readonly problem: ManifestProblem };

/** Reads a file whole, or says why not. A file that changes while it is read is read again. */
export async function readManifest(file: string, real: string): Promise<ReadManifest> {
  try {
    // A network file system that hangs holds up this promise, not the program. What follows is quick: each asynchronous
    // call goes by way of another thread, which on a busy machine takes longer than reading the file.
    await stat(real);
  } catch (error) {
    return unread(file, error);
  }
  return readManifestNow(file, real);
}

/** The same without giving way to anything else. */
export function readManifestNow(file: string, real: string): ReadManifest {
  try {
    const descriptor = openSync(real, 'r');
    try {
      return readOpen(file, descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    return unread(file, error);
  }
}

function readOpen(file: string, descriptor: number): ReadManifest {
  for (let attempt = 1; ; attempt++) {
    const before = fstatSync(descriptor);
    if (before.size > MAX_MANIFEST_BYTES) {
      const message = `the file has ${String(before.size)} bytes; at most ${String(MAX_MANIFEST_BYTES)} are read`;
      return failed('GF_MANIFEST_TOO_LARGE', file, message, 'split it');
    }
    const buffer = Buffer.alloc(before.size + 1);
    const bytesRead = readSync(descriptor, buffer, 0, before.size + 1, 0);
    const after = bytesRead === before.size ? fstatSync(descriptor) : undefined;
    if (after?.mtimeMs !== before.mtimeMs && attempt < MAX_ATTEMPTS) continue;
    const bytes = buffer.subarray(0, Math.min(bytesRead, MAX_MANIFEST_BYTES));
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return { kind: 'text', text, hash: hash('sha1', bytes), modifiedMs: before.mtimeMs };
  }
}

function unread(file: string, error: unknown): ReadManifest {
  if (error instanceof Error && 'code' in error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return { kind: 'missing' };
    if (error.code === 'ERR_ENCODING_INVALID_ENCODED_DATA') {
      return failed('GF_MANIFEST_NOT_UTF8', file, 'the file is not UTF-8 text', 'save it as UTF-8');
    }
  }
  const hint = 'what came from it stays as it is until it can be read';
  return failed('GF_MANIFEST_UNREADABLE', file, `the file cannot be read: ${messageOf(error)}`, hint);
}

function failed(code: ManifestProblem['code'], file: string, message: string, hint: string): ReadManifest {
  return { kind: 'problem', problem: problem(code, file, FILE_START, message, hint) };
}
