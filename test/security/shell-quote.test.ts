import { spawnSync } from 'node:child_process';
import t from 'tap';
import { shellQuote } from '../../src/security/shell-quote.ts';

const PIECES = [
  "'",
  '"',
  '\\',
  '!',
  '$(id)',
  '`id`',
  '\n',
  '\r',
  '\t',
  ' ',
  '-',
  '--',
  '*',
  '?',
  '~',
  '#',
  ';',
  '&',
  '|',
];
const MORE = [
  '<',
  '>',
  '(',
  ')',
  '{a,b}',
  '[a]',
  '=',
  '%',
  '^',
  '@',
  'ü',
  '€',
  '😀',
  'a',
  'Z',
  '0',
  '$HOME',
  "''",
  '\x7f',
];

await t.test('plain words stay readable', (t) => {
  t.equal(shellQuote(['docker', 'ps', '--format=json', '/a/b', 'a@b:c']), "docker ps '--format=json' /a/b a@b:c");
  t.equal(shellQuote(['', "it's"]), `'' 'it'"'"'s'`);
  t.end();
});

await t.test('every argument arrives as it was, in every shell that is here', (t) => {
  const argv = [...PIECES, ...MORE, ...randomWords(600)];
  const line = `printf '%s\\0' ${shellQuote(argv)}`;
  for (const shell of [['sh'], ['dash'], ['bash'], ['busybox', 'sh'], ['zsh'], ['fish']]) {
    const [file = '', ...flags] = shell;
    const { stdout, error } = spawnSync(file, [...flags, '-c', line], { encoding: 'utf8' });
    if (error !== undefined) t.comment(`${file} is not here`);
    else t.strictSame(stdout.split('\0').slice(0, -1), argv, shell.join(' '));
  }
  t.end();
});

await t.test('what no argument can carry is refused', (t) => {
  t.throws(() => shellQuote(['a\0b']), { code: 'GF_COMMAND_BAD_ARGUMENT' });
  t.throws(() => shellQuote(['\ud800']), { code: 'GF_COMMAND_BAD_ARGUMENT' });
  t.end();
});

/** The same words on every run. */
function randomWords(count: number): string[] {
  let state = 42;
  const next = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const all = [...PIECES, ...MORE];
  return Array.from({ length: count }, () => Array.from({ length: next(8) }, () => all[next(all.length)]).join(''));
}
