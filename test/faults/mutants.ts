import type { TransferContext } from '../../controllers/transfer/context.ts';
import type { Step, StepResult } from '../../controllers/transfer/step.ts';
import { inspectState, setRestartPolicy, startContainer } from '../../src/docker/lifecycle.ts';
import type { Mutation } from './controller-process.ts';
import { scenarios, secrets } from './scenario.ts';
import type { Scenario } from './scenario.ts';

/** A mistake that somebody could make in a step, and what has to be seen of it. */
export interface Mutant {
  readonly name: string;
  readonly mutate: Mutation;
  /** Of the violation. */
  readonly shows: RegExp;
  /** Where the mistake is not in a step. */
  readonly scenario?: Scenario;
  /** Schedules with this fault only. Default: random ones. */
  readonly fault?: string;
  /** Or those of a kind that go through every effect. */
  readonly kind?: 'cancel' | 'frozen';
  /** And only in this step. */
  readonly step?: string;
}

type Change = (step: Step) => Partial<Step>;

/** Changes the steps of these names, and leaves the others. */
function changing(changes: Readonly<Record<string, Change>>): Mutation {
  return (plan) => plan.map((step) => ({ ...step, ...changes[step.name]?.(step) }));
}

const doesNothing = (): Partial<Step> => ({ apply: () => Promise.resolve({ message: 'nothing' }) });
const undoesNothing = (): Partial<Step> => ({ undo: () => Promise.resolve(undefined) });

async function sourceOf(context: TransferContext) {
  const { engine } = await context.session.source(context);
  return { engine, containers: context.status.restore?.containers ?? [] };
}

async function startTargetUnseen(context: TransferContext): Promise<StepResult> {
  const { engine } = await context.session.target(context);
  for (const { name } of context.status.restore?.containers ?? []) {
    const { id } = await inspectState(engine, name);
    await startContainer(engine, id);
  }
  return { message: 'started without a look at the source' };
}

export const mutants: readonly Mutant[] = [
  {
    name: 'start-target does not look whether the source is stopped',
    mutate: changing({ 'start-target': () => ({ apply: startTargetUnseen }), 'verify-data': doesNothing }),
    shows: /two writers/,
    fault: 'user starts the stopped source by hand',
  },
  {
    name: 'quiesce-source leaves the restart policy on',
    mutate: changing({
      'quiesce-source': (step) => ({
        apply: async (context) => {
          const result = await step.apply(context);
          const { engine, containers } = await sourceOf(context);
          for (const { id, restartPolicy } of containers) {
            await setRestartPolicy(engine, id, { name: restartPolicy, maximumRetryCount: 0 });
          }
          return result;
        },
      }),
    }),
    shows: /two writers|would start with its engine/,
  },
  {
    name: 'the undo of quiesce-source forgets the restart policy',
    mutate: changing({
      'quiesce-source': () => ({
        undo: async (context) => {
          const { engine, containers } = await sourceOf(context);
          for (const { id } of containers) await startContainer(engine, id);
          return undefined;
        },
      }),
    }),
    shows: /has restart policy no/,
  },
  {
    name: 'the undo of quiesce-source does not start the service again',
    mutate: changing({ 'quiesce-source': undoesNothing }),
    shows: /at the source is exited/,
  },
  {
    name: 'the final delta is skipped, and nothing is verified',
    mutate: changing({ 'copy-final-delta': doesNothing, 'verify-data': doesNothing }),
    shows: /an acknowledged write is lost/,
  },
  {
    name: 'nothing is verified',
    mutate: changing({ 'verify-data': doesNothing }),
    shows: /an acknowledged write is lost/,
    fault: 'rewrite of the same size in the same second',
  },
  {
    name: 'the data do not go back after the public name was changed',
    mutate: changing({ 'copy-final-delta': undoesNothing }),
    shows: /an acknowledged write is lost/,
    kind: 'cancel',
    step: 'soak',
  },
  {
    name: 'the undo of start-target leaves the target running',
    mutate: changing({ 'start-target': undoesNothing }),
    shows: /two writers|it has not ended/,
  },
  {
    name: 'the undo of create-volumes leaves them there',
    mutate: changing({ 'create-volumes': undoesNothing }),
    shows: /beta keeps volume/,
  },
  {
    name: 'the undo of create-containers and create-volumes leaves everything there',
    mutate: changing({ 'create-containers': undoesNothing, 'create-volumes': undoesNothing }),
    shows: /beta keeps container/,
  },
  {
    name: 'DNS is not put back',
    mutate: changing({ 'cut-over-dns': undoesNothing, 'lower-dns-ttl': undoesNothing }),
    shows: /but DNS is/,
  },
  {
    name: 'the locks on the servers stay',
    mutate: changing({ release: doesNothing }),
    shows: /keeps the lock|keeps the helper|keeps gridferry/,
  },
  {
    name: 'a tag that meant another image is not given back',
    mutate: changing({ 'copy-images': undoesNothing, upload: undoesNothing }),
    shows: /but image tags are/,
  },
  {
    name: 'folders of bind mounts stay',
    mutate: changing({ 'precopy-data': undoesNothing, upload: undoesNothing }),
    shows: /but the target has folder/,
  },
  {
    name: 'keys and connections of the direct way stay',
    mutate: changing({
      release: (step) => ({
        apply: (context) => step.apply({ ...context, status: { ...context.status, credentials: [] } }),
      }),
    }),
    shows: /keeps the folder of a transfer|keeps a connection/,
  },
  {
    name: 'the forward of an undone move stays',
    mutate: changing({ 'forward-old-address': undoesNothing }),
    shows: /keeps the forward/,
    kind: 'cancel',
    step: 'soak',
  },
  {
    name: 'the way back brings no data along, and does not compare',
    mutate: changing({ 'return-final-delta': doesNothing, 'return-verify': doesNothing }),
    shows: /an acknowledged write is lost/,
    fault: 'link at 1 Mbit/s',
    step: 'return-precopy',
  },
  {
    name: 'a secret on a command line',
    mutate: changing({
      'create-containers': (step) => ({
        apply: async (context) => {
          const { host } = await context.session.target(context);
          await host.exec(['test', '-d', `/${secrets.environment}`], { allowFailure: true });
          return step.apply(context);
        },
      }),
    }),
    shows: /shows a secret/,
  },
  {
    name: 'servers do not refuse what an older leader sends',
    mutate: (plan) => plan,
    scenario: { ...scenarios[0]!, unfenced: true },
    shows: /two writers|keeps|lost/,
    kind: 'frozen',
    step: 'quiesce-source',
  },
];
