import { GridferryError } from '../errors.ts';

/** The header of one archive entry. */
export interface TarEntry {
  readonly name: string;
  readonly linkName: string;
  readonly size: number;
  readonly type: 'file' | 'hardlink' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo' | 'other';
}

export interface TarFilter {
  /** Called once an entry's header is known. Throwing ends the stream before a byte of the entry is passed on. */
  decide(entry: TarEntry): 'keep' | 'drop';
  /** Entries whose content is wanted, as far as they are small. Called before the next entry is decided. */
  read?: { wants(entry: TarEntry): boolean; content(entry: TarEntry, content: Buffer): void };
  /** For progress: content bytes of an entry that went past, kept or not. */
  passed?(bytes: number, kept: boolean): void;
}

const BLOCK = 512;

/** A name or a small file; more than this as metadata is an attack. */
const MAX_METADATA = 1024 * 1024;

/**
 * Leaves entries out of a tar stream. What is kept goes through byte by byte, extended headers included: a library that
 * decodes and encodes them again would spoil binary extended attributes, such as file capabilities.
 */
export async function* filterTar(source: AsyncIterable<Uint8Array>, filter: TarFilter): AsyncGenerator<Buffer> {
  const input = new ByteReader(source);
  /** Extended headers wait here until the entry they belong to is decided. */
  let pending: Buffer[] = [];
  let flags = '';
  let extended: Extended = {};
  for (;;) {
    const header = await input.exactly(BLOCK);
    if (header === undefined) return;
    if (isZero(header)) {
      // The end mark. Readers that go on after it would see what nobody decided about: only padding may follow.
      yield header;
      for (;;) {
        const rest = await input.some(64 * 1024);
        if (rest === undefined) return;
        if (!isZero(rest)) throw hostile('something follows its end');
        yield rest;
      }
    }
    const raw = decodeHeader(header);
    const padded = Math.ceil(raw.size / BLOCK) * BLOCK;
    if (EXTENSIONS.includes(raw.flag)) {
      if (raw.size > MAX_METADATA) throw hostile('an extended header is too large');
      const content = await input.exactly(padded);
      if (content === undefined && padded > 0) throw corrupt('it ends in the middle of an extended header');
      flags += raw.flag;
      // Readers differ in which of several headers they heed (Go heeds the last pax header, and GNU names above pax ones):
      // an entry could be called one thing here and another there. And each of them waits in memory.
      if (!/^(?:g?x?|L?K?|K?L?)$/.test(flags)) throw hostile('an entry has several extended headers of a kind');
      pending.push(header, content ?? Buffer.alloc(0));
      extended = extend(extended, raw.flag, (content ?? Buffer.alloc(0)).subarray(0, raw.size));
      continue;
    }
    const size = extended.size ?? raw.size;
    const entry: TarEntry = {
      name: extended.path ?? raw.name,
      linkName: extended.linkPath ?? raw.linkName,
      size: TYPES_WITHOUT_CONTENT.includes(raw.flag) ? 0 : size,
      type: TYPES[raw.flag] ?? 'other',
    };
    const keep = filter.decide(entry) === 'keep';
    if (keep) {
      yield* pending;
      yield header;
    }
    [pending, flags, extended] = [[], '', {}];
    yield* content(input, entry, keep, filter);
  }
}

async function* content(input: ByteReader, entry: TarEntry, keep: boolean, filter: TarFilter): AsyncGenerator<Buffer> {
  const collect = filter.read?.wants(entry) === true && entry.size <= MAX_METADATA ? ([] as Buffer[]) : undefined;
  let left = Math.ceil(entry.size / BLOCK) * BLOCK;
  while (left > 0) {
    const chunk = await input.some(left);
    if (chunk === undefined) throw corrupt('it ends in the middle of an entry');
    left -= chunk.length;
    collect?.push(chunk);
    filter.passed?.(chunk.length, keep);
    if (keep) yield chunk;
  }
  if (collect !== undefined) filter.read?.content(entry, Buffer.concat(collect).subarray(0, entry.size));
}

interface RawHeader {
  readonly name: string;
  readonly linkName: string;
  readonly size: number;
  readonly flag: string;
}

interface Extended {
  path?: string;
  linkPath?: string;
  size?: number;
}

/** pax per entry and global; GNU long name and long link. */
const EXTENSIONS: readonly string[] = ['x', 'g', 'L', 'K'];

const TYPES: Readonly<Record<string, TarEntry['type']>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

/** A size there belongs to the thing linked to, not to bytes that follow. */
const TYPES_WITHOUT_CONTENT: readonly string[] = ['1', '2', '3', '4', '5', '6'];

