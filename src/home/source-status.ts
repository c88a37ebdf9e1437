import type { Condition } from '../api/meta.ts';
import type { SourceStatus } from '../api/resources.ts';
import { setCondition } from '../runtime/conditions.ts';
import type { ManifestProblem } from './manifest-problem.ts';

/** How a source stands, in one word and one sentence. */
export interface SourceVerdict {
  readonly ready: Condition['status'];
  /** CamelCase. */
  readonly reason: string;
  readonly message: string;
  /** It goes on by itself (`progressing`), or somebody has to do something first (`stalled`). */
  readonly trend: 'settled' | 'progressing' | 'stalled';
}

const MAX_PROBLEMS = 50;
const MAX_MESSAGE = 2_000;

/**
 * The conditions as kstatus reads them: `Ready` always, `Reconciling` and `Stalled` only while they are true.
 * https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
 *
 * @param now wall clock, ms
 */
export function verdictConditions(
  before: readonly Condition[] | undefined,
  { ready, reason, message, trend }: SourceVerdict,
  observedGeneration: number,
  now: number,
): Condition[] {
  const said = { reason, message: message.slice(0, MAX_MESSAGE), observedGeneration };
  const others = (before ?? []).filter(({ type }) => type !== 'Reconciling' && type !== 'Stalled');
  const list = setCondition(others, { type: 'Ready', status: ready, ...said }, now);
  const trends = { settled: undefined, progressing: 'Reconciling', stalled: 'Stalled' } as const;
  const type = trends[trend];
  if (type === undefined) return list;
  const since = before?.find((condition) => condition.type === type);
  return setCondition(since === undefined ? list : [...list, since], { type, status: 'True', ...said }, now);
}

/** The first problems, as the status keeps them; `undefined` when there are none. */
export function statusProblems(problems: readonly ManifestProblem[]): SourceStatus['problems'] {
  if (problems.length === 0) return undefined;
  return problems.slice(0, MAX_PROBLEMS).map(({ file, line, column, field, code, message, hint }) => ({
    file,
    line,
    column,
    code,
    message: `${message}${hint === '' ? '' : ` (${hint})`}`.slice(0, MAX_MESSAGE),
    ...(field === '' ? {} : { field }),
  }));
}

/** `1 file`, `2 files`. */
export function counted(count: number, noun: string): string {
  return `${String(count)} ${noun}${count === 1 ? '' : 's'}`;
}
