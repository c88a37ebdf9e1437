import { keyOf, keyString } from '../api/meta.ts';
import type { ManifestProblem } from '../home/manifest-problem.ts';
import { ExitCode } from './cli-error.ts';
import { formatProblemAt } from './problem-line.ts';
import type { ObjectVerdict } from './settling.ts';
import { printable } from './table.ts';

export interface Summary {
  readonly verdicts: readonly ObjectVerdict[];
  readonly problems: readonly ManifestProblem[];
  /** Both as the user named them. */
  readonly directory: string;
  readonly stateDirectory: string;
}

export interface SummaryOutput {
  readonly print: (text: string) => void;
  readonly note: (text: string) => void;
}

const standard: SummaryOutput = {
  print: (text) => void process.stdout.write(`${text}\n`),
  note: (text) => void process.stderr.write(`${text}\n`),
};

/** Prints what became of everything, what failed last, with what to do next. Returns the exit code. */
export function printSummary(summary: Summary, { print, note }: SummaryOutput = standard): number {
  const { verdicts, problems, directory, stateDirectory } = summary;
  const bad = verdicts.filter(({ verdict }) => verdict.kind !== 'good');
  for (const { type, object, verdict } of verdicts) {
    if (verdict.kind === 'good') print(`${type.singular}/${keyString(keyOf(object))}  ${printable(verdict.message)}`);
  }
  if (verdicts.length === 0 && problems.length === 0) note(`There is nothing in ${directory}.`);
  for (const { type, object, verdict } of bad) {
    const code = verdict.kind === 'waiting' ? 'GF_CLI_UNSETTLED' : codeIn(verdict.message);
    const text = verdict.message.replace(`${code}: `, '');
    note(`error ${code}: ${type.singular} ${keyString(keyOf(object))}: ${printable(text)}`);
    const { name, namespace = 'default' } = object.metadata;
    const scope = namespace === 'default' ? '' : ` -n ${namespace}`;
    note(`  more: gridferry describe ${type.singular} ${name}${scope} --state ${stateDirectory}`);
  }
  for (const problem of problems) note(formatProblemAt(directory, problem));
  if (problems.some(({ severity }) => severity === 'error')) return ExitCode.usage;
  return bad.length > 0 ? ExitCode.failed : ExitCode.ok;
}

/** The code that the controller put into its message, as it knew best. */
function codeIn(message: string): string {
  return /\bGF_[A-Z0-9_]+/.exec(message)?.[0] ?? 'GF_CLI_FAILED';
}
