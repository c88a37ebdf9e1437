import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pack } from 'tar-stream';
import type { Header } from 'tar-stream';
import t from 'tap';
import { demultiplex } from '../../src/docker/demultiplex.ts';
import { chainIds, commonPrefix, droppableLayers, layerDropper } from '../../src/docker/image-archive.ts';
import { splitReference } from '../../src/docker/image-tags.ts';
import { readProgress } from '../../src/docker/progress-stream.ts';
import { filterTar } from '../../src/docker/tar-filter.ts';
import type { TarEntry } from '../../src/docker/tar-filter.ts';
import { image } from './fixtures.ts';

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function tarOf(
  entries: readonly (Partial<Header> & { name: string; content?: string | Buffer })[],
): Promise<Buffer> {
  const archive = pack();
  for (const { content, ...header } of entries) archive.entry(header, content ?? '');
  archive.finalize();
  return bytesOf(archive as AsyncIterable<Uint8Array>);
}

/** Cuts at awkward places: a stream owes nobody whole blocks. */
async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const keepAll = { decide: () => 'keep' as const };

void t.test('filtering a tar stream', (t) => {
  const long = `${'d'.repeat(90)}/${'e'.repeat(120)}/file`;

  void t.test('changes no byte of what is kept, however it is cut', async (t) => {
    const archive = await tarOf([
      { name: 'a', content: 'hello' },
      { name: long, content: Buffer.alloc(3000, 7) },
      { name: 'l', type: 'symlink', linkname: long },
    ]);
    for (const size of [1, 511, 512, 4096, 1 << 20]) {
      t.ok((await bytesOf(filterTar(inPieces(archive, size), keepAll))).equals(archive), `pieces of ${size}`);
    }
  });

  void t.test('reads long names, and drops an entry with its extended headers', async (t) => {
    const archive = await tarOf([
      { name: 'a', content: 'hello' },
      { name: long, content: 'x'.repeat(700) },
      { name: 'b', content: 'bye' },
    ]);
    const seen: TarEntry[] = [];
    const decide = (entry: TarEntry): 'keep' | 'drop' => {
      seen.push(entry);
      return entry.name === long ? 'drop' : 'keep';
    };
    const left = await bytesOf(filterTar(inPieces(archive, 100), { decide }));
    t.same(
      seen.map(({ name, size }) => [name, size]),
      [
        ['a', 5],
        [long, 700],
        ['b', 3],
      ],
    );
    const expected = await tarOf([
      { name: 'a', content: 'hello' },
      { name: 'b', content: 'bye' },
    ]);
    t.equal(left.length, expected.length);
  });

  void t.test('leaves binary extended attributes as they are', async (t) => {
    const value = Buffer.from([1, 0, 0, 2, 0xff, 0xfe, 0x80, 10, 0, 0]);
    const record = Buffer.concat([Buffer.from('SCHILY.xattr.security.capability='), value, Buffer.from('\n')]);
    const body = Buffer.concat([Buffer.from(`${record.length + 3} `), record]);
    const [header] = [(await tarOf([{ name: 'PaxHeader', content: body }])).subarray(0, 1024)];
    header[156] = 'x'.charCodeAt(0);
    header.write('        ', 148);
    const sum = header.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    const archive = Buffer.concat([header, await tarOf([{ name: 'ping', content: 'x' }])]);
    const out = await bytesOf(filterTar(inPieces(archive, 300), keepAll));
    t.ok(out.equals(archive));
  });

  void t.test('an archive that breaks off is an error, not an end', async (t) => {
    const archive = await tarOf([{ name: 'a', content: 'x'.repeat(2000) }]);
    for (const length of [300, 600, 1500]) {
      await t.rejects(bytesOf(filterTar(inPieces(archive.subarray(0, length), 100), keepAll)), {
        code: 'GF_ARCHIVE_CORRUPT',
      });
    }
    const spoilt = Buffer.from(archive);
    spoilt[3] = 65;
    await t.rejects(bytesOf(filterTar(inPieces(spoilt, 100), keepAll)), { code: 'GF_ARCHIVE_CORRUPT' });
  });

  void t.test('a refusal lets nothing of the entry out', async (t) => {
    const archive = await tarOf([{ name: '../evil', content: 'payload' }]);
    const out: Buffer[] = [];
    const run = async (): Promise<void> => {
      const decide = (): never => {
        throw new Error('refused');
      };
      for await (const chunk of filterTar(inPieces(archive, 512), { decide })) out.push(chunk);
    };
    await t.rejects(run(), { message: 'refused' });
    t.equal(out.length, 0);
  });
  t.end();
});

