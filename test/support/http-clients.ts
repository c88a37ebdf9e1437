import { Resolver } from 'node:dns/promises';
import { Agent, get } from 'node:http';
import type { LookupFunction } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const TIMEOUT_MS = 10_000;
const PAUSE_MS = 25;

export interface HttpClients {
  /** Answers that were right. */
  readonly answered: () => number;
  /** What went wrong, in words; a request that is refused, broken off, late, or answered with another status. */
  readonly failures: readonly string[];
  /** How many different servers have answered. */
  readonly servers: () => number;
  /** Lets what is under way end. */
  stop(): Promise<void>;
}

/**
 * Clients of one service that do not spare it: one that opens a connection for each request, one that keeps its connection
 * for as long as it is let, and one that asks for what takes two seconds. None tries anything twice.
 *
 * @param host an address, or a name, which is looked up for each new connection
 */
export function startHttpClients(host: string, port: number, lookup?: LookupFunction): HttpClients {
  const failures: string[] = [];
  const servers = new Set<string>();
  let answered = 0;
  const stopping = new AbortController();

  async function ask(name: string, path: string, agent: Agent | false): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        servers.add(await bodyOf({ host, port, path, agent, ...(lookup === undefined ? {} : { lookup }) }));
        answered++;
      } catch (error) {
        failures.push(`${name} ${path} at ${new Date().toISOString()}: ${(error as Error).message}`);
      }
      await delay(PAUSE_MS);
    }
  }
  const keeping = new Agent({ keepAlive: true, maxSockets: 1 });
  const work = [ask('new connection', '/', false), ask('kept connection', '/', keeping), ask('slow', '/slow', false)];
  return {
    failures,
    answered: () => answered,
    servers: () => servers.size,
    async stop() {
      stopping.abort();
      await Promise.all(work);
      keeping.destroy();
    },
  };
}

interface Question {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly agent: Agent | false;
  readonly lookup?: LookupFunction;
}

/** @throws Error unless the answer is complete and 200 */
export function bodyOf(question: Question): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ ...question, timeout: TIMEOUT_MS }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(body);
        else reject(new Error(`status ${String(response.statusCode)}`));
      });
    });
    request.on('timeout', () => request.destroy(new Error('no answer in time')));
    request.on('error', reject);
  });
}

/** Asks one name server for every new connection, and remembers nothing. */
export function lookupAt(server: string): LookupFunction {
  const resolver = new Resolver();
  resolver.setServers([server]);
  return (name, options, callback) => {
    resolver.resolve4(name).then(
      ([address = '']) => {
        if (options.all === true) callback(null, [{ address, family: 4 }]);
        else callback(null, address, 4);
      },
      (error: unknown) => callback(error as NodeJS.ErrnoException, '', 4),
    );
  };
}
