import { createReadStream } from 'node:fs';
import { MAX_LINE_BYTES } from './chain.ts';

/** One line of a file, as bytes; `ended` says whether a newline follows. */
export interface FileLine {
  readonly bytes: Buffer;
  readonly ended: boolean;
}

/** The lines of a file, holding no more than one of them. One that is too long for us comes cut, and ends the reading. */
export async function* readLines(path: string): AsyncGenerator<FileLine> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let bytes = Buffer.concat([rest, chunk]);
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a)) {
      yield { bytes: bytes.subarray(0, end), ended: true };
      bytes = bytes.subarray(end + 1);
    }
    rest = bytes;
    if (rest.length > MAX_LINE_BYTES) break;
  }
  if (rest.length > 0) yield { bytes: rest, ended: false };
}
