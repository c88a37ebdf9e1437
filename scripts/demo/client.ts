import { Resolver } from 'node:dns/promises';
import { get } from 'node:http';

/** A client of the sample service that goes where DNS says, as a browser would, and writes all the time. */
export interface WritingClient {
  /** What was acknowledged: for these writes the service has said "done". */
  readonly acknowledged: readonly number[];
  /** The longest time between two acknowledged writes so far, in ms. */
  longestGapMs(): number;
  stop(): Promise<void>;
}

const EVERY_MS = 10;

/** Less than a kernel waits before it asks for an address again, so that a lost packet does not count as downtime. */
const TIMEOUT_MS = 500;

/** The address that the name server gives for a name, asked over UDP, past every cache. */
export async function resolveName(name: string, nameServer: string): Promise<string> {
  const resolver = new Resolver({ timeout: 500, tries: 2 });
  resolver.setServers([nameServer]);
  return (await resolver.resolve4(name)).join(',');
}

export function startWritingClient(options: {
  readonly name: string;
  readonly nameServer: string;
  readonly port: number;
}): WritingClient {
  const acknowledged: number[] = [];
  let gap = 0;
  let lastAnswer: number | undefined;
  let stopped = false;

  async function writeAll(): Promise<void> {
    for (let number = 1; !stopped; number++) {
      try {
        const address = await resolveName(options.name, options.nameServer);
        const answer = await request(`http://${address}:${options.port}/cgi-bin/append?${number}`);
        if (answer.body.trim() === String(number)) {
          const now = performance.now();
          if (lastAnswer !== undefined) gap = Math.max(gap, now - lastAnswer);
          lastAnswer = now;
          acknowledged.push(number);
        }
      } catch {
        // Not answered: that is what the gap tells.
      }
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  }

  const writing = writeAll();
  return {
    acknowledged,
    longestGapMs: () => gap,
    async stop() {
      stopped = true;
      await writing;
    },
  };
}

/** One request on a connection of its own. */
export function request(url: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const sent = get(url, { agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', reject);
    });
    sent.on('error', reject);
  });
}
