import { plainEnvironment } from './bench-tools.ts';
import type { Compression } from './rsync-command.ts';
import type { Workbench } from './workbench.ts';

/** How well some of the data can be compressed, and how fast a core of that server does it. */
export interface CompressionSample {
  readonly bytes: number;
  readonly compressedBytes: number;
  readonly milliseconds: number;
}

/** How much faster than zlib's fastest level theirs are: measured 3.2 and 6, here rather too little. */
const FASTER_THAN_ZLIB: Readonly<Record<Compression, number>> = { zstd: 2.5, lz4: 4 };

/** Less than this says nothing about a tree, in bytes. */
const LEAST_SAMPLE = 1 << 20;
/** Shrinking by less is not worth a core at each end. */
const WORTH_RATIO = 0.8;
/** Compressed, it has to go this much faster than without: what was measured was only a sample, and cores have other work. */
const WORTH_GAIN = 1.3;

/**
 * Which compression makes the copy faster, if any does. What is compressed crosses a slow link faster, and never faster
 * than one core compresses: on a fast link it only costs.
 *
 * @param bytesPerSecond what the link carried uncompressed
 * @param available what both ends have, the one to be preferred first
 */
export function chooseCompression(
  bytesPerSecond: number,
  sample: CompressionSample | undefined,
  available: readonly Compression[],
): Compression | undefined {
  const [preferred] = available;
  if (preferred === undefined || sample === undefined || sample.bytes < LEAST_SAMPLE) return undefined;
  const ratio = sample.compressedBytes / sample.bytes;
  if (ratio > WORTH_RATIO) return undefined;
  const zlib = (sample.bytes * 1000) / Math.max(sample.milliseconds, 1);
  const compressor = zlib * FASTER_THAN_ZLIB[preferred];
  const compressed = Math.min(compressor, bytesPerSecond / Math.max(ratio, 0.01));
  return compressed >= bytesPerSecond * WORTH_GAIN ? preferred : undefined;
}

/**
 * Reads pieces of the largest files and compresses them with zlib at its fastest: it shrinks about as well as zstd at its
 * fastest does, which every rsync has that can compress at all.
 */
const sampleProgram = String.raw`
import heapq, json, os, stat, sys, time, zlib
root = os.fsencode(sys.argv[1])
PIECE, PIECES, FILES, ENTRIES = 65536, 64, 32, 200000
def files():
    info = os.stat(root)
    if stat.S_ISREG(info.st_mode):
        yield info.st_size, root
        return
    seen = 0
    for folder, folders, names in os.walk(root):
        for name in names:
            seen += 1
            if seen > ENTRIES:
                return
            path = os.path.join(folder, name)
            try:
                info = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(info.st_mode) and info.st_blocks * 512 >= info.st_size * 0.9:
                yield info.st_size, path
largest = heapq.nlargest(FILES, files())
total = sum(size for size, path in largest) or 1
taken = packed = spent = 0
for size, path in largest:
    count = max(1, round(PIECES * size / total))
    try:
        with open(path, 'rb') as file:
            for i in range(count):
                file.seek(size * i // count)
                piece = file.read(PIECE)
                begin = time.monotonic()
                packed += len(zlib.compress(piece, 1))
                spent += time.monotonic() - begin
                taken += len(piece)
    except OSError:
        continue
print(json.dumps({'bytes': taken, 'compressedBytes': packed, 'milliseconds': spent * 1000}))
`;

/** Tries on some 4 MiB of a tree, or of a file, what compression does; `undefined` where that cannot be found out. */
export async function sampleCompression(
  bench: Workbench,
  path: string,
  signal?: AbortSignal,
): Promise<CompressionSample | undefined> {
  if (!bench.tools.python3) return undefined;
  const { stdout, exitCode } = await bench.exec(['python3', '-I', '-S', '-', path], {
    input: sampleProgram,
    env: plainEnvironment,
    allowFailure: true,
    timeoutMs: 60_000,
    ...(signal ? { signal } : {}),
  });
  return exitCode === 0 ? (JSON.parse(stdout) as CompressionSample) : undefined;
}
