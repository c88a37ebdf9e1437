import { pino } from 'pino';
import type { ControllerDependencies } from '../../controllers/dependencies.ts';
import type { Chores } from '../../controllers/transfer/aftercare.ts';
import { transferController } from '../../controllers/transfer/controller.ts';
import { wasReached } from '../../controllers/transfer/itinerary.ts';
import type { TransferContext } from '../../controllers/transfer/context.ts';
import type { Step } from '../../controllers/transfer/step.ts';
import { API_VERSION } from '../../src/api/meta.ts';
import { ManagedServers, Transfers } from '../../src/api/resources.ts';
import type { ManagedServer, Transfer, TransferSpec, TransferStatus } from '../../src/api/resources.ts';
import { GridferryError } from '../../src/errors.ts';
import type { Client } from '../../src/home/client.ts';
import { sleep } from '../../src/runtime/clock.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import type { Leadership } from '../../src/runtime/leadership.ts';
import { createManager } from '../../src/runtime/manager.ts';
import type { Manager } from '../../src/runtime/manager.ts';
import { createRedactor } from '../../src/security/redact.ts';

const namespace = 'default';

/** Two servers, one service and its clients, as far as a transfer can harm them. Effects are instantaneous. */
export interface Model {
  source: 'running' | 'stopped';
  target: 'absent' | 'created' | 'running';
  dns: 'source' | 'target';
  locked: boolean;
  /** Writes that the data of each side have in them, and those that a client was told are stored. */
  sourceWrites: number;
  targetWrites: number;
  acknowledged: number;
  readonly violations: string[];
  readonly history: string[];
}

export function newModel(): Model {
  return {
    source: 'running',
    target: 'absent',
    dns: 'source',
    locked: false,
    sourceWrites: 0,
    targetWrites: 0,
    acknowledged: 0,
    violations: [],
    history: [],
  };
}

/** A client writes, where the public name leads it; nobody answers while that side is stopped. */
export function clientWrites(model: Model): void {
  if (model.dns === 'source' && model.source === 'running') model.acknowledged = ++model.sourceWrites;
  if (model.dns === 'target' && model.target === 'running') model.acknowledged = ++model.targetWrites;
}

/** Called before and after each effect, as `quiesce-source/undo/before`: to fail, to wait, or to die. */
export type Hook = (point: string, context: TransferContext) => unknown;

/** Makes a step of what it does to the model. */
export type ModelStep = (
  name: string,
  phase: Step['phase'],
  effect: (context: TransferContext) => void,
  undo?: (context: TransferContext) => void,
  more?: Partial<Step>,
) => Step;

export function modelStep(model: Model, hook: Hook): ModelStep {
  const around =
    (name: string, way: 'apply' | 'undo', effect: (context: TransferContext) => void) =>
    async (context: TransferContext): Promise<void> => {
      await hook(`${name}/${way}/before`, context);
      effect(context);
      model.history.push(way === 'apply' ? name : `undo ${name}`);
      if (model.source === 'running' && model.target === 'running') {
        model.violations.push(`two writers after ${way} of ${name}`);
      }
      await hook(`${name}/${way}/after`, context);
    };
  return (name, phase, effect, undo, more = {}) => {
    const apply = around(name, 'apply', effect);
    const back = undo === undefined ? undefined : around(name, 'undo', undo);
    return {
      name,
      phase,
      apply: async (context) => {
        await apply(context);
        return { message: name };
      },
      ...(back === undefined
        ? {}
        : {
            undo: async (context) => {
              await back(context);
              return undefined;
            },
          }),
      ...more,
    };
  };
}

/** The names, phases and promises of the real plan's steps, on the model. */
export function modelPlan(model: Model, hook: Hook): readonly Step[] {
  const step = modelStep(model, hook);
  const capture = step('capture-source', 'Preparing', () => undefined);
  return [
    {
      ...capture,
      apply: async (context) => {
        const running = model.source === 'running';
        await capture.apply(context);
        const containers = [{ id: 'c1', name: 'web', running, restartPolicy: 'always' }];
        return { record: (status: TransferStatus) => void (status.restore ??= { containers }) };
      },
    },
    step(
      'lock-servers',
      'Preparing',
      () => void (model.locked = true),
      () => void (model.locked = false),
    ),
    step(
      'create-containers',
      'Uploading',
      () => {
        if (model.target === 'absent') model.target = 'created';
      },
      () => {
        if (model.target === 'running') model.violations.push('the running target was removed');
        model.target = 'absent';
      },
    ),
    step(
      'quiesce-source',
      'Restoring',
      (context) => {
        if (context.status.restore === undefined) model.violations.push('stopped before its state was written down');
        model.source = 'stopped';
      },
      (context) => {
        if (context.status.restore?.containers[0]?.running === true) model.source = 'running';
      },
    ),
    step(
      'copy-final-delta',
      'Restoring',
      () => {
        if (model.source === 'running') throw new GridferryError('GF_TRANSFER_SOURCE_RUNNING', 'the source runs');
        if (model.target !== 'running') model.targetWrites = model.sourceWrites;
      },
      (context) => {
        if (wasReached(context.status.steps, 'cut-over-dns')) model.sourceWrites = model.targetWrites;
      },
      { undoFirst: true },
    ),
    step(
      'start-target',
      'Restoring',
      () => {
        if (model.source === 'running') throw new GridferryError('GF_TRANSFER_SOURCE_RUNNING', 'the source runs');
        model.target = 'running';
      },
      () => {
        if (model.target === 'running') model.target = 'created';
      },
      { undoFirst: true },
    ),
    step('check-local-health', 'Restoring', () => undefined),
    step(
      'cut-over-dns',
      'DNSCutover',
      () => void (model.dns = 'target'),
      () => void (model.dns = 'source'),
      { commitPoint: true },
    ),
    step('check-public-health', 'Verifying', () => undefined),
    step('release', 'Completed', () => void (model.locked = false)),
  ];
}

