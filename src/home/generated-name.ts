/** Randomness as a dependency. */
export interface Random {
  uuid(): string;
  /** An integer from 0 up to, but not including, `limit`. */
  below(limit: number): number;
}

const SUFFIX_LENGTH = 5;
const MAX_PREFIX_LENGTH = 63 - SUFFIX_LENGTH;
const LETTERS = 'bcdfghjklmnpqrstvwxz2456789';
/** The API server, too, tries eight times before it lets the caller know. */
const ATTEMPTS = 8;

/** A name that begins with `prefix` and, as far as luck goes, is not taken (apiserver, `storage/names/generate.go`). */
export function generatedName(prefix: string, random: Random, isTaken: (name: string) => boolean): string {
  let candidate = '';
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    candidate = prefix.slice(0, MAX_PREFIX_LENGTH);
    for (let i = 0; i < SUFFIX_LENGTH; i++) candidate += LETTERS[random.below(LETTERS.length)] ?? '';
    if (!isTaken(candidate)) break;
  }
  return candidate;
}
