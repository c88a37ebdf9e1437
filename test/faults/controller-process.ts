import { pino } from 'pino';
import type Docker from 'dockerode';
import type { ControllerDependencies } from '../../controllers/dependencies.ts';
import type { ServerConnection, ServerConnections } from '../../controllers/servers/connections.ts';
import { transferController } from '../../controllers/transfer/controller.ts';
import { planOf as realPlanOf } from '../../controllers/transfer/plan.ts';
import type { PlanOf } from '../../controllers/transfer/plan.ts';
import type { Step } from '../../controllers/transfer/step.ts';
import type { ManagedServer } from '../../src/api/resources.ts';
import { classifyDial } from '../../src/docker/dial.ts';
import type { DialOptions, Modem } from '../../src/docker/dial.ts';
import type { EngineFacts } from '../../src/docker/engine-facts.ts';
import { GridferryError } from '../../src/errors.ts';
import { ApiError } from '../../src/home/api-error.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { leaderClient } from '../../src/runtime/leader-client.ts';
import type { Leadership } from '../../src/runtime/leadership.ts';
import { createManager } from '../../src/runtime/manager.ts';
import { plainCopy } from '../../src/runtime/structural.ts';
import { createRedactor } from '../../src/security/redact.ts';
import { Transfers } from '../../src/api/resources.ts';
import { mortal } from '../support/transfer-world.ts';
import type { Life } from '../support/transfer-world.ts';
import { answer } from './engine-api.ts';
import { Unmodelled } from './engine-failure.ts';
import { openLink } from './link.ts';
import type { Link } from './link.ts';
import { modelDataPlane } from './model-data-plane.ts';
import { modelHost } from './model-host.ts';
import type { ModelServer } from './model-server.ts';
import { namespace, secrets, transferName } from './scenario.ts';
import type { World } from './world.ts';

/** A change of the plan: what the steps would be with a mistake in them. */
export type Mutation = (plan: readonly Step[]) => readonly Step[];

export interface ProcessOptions {
  readonly name: string;
  readonly mutate?: Mutation | undefined;
  /** Where several replicas share the home. */
  readonly leadership?: Leadership;
}

/** One process of Gridferry with the real Transfer controller, its plan and its steps. It can be killed, or frozen. */
export class ControllerProcess {
  readonly name: string;
  readonly life: FreezableLife;
  readonly links = new Map<string, Link>();
  readonly #leadership: Leadership | undefined;

  constructor(world: World, { name, mutate, leadership }: ProcessOptions) {
    this.name = name;
    this.life = new FreezableLife(world.clock);
    this.#leadership = leadership;
    const home = mortal(world.api, this.life, (point) => writeHook(world, this, point));
    const client = leadership === undefined ? home : leaderClient(home, leadership);
    const log = pino({ level: 'info' }, { write: (line: string) => void world.logs.push(line) });
    const replica =
      leadership === undefined ? {} : { replica: { leadership, fenceKey: 'home', onFenced: () => undefined } };
    const dependencies: ControllerDependencies = {
      client,
      clock: this.life.clock,
      random: world.random,
      log,
      redactor: createRedactor(),
      watchSecrets: false,
      secrets: { read: () => Promise.resolve(new Map([['token', Buffer.from(secrets.token)]])) },
      servers: connectionsOf(world, this),
      dns: { cloudflare: () => world.dns.providerFor(this), close: () => Promise.resolve() },
      ...replica,
    };
    const transfers = transferController(dependencies, {
      planOf: watchedPlan(world, mutate),
      dataPlane: modelDataPlane(world, this),
    });
    const manager = createManager({
      ...{ client, clock: this.life.clock, log, random: world.random, controllers: [transfers.definition] as never },
      ...(leadership === undefined ? {} : { leadership }),
    });
    manager.start().catch(() => undefined);
    world.note(`${name} starts`);
  }

  /** Of the leader it is; undefined where there is only one process. */
  get epoch(): number | undefined {
    return this.#leadership?.epoch();
  }

  mayWrite(): boolean {
    return this.#leadership?.isLeader() ?? true;
  }

  kill(): void {
    this.life.kill();
  }
}

/** A process's view of time, which ends with it and stands still while it is frozen. */
export class FreezableLife implements Life {
  readonly clock: Clock;
  readonly #ended = new AbortController();
  #thaw: PromiseWithResolvers<undefined> | undefined;
  readonly #held: (() => void)[] = [];
  readonly #outer: Clock;

