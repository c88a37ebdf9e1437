import { createFakeClient } from '../support/fake-client.ts';
import type { FakeClient } from '../support/fake-client.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';
import { Application } from './application.ts';
import type { Link } from './link.ts';
import { ModelDns } from './model-dns.ts';
import { ModelServer } from './model-server.ts';
import { Network } from './network.ts';
import type { Scenario } from './scenario.ts';

/** An instant at which a fault may strike: before or after one effect of one step. */
export interface Point {
  readonly step: string;
  readonly way: 'do' | 'undo';
  /** What is done, such as `beta POST containers/create`. */
  readonly op: string;
  /** Counted since the step was begun, and since the schedule was. */
  readonly nth: number;
  readonly index: number;
  readonly at: 'before' | 'after';
}

/** Everything there is outside the controller: servers, network, DNS, home, clients. One for each schedule. */
export class World {
  readonly scenario: Scenario;
  readonly clock: VirtualClock = createVirtualClock();
  /** By the wall clock of everybody but the controller, which is the one that may jump. */
  readonly startedAt = this.clock.now();
  readonly random: () => number;
  readonly network: Network;
  readonly alpha: ModelServer;
  readonly beta: ModelServer;
  readonly dns: ModelDns;
  readonly api: FakeClient = createFakeClient();
  readonly application: Application;
  readonly links = new Set<Link>();
  /** What happened, a line each: the same for the same schedule. */
  readonly trace: string[] = [];
  readonly points: Point[] = [];
  readonly violations: string[] = [];
  /** Lines of the controllers' logs. */
  readonly logs: string[] = [];
  /** Called at each point, when the schedule has faults. */
  onPoint: ((point: Point) => void) | undefined;
  /** How calls of the home end. */
  store: 'ok' | 'fails' | 'loses answers' | 'conflicts' = 'ok';
  /** What ends the faults that were to stay. */
  readonly healing: (() => void)[] = [];
  /** What the user did by hand. */
  targetRemoved = false;
  deleted = false;
  /** Until when, by the monotonic clock, a fault is still to strike back. */
  busyUntil = 0;
  startsAgain = false;
  rollsBack = false;
  leaderFroze = false;
  /** Servers whose containers a fault has stopped: those without a restart policy stay so. */
  readonly stopped = new Set<string>();
  #step = 'none';
  #way: 'do' | 'undo' = 'do';
  #nth = 0;
  #index = 0;

  constructor(scenario: Scenario, seed: number) {
    this.scenario = scenario;
    this.random = seededRandom(seed);
    this.network = new Network(this.clock);
    const server = (name: string, address: string): ModelServer =>
      new ModelServer({
        ...{ name, address, clock: this.clock, graceMs: scenario.graceMs, isRoot: scenario.isRoot },
        onChange: () => this.event(),
      });
    this.alpha = server('alpha', '10.0.0.1');
    this.beta = server('beta', '10.0.0.2');
    this.dns = new ModelDns(this);
    this.application = new Application(this);
  }

  get servers(): readonly ModelServer[] {
    return [this.alpha, this.beta];
  }

  server(name: string): ModelServer {
    return name === 'alpha' ? this.alpha : this.beta;
  }

  get step(): string {
    return this.#step;
  }

  get way(): 'do' | 'undo' {
    return this.#way;
  }

  /** A step is begun, forwards or backwards. */
  beginStep(step: string, way: 'do' | 'undo'): void {
    this.#step = step;
    this.#way = way;
    this.#nth = 0;
    this.note(`— ${way} ${step}`);
  }

  /** Opens the two points around one effect. */
  around(op: string): { readonly before: () => void; readonly after: () => void } {
    const place = { step: this.#step, way: this.#way, op, nth: this.#nth++, index: this.#index++ };
    const reach = (at: Point['at']) => (): void => {
      const point = { ...place, at };
      this.points.push(point);
      this.onPoint?.(point);
    };
    return { before: reach('before'), after: reach('after') };
  }

  /** Something that runs, is stored, or is routed has changed. */
  event(): void {
    this.application.live();
  }

  note(line: string): void {
    this.trace.push(`${String(this.clock.monotonic()).padStart(7)} ${line}`);
  }

  violate(what: string): void {
    this.note(`!! ${what}`);
    if (!this.violations.includes(what)) this.violations.push(what);
  }
}
