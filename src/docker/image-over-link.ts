import { GridferryError } from '../errors.ts';
import { shellQuote } from '../security/shell-quote.ts';
import { openDoor } from '../ssh/door.ts';
import type { ServerLink } from '../ssh/server-link.ts';
import { overConnection, PEER } from '../ssh/ssh-client.ts';
import { FOLDER } from '../ssh/transfer-folder.ts';

/** A connection from one server to the other, and where Docker listens on both. */
export interface ImageLink {
  readonly link: ServerLink;
  readonly dialsFromSource: boolean;
  readonly sourceSocket: string;
  readonly targetSocket: string;
  /** What the connection carries, where it is known. */
  readonly bytesPerSecond?: number | undefined;
}

export interface SendOverLink extends ImageLink {
  /** By the id that the source's engine knows it by: then no tag travels with it. */
  readonly imageId: string;
  /** How much went over the connection so far. */
  readonly onBytes: (bytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Compressors that both servers may have, the best first, and what one core of a slow server does with them, in bytes per second. */
const COMPRESSORS = [
  { program: 'zstd', pack: ['zstd', '-q', '-1', '-c'], unpack: ['zstd', '-q', '-d', '-c'], bytesPerSecond: 200e6 },
  { program: 'gzip', pack: ['gzip', '-1', '-c'], unpack: ['gzip', '-d', '-c'], bytesPerSecond: 50e6 },
] as const;

/** Docker's own client here (its arguments from $4 on) and at the other server, with a counter between them. */
const JOIN = `${FOLDER}
cd "$folder" || exit 1
request=$2 sends=$3
shift 3
count() { dd bs=262144 status=progress; }
ask() { ${shellQuote(overConnection(PEER))} "$request"; }
if [ "$sends" = near ]; then "$@" | count | ask; else ask | count | "$@"; fi
`;

/**
 * Has Docker on the source save an image, and on the target load it, over the servers' own connection: nothing of it passes
 * through this process. Whether the image arrived whole is to be seen at the target: of a pipe only the last program tells.
 *
 * @throws `GF_LINK_FAILED` with the last line that was said, and what `Host` throws.
 */
export async function sendOverLink(options: SendOverLink): Promise<void> {
  const { link, dialsFromSource, imageId, onBytes } = options;
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const compressor = await chooseCompressor(options);
  const save = piped(['docker', '-H', `unix://${options.sourceSocket}`, 'save', imageId], compressor?.pack);
  const load = piped(compressor?.unpack, ['docker', '-H', `unix://${options.targetSocket}`, 'load', '-q']);
  const [near, far] = dialsFromSource ? [save, load] : [load, save];
  const door = await openDoor(link.other, link.id, far, options.signal);
  try {
    const joined = ['sh', '-c', JOIN, 'sh', link.id, door.request, dialsFromSource ? 'near' : 'far', ...near];
    const program = await link.dialler.spawn(joined, { env: { LC_ALL: 'C' }, ...signal });
    program.stdin.on('error', () => undefined).end();
    program.stdout.resume();
    let said = '';
    for await (const chunk of program.stderr as AsyncIterable<Buffer>) {
      said = (said + chunk.toString('latin1')).slice(-8192);
      const bytes = parseCount(said);
      if (bytes !== undefined) onBytes(bytes);
    }
    const { code } = await program.exit;
    options.signal?.throwIfAborted();
    if (code !== 0) throw failed(link, said);
  } finally {
    await door.close();
  }
}

type Compressor = (typeof COMPRESSORS)[number];

/** None where the link is faster than all of them. */
async function chooseCompressor({ link, bytesPerSecond, signal }: SendOverLink): Promise<Compressor | undefined> {
  const faster = COMPRESSORS.filter((one) => bytesPerSecond !== undefined && one.bytesPerSecond > bytesPerSecond);
  if (faster.length === 0) return undefined;
  const script = 'for program do command -v "$program" >/dev/null && echo "$program"; done; true';
  const argv = ['sh', '-c', script, 'sh', ...faster.map(({ program }) => program)];
  const limits = signal === undefined ? {} : { signal };
  const found = await Promise.all([link.dialler, link.other].map((host) => host.exec(argv, limits)));
  return faster.find(({ program }) => found.every(({ stdout }) => stdout.split('\n').includes(program)));
}

/** One program, or both with a pipe between them. */
function piped(first: readonly string[] | undefined, second: readonly string[] | undefined): readonly string[] {
  if (first === undefined || second === undefined) return first ?? second ?? [];
  return ['sh', '-c', `${shellQuote(first)} | ${shellQuote(second)}`];
}

/** The last count that dd has told (GNU coreutils: `123 bytes (…) copied, 1 s, …`). */
export function parseCount(said: string): number | undefined {
  const digits = [...said.matchAll(/(?:^|[\r\n])(\d+) bytes? /g)].at(-1)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function failed({ dialler, other }: ServerLink, said: string): GridferryError {
  const lines = said.split(/[\r\n]+/).filter((line) => line.trim() !== '' && !/^\d+(\+\d+ records| bytes)/.test(line));
  return new GridferryError(
    'GF_LINK_FAILED',
    `Docker on servers ${dialler.name} and ${other.name} could not pass the image on: ${(lines.at(-1) ?? 'no reason was given').trim().slice(0, 300)}.`,
    { class: 'retryable' },
  );
}
