import { randomBytes, timingSafeEqual, createHash } from 'node:crypto';
import { readIfThere, writePrivately } from './private-file.ts';

const BYTES = 32;

/** The bearer token that the file keeps; a new one when there is none, or when it was cut short. */
export function keptToken(path: string): string {
  const kept = readIfThere(path)?.trim();
  if (kept !== undefined && /^[\w-]{43}$/.test(kept)) return kept;
  const token = randomBytes(BYTES).toString('base64url');
  writePrivately(path, `${token}\n`);
  return token;
}

/** Tells whether an `Authorization` header carries the token, in a time that says nothing about how much of it is right. */
export function tokenCheck(token: string): (authorization: string | undefined) => boolean {
  const wanted = digest(token);
  return (authorization) => {
    const given = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    return given !== undefined && timingSafeEqual(digest(given), wanted);
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