void t.test('leaving out layers of a saved image', (t) => {
  const layers = image.inspect.RootFS?.Layers ?? [];

  /** The recorded archive, with content of the recorded sizes where it was not kept. */
  async function saved(): Promise<Buffer> {
    return tarOf(
      image.save
        .filter(({ type }) => type === '0')
        .map(({ name, size, content }) => ({ name, content: content ?? Buffer.alloc(size) })),
    );
  }

  void t.test('finds them in the layout of Docker 20.10, whose manifest comes last', async (t) => {
    const dropper = layerDropper(layers, 3);
    const left = await bytesOf(filterTar(inPieces(await saved(), 10_000), dropper));
    t.same([...dropper.dropped].sort(), layers.slice(0, 3).sort());
    const layerSizes = image.save.filter(({ name }) => name.endsWith('layer.tar')).map(({ size }) => size);
    const total = layerSizes.reduce((sum, size) => sum + size, 0);
    const top = Math.max(...layerSizes);
    t.ok(dropper.skippedBytes >= total - top, 'everything but the top layer');
    t.ok(left.length < top + 40_000 && left.length > top);
  });

  void t.test('finds them in the OCI layout, where blobs are named by their digest', async (t) => {
    const [first = '', second = ''] = layers;
    const blob = (layer: string): string => `blobs/sha256/${layer.slice('sha256:'.length)}`;
    const archive = await tarOf([
      { name: blob(first), content: 'base' },
      { name: blob(second), content: 'app' },
      { name: 'blobs/sha256/abc', content: 'no layer' },
      { name: 'manifest.json', content: '[]' },
    ]);
    const dropper = layerDropper([first, second], 1);
    await bytesOf(filterTar(inPieces(archive, 512), dropper));
    t.same([...dropper.dropped], [first]);
  });

  void t.test('keeps everything when nothing is shared or nothing is recognised', async (t) => {
    const archive = await saved();
    for (const dropper of [
      layerDropper(layers, 0),
      layerDropper(
        layers.map((_, index) => `sha256:${index}`),
        3,
      ),
    ]) {
      t.ok((await bytesOf(filterTar(inPieces(archive, 9_999), dropper))).equals(archive));
      t.equal(dropper.skippedBytes, 0);
    }
  });

  void t.test('shares the lowest layers only', async (t) => {
    t.equal(commonPrefix(['a', 'b', 'c'], ['a', 'b', 'x', 'c']), 2);
    t.equal(commonPrefix(['a'], []), 0);
  });

  void t.test('keeps a layer whose content comes again higher up', async (t) => {
    t.same(droppableLayers(['a', 'b', 'c', 'a'], 2), ['b']);
  });

  void t.test('knows chain ids as the image specification defines them', async (t) => {
    const hash = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;
    t.same(chainIds(['sha256:a', 'sha256:b']), ['sha256:a', hash('sha256:a sha256:b')]);
  });
  t.end();
});

void t.test('a progress stream that began with success', (t) => {
  const read = (text: string): Promise<void> =>
    readProgress(Readable.from([Buffer.from(text)]), 's1', 'load the image');

  void t.test('may still say that it failed', async (t) => {
    await t.rejects(read('{"stream":"ok"}\n{"errorDetail":{"message":"unexpected EOF"},"error":"unexpected EOF"}\n'), {
      code: 'GF_DOCKER_SERVER_ERROR',
      message: /unexpected EOF/,
    });
    await t.rejects(read('{"error":"write /x: no space left on device"}'), { code: 'GF_DOCKER_NO_SPACE' });
  });

  void t.test('may be no JSON at all', async (t) => {
    await t.resolves(read('Loaded image\n{"stream":"done"}\n'));
  });
  t.end();
});

void t.test('output frames are taken apart wherever they are cut', async (t) => {
  const frame = (text: string): Buffer => {
    const header = Buffer.alloc(8);
    header[0] = 1;
    header.writeUInt32BE(text.length, 4);
    return Buffer.concat([header, Buffer.from(text)]);
  };
  const bytes = Buffer.concat([frame('hello '), frame(''), frame('world')]);
  for (const size of [1, 3, 8, 100])
    t.equal((await bytesOf(demultiplex(inPieces(bytes, size)))).toString(), 'hello world');
});

void t.test('references are split as Docker splits them', async (t) => {
  t.same(splitReference('app:1'), { repository: 'app', tag: '1' });
  t.same(splitReference('host:5000/team/app'), { repository: 'host:5000/team/app', tag: 'latest' });
  t.same(splitReference('host:5000/team/app:v2'), { repository: 'host:5000/team/app', tag: 'v2' });
  t.equal(splitReference(`app@sha256:${'a'.repeat(64)}`).tag, undefined);
  t.equal(splitReference(`sha256:${'a'.repeat(64)}`).tag, undefined);
});
