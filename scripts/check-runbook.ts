import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Where controllers say what is going on: a condition's status with its reason, whatever function it is handed to; a
 * field or variable that is called a reason; the refusals of wishes; the Warning events.
 */
const SAYING: readonly RegExp[] = [
  /'(?:True|False|Unknown)',\s*'([A-Z][A-Za-z]+)'/g,
  /\brefused?\(\s*(?:\w+,\s*)?'([A-Z][A-Za-z]+)'/g,
  /\bkept\('([A-Z][A-Za-z]+)'/g,
  /\bevent\(\s*'(?:Warning|Normal)',\s*'([A-Z][A-Za-z]+)'/g,
];

/** Lines that name a reason may choose between several. */
const CHOOSING = /\b(?:reason|[rR]efusals?|NEVER_ACCEPTED|PASSING|HOLDING)\b[^\n]*/g;
const CHOSEN = /'([A-Z][A-Za-z]+)'/g;

/** A union of reasons, a line each. */
const UNION = /^export type \w*Refusal =([^;]*);/gm;

/** Words of these lines that are no reasons: statuses, types of events, values of other fields. */
const OTHER_WORDS: ReadonlySet<string> = new Set([
  ...['True', 'False', 'Unknown', 'Warning', 'Normal', 'Ready', 'Reconciling', 'Stalled', 'RollbackRefused'],
  ...['Rollback', 'Interrupted', 'CanRollback', 'RolledBack', 'Succeeded', 'Accepted', 'SoakFailure', 'Unavailable'],
]);

/**
 * Holds docs/runbook.md against the controllers: every reason of a condition and every Warning event is in it, as one that
 * asks for somebody or as one that does not; and it speaks of none that nothing says. The reasons of servers are error
 * codes in other letters: those that docs/errors.md has for them count as said.
 */
export function checkRunbook(root: string): string[] {
  const said = new Set<string>();
  for (const file of globSync('controllers/**/*.ts', { cwd: root })) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const pattern of SAYING) for (const [, reason = ''] of text.matchAll(pattern)) said.add(reason);
    for (const [lines] of [...text.matchAll(CHOOSING), ...text.matchAll(UNION)]) {
      for (const [, reason = ''] of lines.matchAll(CHOSEN)) if (!OTHER_WORDS.has(reason)) said.add(reason);
    }
  }
  const errors = readFileSync(join(root, 'docs/errors.md'), 'utf8');
  const ofServers = /^## Conditions of a ManagedServer$([^]*?)^## /m.exec(errors)?.[1] ?? '';
  for (const row of ofServers.matchAll(/^\|[^|]*\|([^|]*)\|/gm))
    for (const reason of codeWords(row[1]!)) said.add(reason);

  const runbook = readFileSync(join(root, 'docs/runbook.md'), 'utf8');
  const everywhere = codeWords(runbook);
  // What it claims to be a reason: in a heading after the colon, or in the first column of a table of reasons.
  const headings = [...runbook.matchAll(/^### [^\n]*: (.*)$/gm)].map(([, text = '']) => text);
  const tables = [...runbook.matchAll(/^\| reason .*\n\|[- |]*\n((?:\|.*\n)*)/gm)].map(([, rows = '']) => rows);
  const cells = tables.flatMap((rows) => rows.split('\n').map((row) => row.split('|')[1] ?? ''));
  const claimed = [...codeWords([...headings, ...cells].join('\n'))].filter((word) => !OTHER_WORDS.has(word));
  return [
    ...[...said].filter((reason) => !everywhere.has(reason)).map((reason) => `${reason} is not in docs/runbook.md`),
    ...claimed
      .filter((reason) => !said.has(reason))
      .map((reason) => `${reason} is in docs/runbook.md, but nothing says it`),
  ].sort();
}

/** Words in backquotes that could be a reason. */
function codeWords(text: string): ReadonlySet<string> {
  return new Set([...text.matchAll(/`([A-Z][A-Za-z]+)`/g)].map((match) => match[1]!));
}
