import { get } from 'node:http';
import { PORT } from './service.ts';

/** Between an answer and the next write, in ms: often enough for the figures, seldom enough not to be the load. */
const PAUSE_MS = 10;
const TIMEOUT_MS = 200;

/** A client that writes all the time and counts only what was acknowledged. */
export interface SteadyWriter {
  /**
   * Writes to this server as well from now on. Begin with it when the container there has started: a connection asked
   * for before that falls into the kernel's one-second pause of an unanswered ARP.
   */
  follow(address: string): void;
  /** Writes are acknowledged one after the other: from here on a gap shows. Rejects when none are. */
  readonly begun: Promise<void>;
  /** The longest time between two acknowledged writes, in ms; waits until one was acknowledged after `since`. */
  stop(since?: number): Promise<WriterReport>;
}

export interface WriterReport {
  readonly longestGapMs: number;
  /** When the first write was acknowledged (monotonic). */
  readonly firstAt: number;
  readonly acknowledged: readonly number[];
}

export function startWriting(...addresses: readonly string[]): SteadyWriter {
  let stopping = false;
  // Numbers that no earlier writer has used: what is found at the target was written by this one.
  let next = Date.now() * 1000;
  let last = 0;
  let firstAt = 0;
  let longestGapMs = 0;
  const acknowledged: number[] = [];
  const writers: Promise<void>[] = [];
  const isStopping = (): boolean => stopping;

  // One loop per server: what one of them leaves unanswered must not hold up the question to the other.
  async function write(address: string): Promise<void> {
    while (!isStopping()) {
      const number = next++;
      if (await wasAcknowledged(address, number)) {
        const now = performance.now();
        if (last > 0) longestGapMs = Math.max(longestGapMs, now - last);
        else firstAt = now;
        last = now;
        acknowledged.push(number);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
  const follow = (address: string): void => void writers.push(write(address));
  for (const address of addresses) follow(address);
  async function begin(): Promise<void> {
    const deadline = performance.now() + 10_000;
    while (acknowledged.length < 20) {
      if (performance.now() > deadline) throw new Error('the service acknowledges nothing');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  const begun = begin();
  // Who only wants to see the first answer does not ask for it.
  begun.catch(() => undefined);
  return {
    follow,
    begun,
    async stop(since = 0) {
      const deadline = performance.now() + 30_000;
      while (last < since && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
      if (last < since) throw new Error('nothing was acknowledged any more');
      stopping = true;
      await Promise.all(writers);
      return { longestGapMs, firstAt, acknowledged };
    },
  };
}

function wasAcknowledged(address: string, number: number): Promise<boolean> {
  return new Promise((resolve) => {
    const path = `/cgi-bin/append?${String(number)}`;
    const call = get({ host: address, port: PORT, path, agent: false, timeout: TIMEOUT_MS }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve(response.statusCode === 200 && body === String(number)));
      response.on('error', () => resolve(false));
    });
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve(false));
  });
}
