import type { Leadership } from '../../src/runtime/leadership.ts';
import { GridferryError } from '../../src/errors.ts';
import { ControllerProcess } from './controller-process.ts';
import type { Mutation } from './controller-process.ts';
import type { World } from './world.ts';

/** As `--leader-elect-…` have them by default, in ms. */
const LEASE_MS = 15_000;
const RENEW_DEADLINE_MS = 10_000;
const RETRY_MS = 2_000;

export interface SupervisorOptions {
  readonly world: World;
  readonly mutate?: Mutation | undefined;
  /** Two processes, of which one leads. Default: one, alone. */
  readonly replicas: boolean;
}

/** Whatever starts Gridferry, and starts it again: systemd for one process, a Deployment for two. */
export class Supervisor {
  readonly #world: World;
  readonly #mutate: Mutation | undefined;
  readonly #replicas: boolean;
  readonly #standing: Candidate[] = [];
  #leader: Candidate | undefined;
  #epoch = 0;
  #started = 0;

  constructor({ world, mutate, replicas }: SupervisorOptions) {
    this.#world = world;
    this.#mutate = mutate;
    this.#replicas = replicas;
    this.#start();
    if (!replicas) return;
    this.#start();
    this.#elect();
  }

  /** The process that acts, or acted last. */
  get current(): ControllerProcess {
    return (this.#leader ?? this.#standing.at(-1))!.process;
  }

  /** The present process dies on the spot; another one is started. */
  kill(): void {
    const candidate = this.#leader ?? this.#standing.at(-1)!;
    if (candidate.process.life.dead) return;
    this.#world.note(`${candidate.process.name} is killed`);
    this.#end(candidate);
  }

  #end(candidate: Candidate): void {
    candidate.process.kill();
    this.#standing.splice(this.#standing.indexOf(candidate), 1);
    this.#world.clock.after(500 + Math.floor(this.#world.random() * 3_000), () => this.#start());
    // Its lease runs on until it is over, and so does the time before the next election.
    if (!this.#replicas) this.#leader = undefined;
  }

  #start(): void {
    const name = `gridferry-${String(++this.#started)}`;
    const candidate: Candidate = new Candidate(this.#world, name, this.#replicas, this.#mutate);
    this.#standing.push(candidate);
    if (!this.#replicas) this.#leader = candidate;
  }

  /** Looks every while whether the leader has let its lease run out. */
  #elect(): void {
    const now = this.#world.clock.monotonic();
    if (this.#leader === undefined || now >= this.#leader.leaseUntil) {
      const next = this.#standing.find((one) => one !== this.#leader && !one.process.life.frozen && one.epoch === 0);
      if (next !== undefined) {
        this.#leader = next;
        this.#world.note(`${next.process.name} is elected`);
        next.elect(
          ++this.#epoch,
          () => this.#leader === next,
          () => this.#end(next),
        );
      }
    }
    this.#world.clock.after(RETRY_MS, () => this.#elect());
  }
}

class Candidate {
  readonly process: ControllerProcess;
  epoch = 0;
  /** As it is written in the Lease, and as the holder counts it. */
  leaseUntil = 0;
  #believesUntil = 0;
  readonly #elected = Promise.withResolvers<undefined>();
  readonly #lost = new AbortController();

  constructor(world: World, name: string, replicas: boolean, mutate: Mutation | undefined) {
    const leadership: Leadership = {
      isLeader: () => this.epoch > 0 && !this.#lost.signal.aborted && world.clock.monotonic() < this.#believesUntil,
      epoch: () => this.epoch,
      elected: this.#elected.promise,
      lost: this.#lost.signal,
    };
    this.process = new ControllerProcess(world, { name, mutate, ...(replicas ? { leadership } : {}) });
    this.#renew = (stillLeads, end) => {
      const now = world.clock.monotonic();
      if (!stillLeads() || (this.#believesUntil > 0 && now >= this.#believesUntil)) {
        this.#lost.abort(
          new GridferryError('GF_LEADERSHIP_LOST', 'This process no longer leads.', { class: 'retryable' }),
        );
        world.note(`${name} has lost the lease and ends`);
        end();
        return;
      }
      this.leaseUntil = now + LEASE_MS;
      this.#believesUntil = now + RENEW_DEADLINE_MS;
      this.process.life.clock.after(RETRY_MS, () => this.#renew(stillLeads, end));
    };
  }

  readonly #renew: (stillLeads: () => boolean, end: () => void) => void;

  elect(epoch: number, stillLeads: () => boolean, end: () => void): void {
    this.epoch = epoch;
    this.#renew(stillLeads, end);
    this.#elected.resolve(undefined);
  }
}
