import t from 'tap';
import { chooseCompression } from '../../src/volumes/link-probe.ts';
import type { CompressionSample } from '../../src/volumes/link-probe.ts';
import { seededRandom } from '../support/seeded-random.ts';

const MIB = 1 << 20;
const both = ['zstd', 'lz4'] as const;
/** 4 MiB that zlib shrinks to this share at this many bytes per second. */
const sample = (ratio: number, bytesPerSecond: number): CompressionSample => ({
  bytes: 4 * MIB,
  compressedBytes: 4 * MIB * ratio,
  milliseconds: (4 * MIB * 1000) / bytesPerSecond,
});

void t.test('a slow link and data that shrink: compressed, with the best that both ends have', (t) => {
  t.equal(chooseCompression(2 * MIB, sample(0.3, 60 * MIB), both), 'zstd');
  t.equal(chooseCompression(2 * MIB, sample(0.3, 60 * MIB), ['lz4']), 'lz4');
  t.equal(chooseCompression(2 * MIB, sample(0.3, 60 * MIB), []), undefined);
  t.end();
});

void t.test('a link that is faster than the compressor: plain', (t) => {
  t.equal(chooseCompression(300 * MIB, sample(0.3, 60 * MIB), both), undefined);
  t.equal(chooseCompression(300 * MIB, sample(0.3, 100 * MIB), both), undefined);
  t.end();
});

void t.test('zstd is faster than the zlib that was tried, and lz4 than both', (t) => {
  t.equal(chooseCompression(118 * MIB, sample(0.6, 80 * MIB), both), 'zstd');
  t.equal(chooseCompression(118 * MIB, sample(0.6, 50 * MIB), both), undefined);
  t.equal(chooseCompression(118 * MIB, sample(0.6, 50 * MIB), ['lz4']), 'lz4');
  t.end();
});

void t.test('data that do not shrink, or were not sampled: plain, however slow the link', (t) => {
  t.equal(chooseCompression(1000, sample(1.001, 200 * MIB), both), undefined);
  t.equal(chooseCompression(1000, sample(0.85, 200 * MIB), both), undefined);
  t.equal(chooseCompression(1000, undefined, both), undefined);
  t.equal(chooseCompression(1000, { bytes: 4096, compressedBytes: 10, milliseconds: 0.01 }, both), undefined);
  t.end();
});

void t.test('it is never chosen where the compressor would hold the link up', (t) => {
  const random = seededRandom(5);
  for (let i = 0; i < 2000; i++) {
    const link = 10 ** (3 + random() * 7);
    const compressor = 10 ** (5 + random() * 5);
    const choice = chooseCompression(link, sample(random(), compressor), both);
    if (choice !== undefined && compressor * 2.5 < link * 1.29) t.fail(`${String(link)} with ${String(compressor)}`);
  }
  t.pass();
  t.end();
});
