const HEADER = 8;

/**
 * Takes Docker's frames (a byte for the stream, three of nothing, four of length, then the bytes) off an output that is
 * no terminal's. A length is the daemon's word: bytes are handed on as they come, never collected to it.
 */
export async function* demultiplex(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let header: Buffer = Buffer.alloc(0);
  let left = 0;
  for await (const chunk of source) {
    let rest: Buffer = chunk;
    while (rest.length > 0) {
      if (left > 0) {
        const part = rest.subarray(0, left);
        left -= part.length;
        rest = rest.subarray(part.length);
        yield part;
        continue;
      }
      const missing = HEADER - header.length;
      header = Buffer.concat([header, rest.subarray(0, missing)]);
      rest = rest.subarray(missing);
      if (header.length < HEADER) continue;
      left = header.readUInt32BE(4);
      header = Buffer.alloc(0);
    }
  }
}
