import { hash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { messageOf } from '../errors.ts';
import { FILE_START, problem } from './manifest-problem.ts';
import type { ManifestProblem } from './manifest-problem.ts';

export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

export type ReadManifest =
  | { readonly kind: 'text'; readonly text: string; readonly hash: string; readonly modifiedMs: number }
  | { readonly kind: 'missing' }
  | { readonly kind: 'problem'; readonly problem: ManifestProblem };

/** Reads a file whole, or says why not. A file that changes while it is read is read again. */
export async function readManifest(file: string, real: string): Promise<ReadManifest> {
  const fail = (code: ManifestProblem['code'], message: string, hint: string): ReadManifest => ({
    kind: 'problem',
    problem: problem(code, file, FILE_START, message, hint),
  });
  try {
    const handle = await open(real, 'r');
    try {
      for (let attempt = 1; ; attempt++) {
        const before = await handle.stat();
        if (before.size > MAX_MANIFEST_BYTES) {
          const message = `the file has ${String(before.size)} bytes; at most ${String(MAX_MANIFEST_BYTES)} are read`;
          return fail('GF_MANIFEST_TOO_LARGE', message, 'split it');
        }
        const { bytesRead, buffer } = await handle.read(Buffer.alloc(before.size + 1), 0, before.size + 1, 0);
        const after = bytesRead === before.size ? await handle.stat() : undefined;
        if (after?.mtimeMs !== before.mtimeMs && attempt < 5) continue;
        const bytes = buffer.subarray(0, Math.min(bytesRead, MAX_MANIFEST_BYTES));
        const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
        return { kind: 'text', text, hash: hash('sha1', bytes), modifiedMs: before.mtimeMs };
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error) {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return { kind: 'missing' };
      if (error.code === 'ERR_ENCODING_INVALID_ENCODED_DATA') {
        return fail('GF_MANIFEST_NOT_UTF8', 'the file is not UTF-8 text', 'save it as UTF-8');
      }
    }
    const hint = 'what came from it stays as it is until it can be read';
    return fail('GF_MANIFEST_UNREADABLE', `the file cannot be read: ${messageOf(error)}`, hint);
  }
}