  constructor(outer: Clock) {
    this.#outer = outer;
    this.clock = {
      now: () => outer.now(),
      monotonic: () => outer.monotonic(),
      after: (ms, callback) =>
        outer.after(ms, () => {
          if (this.dead) return;
          if (this.#thaw === undefined) callback();
          else this.#held.push(callback);
        }),
    };
  }

  get dead(): boolean {
    return this.#ended.signal.aborted;
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  get frozen(): boolean {
    return this.#thaw !== undefined;
  }

  kill(): void {
    this.#ended.abort();
  }

  freeze(): void {
    this.#thaw ??= Promise.withResolvers();
  }

  thaw(): void {
    const thaw = this.#thaw;
    this.#thaw = undefined;
    thaw?.resolve(undefined);
    // What was about to be sent goes out before any timer has a say.
    this.#outer.after(5, () => {
      for (const callback of this.#held.splice(0)) if (!this.dead) callback();
    });
  }

  async go(): Promise<void> {
    while (this.#thaw !== undefined) await this.#thaw.promise;
    if (this.dead) await new Promise(() => undefined);
  }
}

/** Tells the world which step begins; the steps themselves run unchanged. */
function watchedPlan(world: World, mutate: Mutation = (plan) => plan): PlanOf {
  return (status) =>
    mutate(realPlanOf(status)).map((step) => ({
      ...step,
      ...(step.observe === undefined
        ? {}
        : {
            observe: (context) => {
              world.beginStep(step.name, 'do');
              return step.observe!(context);
            },
          }),
      apply: (context) => {
        if (step.observe === undefined) world.beginStep(step.name, 'do');
        return step.apply(context);
      },
      ...(step.undo === undefined
        ? {}
        : {
            undo: (context) => {
              world.beginStep(step.name, 'undo');
              return step.undo!(context);
            },
          }),
    }));
}

/** Before and after each write to the home. */
async function writeHook(world: World, process: ControllerProcess, point: string): Promise<void> {
  const [operation = '', at] = point.split('/');
  const around = world.around(`home ${operation}`);
  if (at === 'before') around.before();
  else around.after();
  await process.life.go();
  if (at === 'before' && world.store === 'fails') throw new ApiError('ServiceUnavailable', 'the store is not there');
  if (at === 'after' && world.store === 'loses answers') {
    throw new ApiError('ServiceUnavailable', 'the connection broke before the answer');
  }
  if (at === 'before' && world.store === 'conflicts') {
    const key = { namespace, name: transferName };
    const body = { metadata: { annotations: { touched: String(world.clock.monotonic()) } } };
    await world.api.patch(Transfers, key, { type: 'merge', body }).catch(() => undefined);
  }
}

function connectionsOf(world: World, process: ControllerProcess): ServerConnections {
  const open = new Map<string, { link: Link | undefined; readonly connection: Promise<ServerConnection> }>();
  const connect = (server: Readonly<ManagedServer>): Promise<ServerConnection> => {
    const { name } = server.metadata;
    const known = open.get(name);
    if (known !== undefined && known.link?.alive !== false) return known.connection;
    const entry = {
      link: undefined as Link | undefined,
      connection: openLink(world, process, world.server(name)).then((link) => {
        entry.link = link;
        return connectionOver(world, link);
      }),
    };
    open.set(name, entry);
    entry.connection.catch(() => {
      if (open.get(name) === entry) open.delete(name);
    });
    return entry.connection;
  };
  return {
    connect,
    login: connect,
    forget: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

function connectionOver(world: World, link: Link): ServerConnection {
  const host = modelHost(world, link);
  const docker = { modem: { dial: dialOver(world, link) } } as unknown as Docker;
  classifyDial(docker, link.server.name);
  const hostKey = { algorithm: 'ssh-ed25519', publicKey: 'ssh-ed25519 AAAA', fingerprint: 'SHA256:x' } as never;
  return { host, hostKey, engine: { docker, host, info: engineFacts(link.server), close: () => undefined } };
}

function dialOver(world: World, link: Link): Modem['dial'] {
  const { server } = link;
  return (options, callback) => {
    const request = requestOf(options);
    const op = `${request.method} ${request.path.map((part) => (/^[0-9a-f]{64}$/.test(part) ? 'ID' : part)).join('/')}`;
    const effect = async (): Promise<unknown> => {
      if (!server.engineUp) throw new GridferryError('GF_HOST_CONNECT_FAILED', 'nobody listens on the socket');
      const { engineLives } = server;
      const data = await answer(server, request);
      if (engineLives !== server.engineLives) throw new Error('socket hang up');
      return plainCopy(data);
    };
    link.call(op, effect, options.abortSignal).then(
      (data) => callback(null, data),
      (error: unknown) => {
        if (error instanceof Unmodelled) world.violate(`not modelled: ${error.message}`);
        callback(error, null);
      },
    );
  };
}

function requestOf({ method, path, options }: DialOptions): Parameters<typeof answer>[1] {
  const { _query = {}, _body = {} } = (options ?? {}) as { _query?: object; _body?: object };
  const parts = path.replace(/\?$/, '').split('/').slice(1).map(decodeURIComponent);
  return { method, path: parts, query: { ..._query }, body: { ..._body } };
}

function engineFacts(server: ModelServer): EngineFacts {
  return {
    ...{ id: server.name, name: server.name, version: '27.0.0', apiVersion: '1.46', os: 'linux', arch: 'amd64' },
    ...{ kernel: '6.1.0', storageDriver: 'overlay2', imageStore: 'overlay2', rootDir: '/var/lib/docker' },
    ...{ liveRestore: false, rootless: false, podman: false, swarm: false, cgroupVersion: 2, defaultRuntime: 'runc' },
    ...{ runtimes: ['runc'], volumeDrivers: ['local'], networkDrivers: ['bridge', 'host', 'null'] },
    ...{ logDrivers: ['json-file'], securityOptions: [], missingLimits: [] },
  };
}
