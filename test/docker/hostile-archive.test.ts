import t from 'tap';
import { filterTar } from '../../src/docker/tar-filter.ts';
import type { TarEntry } from '../../src/docker/tar-filter.ts';
import { layerFilter } from '../../src/docker/writable-layer.ts';
import { layerDropper } from '../../src/docker/image-archive.ts';
import { seededRandom } from '../support/seeded-random.ts';

/** Archives that no engine writes, made by hand, block by block: a library would refuse to. */

const BLOCK = 512;

interface Header {
  readonly name?: string | Buffer;
  readonly type?: string;
  readonly size?: number | Buffer;
  readonly link?: string;
  readonly magic?: string;
  readonly prefix?: string;
  readonly trailer?: string;
}

function header({ name = 'app/file', type = '0', size = 0, link = '', ...more }: Header): Buffer {
  const block = Buffer.alloc(BLOCK);
  Buffer.from(name).copy(block, 0, 0, 100);
  block.write('0000644\0', 100);
  if (Buffer.isBuffer(size)) size.copy(block, 124);
  else block.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  block.write(type, 156, 'latin1');
  block.write(link, 157);
  block.write(more.magic ?? 'ustar\x0000', 257, 'latin1');
  block.write(more.prefix ?? '', 345);
  block.write(more.trailer ?? '', 508, 'latin1');
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function entry(content: string | Buffer, fields: Header = {}): Buffer {
  const bytes = Buffer.from(content);
  const padding = Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK);
  return Buffer.concat([header({ size: bytes.length, ...fields }), bytes, padding]);
}

function record(key: string, value: string): string {
  let length = key.length + Buffer.byteLength(value) + 3;
  while (String(length).length + key.length + Buffer.byteLength(value) + 3 !== length) length++;
  return `${length} ${key}=${value}\n`;
}

const pax = (...records: readonly string[]): Buffer => entry(records.join(''), { name: 'PaxHeader', type: 'x' });
const globalPax = (...records: readonly string[]): Buffer => entry(records.join(''), { name: 'Global', type: 'g' });
const longName = (name: string, type = 'L'): Buffer =>
  entry(`${name}\0`, { name: '././@LongLink', type, magic: 'ustar  \0' });
const end = Buffer.alloc(2 * BLOCK);
const file = entry('content');

async function* inPieces(bytes: Buffer, size = 700): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** What gets through to a container's writable layer at /srv/app. */
async function through(...parts: readonly Buffer[]): Promise<{ readonly bytes: number; readonly skipped: string[] }> {
  const skipped: string[] = [];
  let bytes = 0;
  const filter = layerFilter('/srv/app', false, ['/srv/app/volume'], skipped);
  for await (const chunk of filterTar(inPieces(Buffer.concat([...parts, end])), filter)) bytes += chunk.length;
  return { bytes, skipped };
}

void t.test('an honest archive goes through whole', async (t) => {
  const parts = [
    entry('', { name: 'app/', type: '5' }),
    file,
    entry('', { name: 'app/link', type: '2', link: '/etc/passwd' }),
    entry('', { name: 'app/other', type: '1', link: 'app/file' }),
    pax(record('path', `app/${'ü'.repeat(150)}`)),
    file,
    longName(`app/${'n'.repeat(200)}`),
    entry('x', { magic: 'ustar  \0' }),
  ];
  t.same(await through(...parts), { bytes: Buffer.concat(parts).length + end.length, skipped: [] });
});

void t.test('names that lead out of the tree are refused, however they are written', async (t) => {
  const names = [
    '../evil',
    '/etc/evil',
    'app/../../evil',
    'app/..',
    'other/file',
    'app2/file',
    '..',
    '',
    './../evil',
    'app/x/../../evil',
  ];
  for (const name of names) {
    await t.rejects(through(entry('x', { name })), { code: 'GF_ARCHIVE_HOSTILE' }, JSON.stringify(name));
    await t.rejects(
      through(pax(record('path', name)), file),
      { code: 'GF_ARCHIVE_HOSTILE' },
      `pax ${JSON.stringify(name)}`,
    );
    await t.rejects(through(longName(name), file), { code: 'GF_ARCHIVE_HOSTILE' }, `GNU ${JSON.stringify(name)}`);
    const link = entry('', { name: 'app/hard', type: '1', link: name });
    await t.rejects(through(link), { code: 'GF_ARCHIVE_HOSTILE' }, `hard link to ${JSON.stringify(name)}`);
  }
  await t.rejects(through(entry('x', { name: 'evil', prefix: '..' })), { code: 'GF_ARCHIVE_HOSTILE' });
  await t.rejects(through(pax(record('path', 'app/a\0/../../b')), file), { code: 'GF_ARCHIVE_HOSTILE' });
  await t.rejects(through(pax(record('linkpath', '/etc/shadow')), entry('', { type: '1', link: 'app/file' })), {
    code: 'GF_ARCHIVE_HOSTILE',
  });
});

void t.test('nothing is put through a symbolic link of the archive, or in its place', async (t) => {
  const link = entry('', { name: 'app/way', type: '2', link: '/etc' });
  for (const next of [
    entry('x', { name: 'app/way/passwd' }),
    entry('x', { name: 'app/way' }),
    entry('x', { name: 'app//way/./passwd' }),
    entry('', { name: 'app/way', type: '2', link: '/root' }),
    entry('', { name: 'app/hard', type: '1', link: 'app/way/shadow' }),
    entry('', { name: 'app/way/sub/', type: '5' }),
  ]) {
    await t.rejects(through(link, next), { code: 'GF_ARCHIVE_HOSTILE' }, next.toString('utf8', 0, 20));
  }
});

