import { Readable } from 'node:stream';
import t from 'tap';
import {
  comparePaths,
  differingFields,
  mergeRecords,
  parseRecord,
  readRecords,
  unescapePath,
  type ManifestRecord,
} from '../../src/volumes/manifest-record.ts';

const line = (path: string, change: Partial<Record<number, string>> = {}, holes = 0): string => {
  const fields = [path, 'f', '644', '0', '0', '5', '1.000000000', '-', '-', '-', '-', '-', 'a'.repeat(64)];
  for (const [index, value] of Object.entries(change)) fields[Number(index)] = value as string;
  return `${fields.join(' ')}\t${holes}\t2.000000000 77 1`;
};

await t.test('paths are ordered as a walk meets them', async (t) => {
  const walk = ['.', '%0a', '-x', 'a', 'a/b', 'a/b/c', 'a/b-', 'a-', 'a-/b', 'a.b', 'b'];
  const shuffled = walk.toSorted(() => 0.5 - Math.random());
  t.same(shuffled.sort(comparePaths), walk);
});

await t.test('an escaped path gives back its bytes, whatever they are', async (t) => {
  t.same(unescapePath('%ff%0a%25a/%c3'), Buffer.from([0xff, 0x0a, 0x25, 0x61, 0x2f, 0xc3]));
});

await t.test('two manifests are merged in order, with what only one has', async (t) => {
  const read = (paths: string[]): AsyncGenerator<ManifestRecord> =>
    readRecords(Readable.from([paths.map((path) => `${line(path)}\n`).join('')]));
  const seen: string[] = [];
  for await (const { left, right } of mergeRecords(read(['.', 'a', 'a/b', 'c']), read(['.', 'a/b', 'a-', 'd']))) {
    seen.push(`${left?.path ?? ''}:${right?.path ?? ''}`);
  }
  t.same(seen, ['.:.', 'a:', 'a/b:a/b', ':a-', 'c:', ':d']);
  for await (const pair of mergeRecords(read([]), read([]))) t.fail('nothing there', pair);
});

await t.test('a difference is named after its field', async (t) => {
  const differ = (change: Partial<Record<number, string>>, sourceHoles = 0, targetHoles = 0): string[] =>
    differingFields(parseRecord(line('a', {}, sourceHoles)), parseRecord(line('a', change, targetHoles)));
  t.same(differ({}), []);
  t.same(differ({ 2: '755', 6: '1.000000001' }), ['mode', 'mtime']);
  t.same(differ({ 10: 'x=1', 11: 'y=2' }), ['ACL', 'extended attributes']);
  t.same(differ({ 12: '!' }), ['content'], 'what could not be read is equal to nothing');
  t.same(differingFields(parseRecord(line('a', { 12: '!' })), parseRecord(line('a', { 12: '!' }))), ['content']);
  t.same(differ({}, 1 << 20, 0), ['holes']);
  t.same(differ({}, 0, 1 << 20), [], 'a hole where zeros were written loses nothing');
  t.same(differ({}, 10 << 20, (10 << 20) - 8192), [], 'the edge of a hole is a matter of block size');
});
