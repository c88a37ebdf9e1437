import type { KubeObject } from '../../api/meta.ts';
import { GridferryError } from '../../errors.ts';
import type { GitRepository } from '../../git/repository.ts';
import type { LoadedObject, ManifestContext } from '../manifest-file.ts';
import { FILE_START, formatProblem, problem } from '../manifest-problem.ts';
import type { ManifestProblem } from '../manifest-problem.ts';
import { pruneCandidates } from '../manifest-prune.ts';
import type { LiveObject } from '../manifest-prune.ts';
import { shortRevision } from './git-status.ts';
import type { Refusal } from './git-status.ts';
import { loadCommit } from './load-commit.ts';
import type { LoadedCommit } from './load-commit.ts';

export interface Candidate {
  readonly commit: string;
  /** The commit in use, which the new one has to be made on top of; absent: any will do. */
  readonly mustContain: string | undefined;
  readonly branch: string;
  /** Of the `Source` object, for what to do next. */
  readonly name: string;
  readonly path: string;
  /** What objects carry that came from this source. */
  readonly identity: string;
}

export interface JudgeTools {
  readonly repository: GitRepository;
  readonly context: ManifestContext;
  readonly known: readonly LoadedCommit[];
  readonly listLive: () => Promise<ReadonlyMap<string, LiveObject>>;
  /** Told of what is about to be checked. */
  readonly onLoaded: (loaded: LoadedCommit) => void;
  /** What the API would refuse. */
  readonly check: (
    objects: ReadonlyMap<string, LoadedObject>,
    live: (id: string) => KubeObject | undefined,
    revision: string,
  ) => Promise<ManifestProblem[]>;
}

const SHOWN = 3;

/**
 * Whether a commit may be applied: all of it is looked at, down to what the API would say to each object, before
 * anything is written.
 *
 * @throws what keeps the question from being answered at the moment.
 */
export async function judgeCommit(candidate: Candidate, tools: JudgeTools): Promise<LoadedCommit | Refusal> {
  const { commit, mustContain, branch, name, path, identity } = candidate;
  const { repository, context, known } = tools;
  const revision = shortRevision(branch, commit);
  if (mustContain !== undefined) {
    const isThere = await repository.has(mustContain);
    if (!isThere || !(await repository.contains(commit, mustContain))) {
      const message = `history was rewritten: ${revision} does not contain ${shortRevision(branch, mustContain)}`;
      const hint = `if that is meant, run: gridferry reconcile source/${name} --accept-rewrite`;
      return refusal(commit, 'HistoryRewritten', problem('GF_GIT_REWRITTEN', '.', FILE_START, message, hint));
    }
  }
  let loaded: LoadedCommit;
  try {
    loaded = await loadCommit(repository, commit, path, context, known);
  } catch (error) {
    if (!(error instanceof GridferryError) || error.code !== 'GF_GIT_PATH') throw error;
    return refusal(commit, 'PathNotFound', problem(error.code, '.', FILE_START, error.message, ''));
  }
  const errors = errorsOf(loaded);
  if (errors.length > 0) return invalidCommit(branch, commit, errors);
  const live = await tools.listLive();
  const scope = { directory: identity, defines: (id: string) => loaded.objects.has(id), files: [], unreadable: [] };
  const orphans = loaded.objects.size === 0 ? pruneCandidates(live.values(), scope).length : 0;
  if (orphans > 0) {
    const message = `${revision} has no manifests, but ${String(orphans)} objects came from here; they are kept`;
    const hint = 'if that is meant, delete them with kubectl';
    return refusal(commit, 'NoManifests', problem('GF_GIT_NO_MANIFESTS', '.', FILE_START, message, hint));
  }
  tools.onLoaded(loaded);
  const refused = await tools.check(loaded.objects, (id) => live.get(id)?.object, commit);
  return refused.length > 0 ? invalidCommit(branch, commit, refused) : loaded;
}

export function isRefusal(judged: LoadedCommit | Refusal): judged is Refusal {
  return 'reason' in judged;
}

export function errorsOf({ problems }: LoadedCommit): ManifestProblem[] {
  return problems.filter(({ severity }) => severity === 'error');
}

export function invalidCommit(branch: string, commit: string, problems: readonly ManifestProblem[]): Refusal {
  const shown = problems.slice(0, SHOWN).map(formatProblem).join('; ');
  const more = problems.length > SHOWN ? `; and ${String(problems.length - SHOWN)} more` : '';
  const message = `${shortRevision(branch, commit)} is not applied: ${shown}${more}`;
  return { commit, reason: 'CommitInvalid', message, problems };
}

function refusal(commit: string, reason: Refusal['reason'], found: ManifestProblem): Refusal {
  const message = found.hint === '' ? found.message : `${found.message}; ${found.hint}`;
  return { commit, reason, message, problems: [found] };
}
