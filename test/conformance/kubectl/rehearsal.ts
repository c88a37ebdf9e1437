import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { callUntil, createKubectl, words } from './kubectl.ts';
import type { Kubectl, Outcome } from './kubectl.ts';
import { createNormaliser } from './normalise.ts';
import type { Scenario, Step } from './scenario.ts';
import type { ApiServer } from './servers.ts';

/** What one step did, normalised. */
export interface Act {
  readonly step: Step;
  /** All that the user of a terminal sees, and the exit code. */
  readonly transcript: string;
  readonly exitCode: number | undefined;
}

/** Where one scenario is acted. */
export interface Stage {
  readonly binary: string;
  readonly server: ApiServer;
  /** A home directory for kubectl, shared by the scenarios of one binary at one server. */
  readonly home: string;
  readonly namespace: string;
}

/** As long as what the normaliser puts in its place. */
export function uniqueNamespace(): string {
  return `kubectl-${randomBytes(5).toString('hex').slice(1)}`;
}

/** Plays a scenario at one server, in a new namespace and directory, and tells what kubectl said at each step. */
export async function rehearse(scenario: Scenario, stage: Stage): Promise<Act[]> {
  const directory = mkdtempSync(join(tmpdir(), 'gridferry-kubectl-'));
  const kubeconfig = join(directory, '.kubeconfig');
  const { namespace } = stage;
  writeFileSync(kubeconfig, JSON.stringify(stage.server.kubeconfig(namespace)), { mode: 0o600 });
  for (const [path, text] of Object.entries(scenario.files ?? {})) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  const kubectl = createKubectl({ ...stage, kubeconfig, directory });
  try {
    await must(kubectl, ['create', 'namespace', namespace]);
    return await play(scenario.steps, kubectl, stage, directory);
  } finally {
    await must(kubectl, ['delete', 'namespace', namespace, '--wait=false', '--ignore-not-found']);
    rmSync(directory, { recursive: true, force: true });
  }
}

async function play(steps: readonly Step[], kubectl: Kubectl, stage: Stage, directory: string): Promise<Act[]> {
  const { namespace, server } = stage;
  const normalise = createNormaliser({ server: server.url, directory, namespace });
  const kept = new Map([['namespace', namespace]]);
  const fill = (text: string): string => text.replaceAll(/\$\{(\w+)\}/g, (all, name: string) => kept.get(name) ?? all);
  const acts: Act[] = [];

  const act = async (step: Step): Promise<void> => {
    const { run, stdin, editor, env, until, meanwhile, lines, keep } = step;
    const once = (): Promise<Outcome> =>
      kubectl.call({
        args: words(fill(run)),
        ...(stdin === undefined ? {} : { stdin: fill(stdin) }),
        env: { ...env, ...(editor === undefined ? {} : { KUBE_EDITOR: editor }) },
        ...(lines === undefined ? {} : { lines }),
        ...(meanwhile === undefined ? {} : { onWatching: () => inOrder(meanwhile) }),
      });
    const outcome = await (until === undefined
      ? once()
      : callUntil(once, ({ stdout, stderr }) => until.test(stdout + stderr)));
    if (keep !== undefined) kept.set(keep, outcome.stdout.trim());
    acts.push({ step, transcript: transcriptOf(run, outcome, normalise), exitCode: outcome.exitCode });
  };
  const inOrder = async (some: readonly Step[]): Promise<void> => {
    for (const step of some) await act(step);
  };
  await inOrder(steps);
  return acts;
}

function transcriptOf(run: string, { stdout, stderr, exitCode }: Outcome, normalise: (text: string) => string): string {
  const said = normalise(stdout);
  const complained = stderr === '' ? '' : `[stderr]\n${normalise(stderr)}`;
  return `$ kubectl ${run}\n${said}${complained}[exit ${String(exitCode ?? 'by signal')}]\n`;
}

async function must(kubectl: Kubectl, args: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await kubectl.call({ args });
  if (exitCode !== 0) throw new Error(`kubectl ${args.join(' ')} failed: ${stderr}`);
}