/** One Gridferry process, which can be made to die on the spot: nothing of it happens any more. */
export interface TestProcess {
  readonly manager: Manager;
  readonly client: Client;
  dead(): boolean;
  kill(): void;
}

export function startProcess(options: {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: () => number;
  readonly plan: (life: Life) => readonly Step[];
  /** The steps of the way back, for transfers with a rollback. Default: none. */
  readonly wayBack?: (life: Life) => readonly Step[];
  readonly chores?: Chores;
  /** Called before and after each write, as `updateStatus/before`. */
  readonly onWrite?: (point: string, life: Life) => unknown;
  /** As one of several replicas. */
  readonly leadership?: Leadership;
}): TestProcess {
  const life = createLife(options.clock);
  const { clock } = life;
  const client = mortal(options.client, life, options.onWrite ?? (() => undefined));
  const log = pino({ level: 'silent' });
  const { leadership } = options;
  const replica =
    leadership === undefined ? {} : { replica: { leadership, fenceKey: 'test', onFenced: () => undefined } };
  const dependencies = { client, clock, random: options.random, log, redactor: createRedactor(), ...replica };
  const plan = options.plan(life);
  const wayBack = options.wayBack?.(life) ?? [];
  const transfers = transferController(dependencies as unknown as ControllerDependencies, {
    planOf: ({ rollback }) => (rollback === undefined ? plan : [...plan, ...wayBack]),
    ...(options.chores === undefined ? {} : { chores: options.chores }),
  });
  const manager = createManager({
    client,
    clock,
    log,
    random: options.random,
    controllers: [transfers.definition] as never,
    ...(leadership === undefined ? {} : { leadership }),
  });
  manager.start().catch(() => undefined);
  return { manager, client, dead: () => life.dead, kill: () => life.kill() };
}

export interface Life {
  readonly clock: Clock;
  readonly dead: boolean;
  readonly ended: AbortSignal;
  kill(): void;
  /** Never resolves when it is dead. */
  go(): Promise<void>;
}

function createLife(outer: Clock): Life {
  const ended = new AbortController();
  return {
    clock: {
      now: () => outer.now(),
      monotonic: () => outer.monotonic(),
      after: (ms, callback) =>
        outer.after(ms, () => {
          if (!ended.signal.aborted) callback();
        }),
    },
    get dead() {
      return ended.signal.aborted;
    },
    ended: ended.signal,
    kill: () => ended.abort(),
    go: () => (ended.signal.aborted ? new Promise(() => undefined) : Promise.resolve()),
  };
}

const WRITES = ['create', 'update', 'updateStatus', 'patch', 'delete'];

export function mortal(client: Client, life: Life, onWrite: (point: string, life: Life) => unknown): Client {
  return new Proxy(client, {
    get(target, name: keyof Client) {
      if (name === 'watch') {
        return async function* (type: never, options: { signal: AbortSignal }) {
          const signal = AbortSignal.any([options.signal, life.ended]);
          for await (const event of target.watch(type, { ...options, signal })) {
            await life.go();
            yield event;
          }
          await life.go();
        };
      }
      return async (...args: never[]) => {
        const isWrite = WRITES.includes(name) && (args[0] as unknown as { kind: string }).kind !== 'Event';
        await life.go();
        if (isWrite) await onWrite(`${name}/before`, life);
        await life.go();
        const result = await (target[name] as (...all: never[]) => Promise<unknown>)(...args);
        await life.go();
        if (isWrite) await onWrite(`${name}/after`, life);
        await life.go();
        return result;
      };
    },
  });
}

export function onlineServer(name: string, change: Partial<ManagedServer['spec']> = {}): ManagedServer {
  return {
    apiVersion: API_VERSION,
    kind: 'ManagedServer',
    metadata: { name, namespace },
    spec: { address: '10.0.0.1', allowUserWorkloads: true, unschedulable: false, ...change },
    status: { phase: 'Online' },
  } as unknown as ManagedServer;
}

export function transferOf(name: string, spec: Partial<TransferSpec> = {}): Transfer {
  return {
    apiVersion: API_VERSION,
    kind: 'Transfer',
    metadata: { name, namespace },
    spec: {
      type: 'Service',
      container: 'web',
      sourceServerRef: { name: 'alpha' },
      targetServerRef: { name: 'beta' },
      rollbackWindow: '48h',
      onSoakFailure: 'Keep',
      retention: { source: 'Keep' },
      suspend: false,
      cancel: false,
      ...spec,
    },
  } as unknown as Transfer;
}

export async function createServers(client: Client): Promise<void> {
  for (const name of ['alpha', 'beta']) {
    const server = onlineServer(name);
    const created = await client.create(ManagedServers, server);
    await client.updateStatus(ManagedServers, { ...created, status: server.status! });
  }
}

export function changeSpec(client: Client, name: string, spec: Partial<TransferSpec>): Promise<Transfer> {
  return client.patch(Transfers, { namespace, name }, { type: 'merge', body: { spec } });
}

/** Lets a step take its time, and end early when it is told to. */
export function takesTime(ms: number, { clock, signal }: TransferContext): Promise<void> {
  return sleep(clock, ms, signal);
}