function decodeHeader(block: Buffer): RawHeader {
  const sum = parseOctal(block.subarray(148, 156));
  let actual = 8 * 0x20;
  for (let at = 0; at < BLOCK; at += 1) if (at < 148 || at >= 156) actual += block[at] ?? 0;
  if (sum !== actual) throw corrupt('a header has a wrong checksum');
  const magic = block.subarray(257, 265).toString('latin1');
  const isUstar = magic === 'ustar\x0000';
  // Anything else could have its prefix read by one program and ignored by another.
  const isKnown = isUstar || magic === 'ustar  \0' || magic === '\0'.repeat(8);
  if (!isKnown || block.subarray(508, 512).toString('latin1') === 'tar\0')
    throw hostile('a header is in no known format');
  const prefix = isUstar ? text(block.subarray(345, 500)) : '';
  const name = text(block.subarray(0, 100));
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkName: text(block.subarray(157, 257)),
    size: parseSize(block.subarray(124, 136)),
    flag: String.fromCharCode(block[156] ?? 0),
  };
}

function extend(before: Extended, flag: string, content: Buffer): Extended {
  if (flag === 'L') return { ...before, path: text(content) };
  if (flag === 'K') return { ...before, linkPath: text(content) };
  const after: Extended = { ...before };
  for (const [key, value] of paxRecords(content)) {
    // Some readers apply it to all entries that follow, some to none; and a sparse file has its name and size elsewhere.
    const isAmbiguous = flag === 'g' && ['path', 'linkpath', 'size'].includes(key);
    if (isAmbiguous || key.startsWith('GNU.sparse.')) throw hostile(`an extended header sets ${key}`);
    if (key === 'path') after.path = value.toString('utf8');
    if (key === 'linkpath') after.linkPath = value.toString('utf8');
    if (key === 'size') after.size = decimal(value.toString('latin1'));
  }
  return after;
}

/** Not `Number`, which also reads `-1`, `1e3`, `0x10` and nothing at all. */
function decimal(digits: string): number {
  const value = /^\d+$/.test(digits) ? Number(digits) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw hostile('a size is no number of bytes');
  return value;
}

/** Records of `LENGTH key=value\n`, whose length counts itself; values may be any bytes. */
function* paxRecords(content: Buffer): Generator<readonly [string, Buffer]> {
  let at = 0;
  while (at < content.length) {
    const space = content.indexOf(0x20, at);
    const length = decimal(content.subarray(at, Math.max(space, at)).toString('latin1'));
    const record = content.subarray(space + 1, at + length - 1);
    const equals = record.indexOf(0x3d);
    const isWhole = at + length <= content.length && content[at + length - 1] === 0x0a;
    if (!isWhole || space + 1 >= at + length || equals < 1) throw hostile('an extended header cannot be read');
    yield [record.subarray(0, equals).toString('utf8'), record.subarray(equals + 1)];
    at += length;
  }
}

function text(field: Buffer): string {
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? field.length : end).toString('utf8');
}

/** Sizes beyond 8 GiB are binary, told by the first bit. */
function parseSize(field: Buffer): number {
  const first = field[0] ?? 0;
  if ((first & 0x80) === 0) return parseOctal(field);
  if ((first & 0x40) !== 0) throw hostile('a size is negative');
  let value = first & 0x3f;
  for (const byte of field.subarray(1)) value = value * 256 + byte;
  if (!Number.isSafeInteger(value)) throw hostile('a size is too large');
  return value;
}

function parseOctal(field: Buffer): number {
  const digits = text(field).trim();
  if (digits === '') return 0;
  if (!/^[0-7]+$/.test(digits)) throw corrupt('a number is not octal');
  return Number.parseInt(digits, 8);
}

function isZero(block: Buffer): boolean {
  return block.every((byte) => byte === 0);
}

function corrupt(why: string): GridferryError {
  return new GridferryError('GF_ARCHIVE_CORRUPT', `The archive cannot be read: ${why}; it will be sent again.`, {
    class: 'retryable',
  });
}

/** What no engine writes, and two programs would read in two ways. */
function hostile(why: string): GridferryError {
  return new GridferryError(
    'GF_ARCHIVE_HOSTILE',
    `The archive was refused: ${why}, as no Docker engine writes it; find out what made it on the source server.`,
  );
}

/** Reads a stream in the sizes asked for, holding no more than one chunk of it. */
class ByteReader {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #chunk: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#iterator = source[Symbol.asyncIterator]();
  }

  /** Between one byte and `most`; `undefined` at the end. */
  async some(most: number): Promise<Buffer | undefined> {
    while (this.#chunk.length === 0) {
      const next = await this.#iterator.next();
      if (next.done === true) return undefined;
      this.#chunk = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    }
    const part = this.#chunk.subarray(0, most);
    this.#chunk = this.#chunk.subarray(part.length);
    return part;
  }

  /** Exactly `count` bytes; `undefined` when the stream is over before the first. */
  async exactly(count: number): Promise<Buffer | undefined> {
    const parts: Buffer[] = [];
    let left = count;
    while (left > 0) {
      const part = await this.some(left);
      if (part === undefined) {
        if (parts.length === 0) return undefined;
        throw corrupt('it ends in the middle of a header');
      }
      parts.push(part);
      left -= part.length;
    }
    return parts.length === 1 ? parts[0] : Buffer.concat(parts);
  }
}