void t.test('devices, sparse files and what is unknown are left out, and named', async (t) => {
  for (const type of ['3', '4', 'S', 'D', 'V', 'M', '\xff']) {
    const { bytes, skipped } = await through(entry('', { name: 'app/odd', type }), file);
    t.same([bytes, skipped], [file.length + end.length, ['/srv/app/odd']], type);
  }
  t.equal(
    (await through(entry('x', { name: 'app/volume/data' }), file)).bytes,
    file.length + end.length,
    'a mount is not written into',
  );
});

void t.test('what two programs would read in two ways is refused', async (t) => {
  const ok = record('path', 'app/fine');
  const cases: Readonly<Record<string, readonly Buffer[]>> = {
    'two pax headers, of which Go heeds the last': [
      pax(ok),
      pax(record('comment', 'x')),
      entry('x', { name: '../evil' }),
    ],
    'two long names': [longName('../evil'), longName('app/fine'), file],
    'a GNU name above a pax one': [longName('../evil'), pax(ok), file],
    'a pax name above a GNU one': [pax(ok), longName('../evil'), file],
    'a global path': [globalPax(record('path', '../evil')), file],
    'a global size': [globalPax(record('size', '0')), file],
    'the name of a sparse file': [pax(ok, record('GNU.sparse.name', '../../evil')), file],
    'a negative size': [pax(record('size', '-512')), file],
    'a size in exponents': [pax(record('size', '1e3')), file],
    'no size at all': [pax(record('size', '')), file],
    'a size beyond all numbers': [pax(record('size', '9'.repeat(30))), file],
    'a negative binary size': [entry('', { size: Buffer.from('ffffffffffffffffffffff00', 'hex') }), file],
    'a binary size that overflows': [entry('', { size: Buffer.from('807fffffffffffffffffffff', 'hex') }), file],
    'a record without its length': [entry('path=app/fine\n', { type: 'x' }), file],
    'a record that is longer than its header': [entry('999 path=app/fine\n', { type: 'x' }), file],
    'a record without a newline': [entry('16 path=app/fine', { type: 'x' }), file],
    'an unknown format': [entry('x', { name: '/etc/evil', prefix: 'app', magic: 'ustarXXX' })],
    'the format of star': [entry('x', { trailer: 'tar\0' })],
    'an extended header without end': [header({ type: 'x', size: 2 ** 30 }), Buffer.alloc(4 * BLOCK)],
    'something after the end': [end, entry('x', { name: '../evil' })],
    'a single empty block before the rest': [Buffer.alloc(BLOCK), entry('x', { name: '../evil' })],
  };
  for (const [what, parts] of Object.entries(cases)) {
    await t.rejects(through(...parts), { code: 'GF_ARCHIVE_HOSTILE' }, what);
  }
});

void t.test('an archive that breaks off is tried again, and nothing half is taken for whole', async (t) => {
  const archive = Buffer.concat([pax(record('path', 'app/long')), file]);
  for (let length = 1; length < archive.length; length += 97) {
    if (length % BLOCK === 0) continue;
    const read = async (): Promise<void> => {
      for await (const _ of filterTar(inPieces(archive.subarray(0, length)), layerFilter('/srv/app', false, [], [])))
        continue;
    };
    await t.rejects(read(), { code: 'GF_ARCHIVE_CORRUPT', class: 'retryable' }, `${length} bytes`);
  }
});

void t.test('random damage is refused or harmless: no decision is ever made about a name outside', async (t) => {
  const random = seededRandom(5);
  const honest = Buffer.concat([
    file,
    pax(record('path', 'app/p')),
    file,
    longName('app/l'),
    file,
    entry('', { type: '2', link: 'x' }),
    end,
  ]);
  for (let round = 0; round < 3_000; round++) {
    const damaged = Buffer.from(honest);
    for (let n = 0; n <= round % 4; n++) damaged[Math.floor(random() * damaged.length)] = Math.floor(random() * 256);
    const kept: TarEntry[] = [];
    const layer = layerFilter('/srv/app', false, [], []);
    const decide = (entry: TarEntry): 'keep' | 'drop' => {
      const verdict = layer.decide(entry);
      if (verdict === 'keep') kept.push(entry);
      return verdict;
    };
    let code: string | undefined;
    try {
      for await (const _ of filterTar(inPieces(damaged), { decide })) continue;
    } catch (error) {
      code = (error as { code?: string }).code ?? 'none';
    }
    if (code !== undefined && code !== 'GF_ARCHIVE_HOSTILE' && code !== 'GF_ARCHIVE_CORRUPT') t.fail(code);
    if (kept.some(({ name }) => !/^app(?:\/|$)/.test(name) || name.includes('..'))) t.fail(JSON.stringify(kept));
  }
  t.pass('3,000 archives');
});

void t.test('memory stays bounded by a chunk, whatever an archive claims to be', async (t) => {
  const size = 2 ** 31;
  async function* endless(): AsyncGenerator<Buffer> {
    yield header({ size });
    const chunk = Buffer.alloc(4 << 20);
    for (let sent = 0; sent < size; sent += chunk.length) yield chunk;
    // As many extended headers as one may send: each alone is within its bounds.
    for (let n = 0; n < 10_000; n++) yield entry(Buffer.alloc(1_000_000, 'x'), { type: 'L', magic: 'ustar  \0' });
  }
  const before = process.memoryUsage().rss;
  let most = 0;
  const read = async (): Promise<void> => {
    for await (const _ of filterTar(endless(), layerDropper([], 0))) most = Math.max(most, process.memoryUsage.rss());
  };
  await t.rejects(read(), { code: 'GF_ARCHIVE_HOSTILE' });
  t.ok(most - before < 128 << 20, `${Math.round((most - before) / 2 ** 20)} MiB more`);
});
