import { get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

/** An image whose service appends what it is asked to `/data/writes`, and says so when it is done. Its port is 80. */
export const appendImage = {
  files: {
    '/start': { content: '#!/bin/sh\nhttpd -f -p 80 -h /www &\ntrap "kill $!; exit 0" TERM\nwait $!\n', mode: 0o755 },
    '/www/health': 'ok\n',
    '/www/cgi-bin/append': {
      content:
        '#!/bin/sh\necho "$QUERY_STRING" >>/data/writes && printf "Content-Type: text/plain\\r\\n\\r\\n%s" "$QUERY_STRING"\n',
      mode: 0o755,
    },
  },
  changes: ['CMD ["/start"]', 'EXPOSE 80'],
};

export interface AppendLoad {
  readonly acknowledged: readonly number[];
  stop(): Promise<void>;
}

/** Writes one number after the other, wherever the service answers; or only where it is said to be at the moment. */
export function startAppending(addresses: readonly string[] | (() => string), port: number): AppendLoad {
  const acknowledged: number[] = [];
  let stopping = false;
  const isStopping = (): boolean => stopping;

  async function write(): Promise<void> {
    let server = 0;
    for (let number = 1; !isStopping(); number++) {
      const address = typeof addresses === 'function' ? addresses() : (addresses[server % addresses.length] ?? '');
      const answer = await answerOf(`http://${address}:${String(port)}/cgi-bin/append?${String(number)}`);
      if (answer === String(number)) acknowledged.push(number);
      else server++;
      await delay(10);
    }
  }
  const running = write();
  return {
    acknowledged,
    async stop() {
      stopping = true;
      await running;
    },
  };
}

function answerOf(url: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = get(url, { timeout: 500, agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve(response.statusCode === 200 ? body : undefined));
      response.on('error', () => resolve(undefined));
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(undefined));
  });
}
