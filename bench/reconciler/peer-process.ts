import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

/** What a peer says of itself; which members there are depends on the line. */
export interface PeerLine {
  readonly count: number;
  readonly syncMs: number;
  readonly heapBytes: number;
  readonly externalBytes?: number;
  readonly rssKiB: number;
  readonly peakRssKiB: number;
  readonly cpuMs: number;
  readonly firstNs: number;
  readonly cpuUsEach: number;
}

/** A reconciler in a process of its own, which takes a command per line and answers with a line of JSON. */
export interface Peer {
  /** Its first line: synced, and every object reconciled once. */
  readonly synced: PeerLine;
  ask(command: string): Promise<PeerLine>;
  /** Waits until it has been called `count` times since its last reset. */
  until(count: number): Promise<PeerLine>;
  /** Stops it where it stands; resolves when all its threads do. */
  freeze(): Promise<void>;
  thaw(): void;
  stop(): Promise<void>;
}

const LIMIT_MS = 300_000;

export async function startPeer(command: readonly string[], env: NodeJS.ProcessEnv): Promise<Peer> {
  const [program = '', ...parameters] = command;
  const child = spawn(program, parameters, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();

  async function line(): Promise<PeerLine> {
    const guard = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
    const { value, done } = await lines.next();
    clearTimeout(guard);
    if (done === true) throw new Error(`${command.join(' ')} ended, or took longer than ${LIMIT_MS / 1000} s`);
    return JSON.parse(value) as PeerLine;
  }
  const ask = (text: string): Promise<PeerLine> => {
    child.stdin.write(`${text}\n`);
    return line();
  };

  return {
    synced: await line(),
    ask,
    async until(count) {
      const giveUpAt = Date.now() + LIMIT_MS;
      for (;;) {
        const now = await ask('stats');
        if (now.count >= count) return now;
        if (Date.now() > giveUpAt) throw new Error(`${program} was called ${now.count} of ${count} times`);
        await delay(100);
      }
    },
    async freeze() {
      child.kill('SIGSTOP');
      while (!isFrozen(child)) await delay(5);
    },
    thaw() {
      child.kill('SIGCONT');
    },
    async stop() {
      child.stdin.end();
      const guard = setTimeout(() => child.kill('SIGKILL'), 10_000);
      if (child.exitCode === null) await once(child, 'exit');
      clearTimeout(guard);
    },
  };
}

function isFrozen({ pid }: ChildProcess): boolean {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.every((thread) => /\) T/.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')));
}
