import { sleep } from '../../src/runtime/clock.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';

/** Who talks to whom: the controller, the clients of the service, and the two servers. */
export type Node = 'controller' | 'clients' | 'alpha' | 'beta';

/** What lies between the machines. A packet on a cut way is sent again until the way is there: it comes late, not never. */
export class Network {
  /** For every message, in ms. */
  latencyMs = 2;
  /** Of the links between the servers, and to the controller. */
  bytesPerSecond = 125_000_000;
  readonly #clock: VirtualClock;
  readonly #cut = new Set<string>();
  readonly #waiting = new Set<() => void>();

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  cut(a: Node, b: Node): void {
    this.#cut.add(wayOf(a, b));
  }

  heal(a: Node, b: Node): void {
    this.#cut.delete(wayOf(a, b));
    for (const wake of [...this.#waiting]) wake();
    this.#waiting.clear();
  }

  isCut(a: Node, b: Node): boolean {
    return this.#cut.has(wayOf(a, b));
  }

  /** Resolves when a message from one to the other has arrived. */
  async travel(a: Node, b: Node): Promise<void> {
    await sleep(this.#clock, this.latencyMs);
    while (this.isCut(a, b)) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  /** How long this much takes, in ms. */
  durationOf(bytes: number): number {
    return Math.ceil((bytes * 1000) / this.bytesPerSecond);
  }
}

function wayOf(a: Node, b: Node): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
