import { GridferryError } from '../../src/errors.ts';
import { sleep } from '../../src/runtime/clock.ts';
import type { ControllerProcess } from './controller-process.ts';
import type { ModelServer } from './model-server.ts';
import type { Node } from './network.ts';
import type { World } from './world.ts';

/** After so long without a sign of the server a connection is given up, in ms. */
const GIVEN_UP_MS = 45_000;

/**
 * One SSH connection of one controller process. What is asked over it happens at the server some time later, whoever
 * still waits for the answer.
 */
export class Link {
  readonly server: ModelServer;
  readonly closed: Promise<Error | undefined>;
  readonly #world: World;
  readonly #process: ControllerProcess;
  #alive = true;
  #mute = false;
  readonly #lost = Promise.withResolvers<Error | undefined>();
  readonly #pending = new Set<(reason: Error) => void>();

  constructor(world: World, process: ControllerProcess, server: ModelServer) {
    this.#world = world;
    this.#process = process;
    this.server = server;
    this.closed = this.#lost.promise;
    world.links.add(this);
  }

  get alive(): boolean {
    return this.#alive;
  }

  get epoch(): number | undefined {
    return this.#process.epoch;
  }

  get #node(): Node {
    return this.server.name as Node;
  }

  /** The connection breaks, and both ends know. */
  cut(reason: string): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#world.links.delete(this);
    const error = new GridferryError(
      'GF_SSH_CLOSED',
      `The connection to server ${this.server.name} is gone (${reason}).`,
      { class: 'retryable' },
    );
    for (const reject of [...this.#pending]) reject(error);
    this.#pending.clear();
    this.#lost.resolve(error);
  }

  /** The server is not heard any more, and nobody says so. */
  mute(): void {
    this.#mute = true;
  }

  /** Carries out an effect at the server, and its answer back. */
  async call<T>(op: string, effect: () => T | Promise<T>, signal?: AbortSignal): Promise<T> {
    const { life } = this.#process;
    await life.go();
    const point = this.#world.around(`${this.server.name} ${op}`);
    point.before();
    await life.go();
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const fail = (reason: Error): void => void life.go().then(() => reject(reason));
    if (!this.#alive) this.#refuse(fail);
    const onAbort = (): void => fail(signal?.reason as Error);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#pending.add(fail);
    const giveUp = this.#giveUpWhenSilent();
    this.#carryOut(op, effect, point.after).then(resolve, fail);
    try {
      return await promise;
    } finally {
      giveUp();
      signal?.removeEventListener('abort', onAbort);
      this.#pending.delete(fail);
    }
  }

  /** Looks now and then whether the server is still heard; returns a function that ends it. */
  #giveUpWhenSilent(): () => void {
    let cancel = (): void => undefined;
    const look = (): void => {
      cancel = this.#world.clock.after(GIVEN_UP_MS, () => {
        if (this.#mute || this.#world.network.isCut('controller', this.#node)) this.cut('it stopped answering');
        else look();
      });
    };
    look();
    return () => cancel();
  }

  #refuse(fail: (reason: Error) => void): void {
    fail(
      new GridferryError('GF_SSH_CLOSED', `The connection to server ${this.server.name} is gone.`, {
        class: 'retryable',
      }),
    );
  }

  async #carryOut<T>(op: string, effect: () => T | Promise<T>, after: () => void): Promise<T> {
    const { network } = this.#world;
    await network.travel('controller', this.#node);
    if (!this.#isHeard() || !this.server.up) return new Promise(() => undefined);
    this.#requireEpoch();
    let outcome: { readonly value: T } | { readonly error: unknown };
    try {
      outcome = { value: await effect() };
      this.#world.note(`${this.server.name} ${op}`);
    } catch (error) {
      outcome = { error };
      this.#world.note(`${this.server.name} ${op}: ${error instanceof Error ? error.message : String(error)}`);
    }
    this.#world.event();
    after();
    await network.travel('controller', this.#node);
    if (!this.#isHeard()) return new Promise(() => undefined);
    await this.#process.life.go();
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  }

  #isHeard(): boolean {
    return this.#alive && !this.#mute;
  }

  /** The guard on the server: what an older leader sends has no effect. */
  #requireEpoch(): void {
    const { epoch } = this;
    if (epoch === undefined || epoch >= this.server.epoch || this.#world.scenario.unfenced === true) return;
    throw new GridferryError('GF_FENCED', `Server ${this.server.name} follows a newer leader.`, { class: 'retryable' });
  }
}

/** Logs in at a server; a newer leader's login ends the connections of older ones. */
export async function openLink(world: World, process: ControllerProcess, server: ModelServer): Promise<Link> {
  const node = server.name as Node;
  await process.life.go();
  const point = world.around(`${server.name} login`);
  point.before();
  await process.life.go();
  await sleep(world.clock, 3 * world.network.latencyMs);
  if (world.network.isCut('controller', node)) {
    await sleep(world.clock, 15_000);
    await process.life.go();
    throw new GridferryError('GF_SSH_TIMEOUT', `Server ${server.name} did not answer.`, { class: 'retryable' });
  }
  await process.life.go();
  if (!server.up || !server.sshdUp) {
    throw new GridferryError('GF_SSH_REFUSED', `Nothing listens for SSH at server ${server.name}.`, {
      class: 'retryable',
    });
  }
  const { epoch } = process;
  if (epoch !== undefined && world.scenario.unfenced !== true) {
    if (epoch < server.epoch) {
      throw new GridferryError('GF_FENCED', `Server ${server.name} follows a newer leader.`, { class: 'retryable' });
    }
    server.epoch = epoch;
    for (const link of world.links) {
      if (link.server === server && (link.epoch ?? 0) < epoch) link.cut('a newer leader logged in');
    }
  }
  const link = new Link(world, process, server);
  world.note(`${server.name} login of ${process.name}`);
  point.after();
  await process.life.go();
  return link;
}
