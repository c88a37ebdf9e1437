import t from 'tap';
import { channelsFor, parseListed, partition, rangesOf } from '../../src/volumes/channels.ts';
import type { ListedFile } from '../../src/volumes/channels.ts';
import { seededRandom } from '../support/seeded-random.ts';

const file = (bytes: number, name = 'f'): ListedFile => ({ path: Buffer.from(name), bytes });

void t.test('one channel serves a short round trip, several a long one', (t) => {
  const cases: [number | undefined, number][] = [
    [undefined, 1],
    [0.2, 1],
    [5, 1],
    [5.1, 2],
    [20, 2],
    [40, 4],
    [55, 6],
    [400, 6],
  ];
  for (const [roundTripMs, channels] of cases) t.equal(channelsFor(roundTripMs), channels, String(roundTripMs));
  t.end();
});

void t.test('every file is in exactly one part, and no part has much more than another', (t) => {
  const random = seededRandom(11);
  for (let i = 0; i < 200; i++) {
    const files = Array.from({ length: Math.floor(random() * 300) }, (_, index) =>
      file(Math.floor(10 ** (random() * 9)), String(index)),
    );
    const parts = 1 + Math.floor(random() * 6);
    const lanes = partition(files, parts);
    t.ok(lanes.length <= parts && lanes.every((lane) => lane.length > 0));
    const names = lanes.flat().map(({ path }) => path.toString());
    t.same(names.toSorted(), files.map(({ path }) => path.toString()).toSorted());
    const sizes = lanes.map((lane) => lane.reduce((sum, { bytes }) => sum + bytes + 1, 0));
    const largest = Math.max(0, ...files.map(({ bytes }) => bytes + 1));
    // What is left of the fullest part without its last file was the emptiest when that one was put there.
    t.ok(Math.max(0, ...sizes) - Math.min(...sizes, Infinity) <= largest || lanes.length < parts);
  }
  t.end();
});

void t.test('ranges cover a file without a gap and without an overlap', (t) => {
  const mib = 1 << 20;
  for (const bytes of [1, mib, mib + 1, 3 * mib, 1024 * mib, 1024 * mib + 7]) {
    for (const parts of [1, 2, 3, 4, 6]) {
      const ranges = rangesOf(bytes, parts);
      t.ok(ranges.length <= parts);
      let next = 0;
      for (const { skipMiB, countMiB } of ranges) {
        t.equal(skipMiB, next);
        t.ok(countMiB > 0);
        next += countMiB;
      }
      t.equal(next, Math.ceil(bytes / mib));
    }
  }
  t.end();
});

void t.test('a list is read whatever is in a name, and files that are mostly holes are left out', (t) => {
  const listed = Buffer.concat([
    Buffer.from('1048576 2048 a b\nc\0'),
    Buffer.from('1048576 8 sparse\0'),
    Buffer.from('10 8 '),
    Buffer.from([0xff, 0x20, 0x0a]),
    Buffer.from('\0'),
    Buffer.from('1048576 2048 cut off'),
  ]);
  t.same(parseListed(listed), [
    { path: Buffer.from('a b\nc'), bytes: 1_048_576 },
    { path: Buffer.from([0xff, 0x20, 0x0a]), bytes: 10 },
  ]);
  t.same(parseListed(Buffer.alloc(0)), []);
  t.end();
});
