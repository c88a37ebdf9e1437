import { setTimeout as delay } from 'node:timers/promises';
import { openPostgres, PostgresError } from './postgres-client.ts';
import type { PostgresAddress, PostgresSession } from './postgres-client.ts';

/** What a client knows of one row it wanted written. */
export interface Write {
  /** Writer, number and attempt: `2/117/1`. */
  readonly id: string;
  /** Which of the addresses took it. */
  readonly server: number;
  /** When the acknowledgement was read, in ms of the monotonic clock. */
  readonly at: number;
}

/** Clients that write numbered rows, one after the other, and go to wherever the service is. */
export interface WriteLoad {
  /** Rows the server acknowledged, in the order of the acknowledgements. */
  readonly acknowledged: readonly Write[];
  /** Attempts that got no answer: the server may have them, or not. */
  readonly unanswered: ReadonlySet<string>;
  /** Waits until so many more rows were acknowledged by this server. */
  until(server: number, count: number): Promise<void>;
  /** Ends the clients. Rejects when a server answered something else than that it is shutting down or starting. */
  stop(): Promise<void>;
}

/** Shutting down, crashed, starting: a client comes back later. */
const passing = new Set(['57P01', '57P02', '57P03']);

/**
 * Starts writers. Each inserts (writer, number, attempt) into the table `written` and runs `also`, in one transaction; on
 * no answer it tries the next address, with the same number and the next attempt.
 */
export function startWriteLoad(addresses: readonly PostgresAddress[], writers: number, also = ''): WriteLoad {
  const acknowledged: Write[] = [];
  const unanswered = new Set<string>();
  let stopping = false;
  const isStopping = (): boolean => stopping;
  const running = Array.from({ length: writers }, (_, writer) => write(writer + 1));

  async function write(writer: number): Promise<void> {
    let session: PostgresSession | undefined;
    let server = 0;
    for (let number = 1; !isStopping(); number++) {
      for (let attempt = 1, done = false; !done;) {
        const id = `${writer}/${number}/${attempt}`;
        let sent = false;
        try {
          session ??= await openPostgres({ timeoutMs: 1000, ...(addresses[server] ?? { host: '' }) });
          sent = true;
          await session.query(`INSERT INTO written VALUES (${writer}, ${number}, ${attempt}); ${also}`);
          acknowledged.push({ id, server, at: performance.now() });
          done = true;
        } catch (error) {
          session?.close();
          session = undefined;
          if (error instanceof PostgresError && !passing.has(error.code)) throw error;
          if (sent) {
            unanswered.add(id);
            attempt++;
          }
          if (isStopping()) return;
          server = (server + 1) % addresses.length;
          await delay(20);
        }
      }
    }
    session?.close();
  }

  const ended = Promise.all(running);
  // Told by `until` or `stop`, whichever is called next.
  ended.catch(() => undefined);
  return {
    acknowledged,
    unanswered,
    async until(server, count) {
      const from = acknowledged.length;
      const reached = (): boolean => acknowledged.slice(from).filter((row) => row.server === server).length >= count;
      for (const deadline = Date.now() + 60_000; !reached();) {
        if (Date.now() > deadline) throw new Error(`server ${server} acknowledged no ${count} rows within a minute`);
        await Promise.race([delay(50), ended]);
      }
    },
    async stop() {
      stopping = true;
      await ended;
    },
  };
}

/** The longest time between two acknowledged rows, in ms. */
export function longestGap(writes: readonly Write[]): number {
  return writes.reduce((gap, { at }, index) => Math.max(gap, at - (writes[index - 1]?.at ?? at)), 0);
}
