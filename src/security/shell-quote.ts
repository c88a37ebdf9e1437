import { GridferryError } from '../errors.ts';

/** Words of these characters mean themselves in every shell: no `=` (zsh), no `%` (fish), no `~`, no globs. */
const PLAIN = /^[A-Za-z0-9_/.:@+,-]+$/;

/**
 * One command line from an argument vector: each argument arrives as it is, whatever it holds. The only place in
 * Gridferry that writes shell syntax around foreign text.
 *
 * The result is POSIX `sh`, and stays the same in dash, bash, busybox, zsh and fish (csh: as long as no argument has a
 * newline). fish reads backslashes inside single quotes and csh reads `!` there, so `'`, `\` and `!` each stand outside.
 *
 * @throws `GF_COMMAND_BAD_ARGUMENT` for what no argument can carry: a NUL, or half of a surrogate pair.
 * @example shellQuote(['echo', "it's"]) // echo 'it'"'"'s'
 */
export function shellQuote(argv: readonly string[]): string {
  return argv.map(quoteWord).join(' ');
}

/** @throws `GF_COMMAND_BAD_ARGUMENT` for what no argument of a program can carry. */
export function checkArgument(word: string): void {
  if (word.includes('\0')) {
    throw new GridferryError('GF_COMMAND_BAD_ARGUMENT', 'A command argument holds a NUL byte: remove it.');
  }
  if (!word.isWellFormed()) {
    throw new GridferryError('GF_COMMAND_BAD_ARGUMENT', 'A command argument is not valid Unicode: correct it.');
  }
}

function quoteWord(word: string): string {
  checkArgument(word);
  if (word === '') return "''";
  if (PLAIN.test(word)) return word;
  return word.replace(/'+|[\\!]|[^'\\!]+/g, (run) => {
    if (run.startsWith("'")) return `"${run}"`;
    return run === '\\' || run === '!' ? `\\${run}` : `'${run}'`;
  });
}
