import { Duplex, PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { demux } from '../../src/volumes/exec-stream.ts';

function frame(stream: 1 | 2, payload: string | Buffer): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, Buffer.from(payload)]);
}

function connection(chunks: readonly Buffer[]): Duplex {
  return Duplex.from({ readable: PassThrough.from(chunks), writable: new PassThrough() });
}

await t.test('frames come apart however the bytes were cut', async (t) => {
  const bytes = Buffer.concat([frame(1, 'one '), frame(2, 'oops'), frame(1, ''), frame(1, 'two')]);
  for (let size = 1; size <= bytes.length; size++) {
    const chunks = [];
    for (let start = 0; start < bytes.length; start += size) chunks.push(bytes.subarray(start, start + size));
    const { stdout, stderr, done } = demux(connection(chunks));
    t.same(await Promise.all([text(stdout), text(stderr), done]), ['one two', 'oops', undefined]);
  }
});

await t.test('a stream that ends inside a frame is an error, not a short output', async (t) => {
  const { stdout, stderr, done } = demux(connection([frame(1, 'whole'), frame(1, 'cut off').subarray(0, 10)]));
  stderr.resume();
  await t.rejects(text(stdout), { message: /middle of a frame/ });
  await t.rejects(done, { message: /middle of a frame/ });
});

await t.test('a reader that does not read stops the sender', async (t) => {
  const sender = new PassThrough({ highWaterMark: 1024 });
  const { stdout, stderr } = demux(Duplex.from({ readable: sender, writable: new PassThrough() }));
  stderr.resume();
  let sent = 0;
  while (sent < 100 << 20 && sender.write(frame(1, Buffer.alloc(65_536)))) {
    sent += 65_536;
    await delay(1);
  }
  for (let i = 0; i < 200 && !sender.writableNeedDrain; i++) await delay(1);
  t.ok(sent < 8 << 20, `${sent} bytes were taken in`);
  stdout.destroy();
  sender.destroy();
});
