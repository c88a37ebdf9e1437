import type { Readable } from 'node:stream';
import { GridferryError } from '../errors.ts';
import type { HostProcess } from '../ssh/host.ts';

const longestRequest = 16_384;

/** Reads what the bridge says first; the stream is left exactly behind it. */
export async function readRequest(
  sender: HostProcess,
  onStderr: (side: 'from', text: string) => void,
): Promise<string[]> {
  const listener = (chunk: Buffer): void => onStderr('from', chunk.toString('latin1'));
  sender.stderr.on('data', listener);
  sender.stdin.on('error', () => undefined); // `relay` reports by exit codes
  try {
    let head = Buffer.alloc(0);
    for await (const chunk of piecesOf(sender.stdout)) {
      head = Buffer.concat([head, chunk]);
      const parsed = parseRequest(head);
      if (parsed) {
        if (parsed.length < head.length) sender.stdout.unshift(head.subarray(parsed.length));
        return parsed.words;
      }
      if (head.length > longestRequest) break;
    }
    throw new Error('no request from the bridge');
  } finally {
    sender.stderr.off('data', listener);
    sender.stderr.pause();
  }
}

/** Chunks by hand: `for await` over the stream itself would destroy it when left. */
async function* piecesOf(stream: Readable): AsyncGenerator<Buffer> {
  for (;;) {
    const chunk = stream.read() as Buffer | null;
    if (chunk) yield chunk;
    else if (stream.readableEnded || stream.destroyed) return;
    else {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          for (const name of ['readable', 'end', 'close', 'error']) stream.off(name, done);
          resolve();
        };
        for (const name of ['readable', 'end', 'close', 'error']) stream.on(name, done);
      });
    }
  }
}

/** The words of a complete request and where it ends; undefined while more has to come. */
export function parseRequest(head: Buffer): { words: string[]; length: number } | undefined {
  const lineEnd = head.indexOf(0x0a);
  if (lineEnd < 0) return undefined;
  const count = Number(/^GFRSYNC (\d{1,3})$/.exec(head.toString('latin1', 0, lineEnd))?.[1] ?? NaN);
  if (Number.isNaN(count)) {
    throw new GridferryError(
      'GF_VOLUME_PEER_REFUSED',
      'The source did not speak rsync; check the login shell’s start files there.',
    );
  }
  const words: string[] = [];
  let start = lineEnd + 1;
  while (words.length < count) {
    const end = head.indexOf(0, start);
    if (end < 0) return undefined;
    words.push(head.toString('utf8', start, end));
    start = end + 1;
  }
  return { words, length: start };
}
