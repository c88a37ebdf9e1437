import type { Readable } from 'node:stream';
import { GridferryError } from '../errors.ts';
import type { Clock } from '../runtime/clock.ts';
import { systemClock } from '../runtime/clock.ts';
import type { Host } from './host.ts';
import { parseListeningSockets } from './listening-sockets.ts';
import type { ListeningSocket } from './listening-sockets.ts';

/** What a probe wants to know of a machine. */
export interface HostFacts {
  readonly os: { readonly id: string; readonly prettyName: string };
  readonly kernel: string;
  /** As Docker names it: `amd64`, `arm64`, `arm`, `386`, `ppc64le`, `s390x`, `riscv64`; else what `uname -m` says. */
  readonly architecture: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  /** How far the machine's clock is ahead of this one's, in ms; negative when it is behind. */
  readonly clockSkewMs: number;
  /** How wrong `clockSkewMs` may be, in ms: half of the round trip, plus a second where `date` knows no fractions. */
  readonly clockSkewErrorMs: number;
  readonly bootId: string;
  /** How programs can run as root there: the login is root, `sudo -n` works, or not at all. */
  readonly root: 'Login' | 'Sudo' | 'None';
  /** Only the tools that are there. */
  readonly tools: Readonly<Partial<Record<ToolName, Tool>>>;
  readonly listeningTcp: readonly ListeningSocket[];
}

export interface Tool {
  /** Absolute path. */
  readonly path: string;
  /** First line of what it says of its version; '' when it says nothing. */
  readonly version: string;
  /** Whether it is GNU's: busybox's `tar` and `find` lack options that matter here. */
  readonly gnu: boolean;
}

export const TOOL_NAMES = [
  'rsync',
  'tar',
  'find',
  'b2sum',
  'sha256sum',
  'getfattr',
  'setfattr',
  'getfacl',
  'setfacl',
  'perl',
  'python3',
  'docker',
  'sudo',
  'iptables',
  'nft',
  'setsid',
] as const;
export type ToolName = (typeof TOOL_NAMES)[number];

/**
 * Lines of `key TAB value`. Every tool gets /dev/null as its input, or it would read the rest of this script. The time
 * is taken first and last, so that what happens in between does not count as distance.
 */
const SCRIPT = `LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
export LC_ALL PATH
exec 2>/dev/null
say() { printf '%s\\t%s\\n' "$1" "$2"; }
say begin "$(date +%s.%N)"
say kernel "$(uname -r)"
say machine "$(uname -m)"
( . /etc/os-release || . /usr/lib/os-release; say osId "$ID"; say osName "\${PRETTY_NAME:-$NAME}" )
say cpus "$(nproc || grep -c ^processor /proc/cpuinfo)"
say memory "$(sed -n 's/^MemTotal: *\\([0-9]*\\) kB.*/\\1/p' /proc/meminfo)"
say boot "$(cat /proc/sys/kernel/random/boot_id)"
for tool in ${TOOL_NAMES.join(' ')}; do
  path=$(command -v "$tool") || continue
  case $path in /*) ;; *) continue ;; esac
  say tool "$tool $path"
  say version "$("$path" --version 2>&1 </dev/null | sed -n '/[^ ]/{p;q;}')"
done
for file in tcp tcp6; do
  sed -n "s/^ *[0-9]*: \\\\([0-9A-Fa-f]*:[0-9A-Fa-f]*\\\\) [0-9A-Fa-f:]* 0A .*/listen\\t\\\\1/p" /proc/net/$file
done
say end "$(date +%s.%N)"
`;

const ARCHITECTURES: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  aarch64: 'arm64',
  armv6l: 'arm',
  armv7l: 'arm',
  armv8l: 'arm',
  i386: '386',
  i686: '386',
};

const TIMEOUT_MS = 30_000;

export interface FactsOptions {
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

/**
 * Asks a machine about itself, with one program and no other tool than a POSIX shell (busybox will do).
 *
 * @throws `GF_HOST_FACTS_UNREADABLE` when the answer makes no sense, and what `Host` throws.
 */
export async function readHostFacts(host: Host, options: FactsOptions = {}): Promise<HostFacts> {
  const { signal, clock = systemClock } = options;
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const program = await host.spawn(['sh', '-s'], {
    signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
  });
  const sent = clock.now();
  program.stdin.end(SCRIPT);
  program.stderr.resume();
  const text = await readText(program.stdout);
  const received = clock.now();
  await program.exit;
  signal?.throwIfAborted();
  return parseFacts(text, { host, sent, received });
}

async function readText(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** Exported for tests: what the script printed, and when it was asked and answered by the clock here. */
export function parseFacts(
  text: string,
  { host, sent, received }: { readonly host: Host; readonly sent: number; readonly received: number },
): HostFacts {
  const lines = text.split('\n').map((line): [string, string] => {
    const tab = line.indexOf('\t');
    return [line.slice(0, tab), line.slice(tab + 1).trim()];
  });
  const value = (key: string): string => lines.find(([name]) => name === key)?.[1] ?? '';
  const begin = parseTime(value('begin'));
  const end = parseTime(value('end'));
  if (begin === undefined || end === undefined) {
    throw new GridferryError(
      'GF_HOST_FACTS_UNREADABLE',
      `Server ${host.name} did not run the probe to its end: check that "sh" and "date" work for ${host.user} there, and that its login prints nothing.`,
      { class: 'retryable', details: { server: host.name } },
    );
  }
  const machine = value('machine');
  const listening = lines.filter(([name]) => name === 'listen').map(([, hex]) => hex);
  return {
    os: { id: value('osId') || 'linux', prettyName: value('osName') || 'Linux' },
    kernel: value('kernel'),
    architecture: ARCHITECTURES[machine] ?? machine,
    cpus: Number.parseInt(value('cpus'), 10) || 1,
    memoryBytes: (Number.parseInt(value('memory'), 10) || 0) * 1024,
    // As NTP does it: what lies between the two remote times cancels out, whatever it took.
    clockSkewMs: Math.round((begin.ms - sent + (end.ms - received)) / 2),
    clockSkewErrorMs: Math.max(
      0,
      Math.round((received - sent - (end.ms - begin.ms)) / 2) + (begin.isCoarse ? 1000 : 0),
    ),
    bootId: value('boot'),
    root: host.user === 'root' ? 'Login' : host.isRoot ? 'Sudo' : 'None',
    tools: parseTools(lines),
    listeningTcp: parseListeningSockets(listening, machine === 's390x' || machine === 'ppc64' ? 'big' : 'little'),
  };
}

function parseTime(text: string): { readonly ms: number; readonly isCoarse: boolean } | undefined {
  const match = /^(\d+)(?:\.(\d{1,9}))?/.exec(text);
  if (match === null) return undefined;
  const [, seconds = '', fraction] = match;
  const ms = Number(seconds) * 1000 + (fraction === undefined ? 500 : Number(`0.${fraction}`) * 1000);
  return { ms, isCoarse: fraction === undefined };
}

function parseTools(lines: readonly (readonly [string, string])[]): Partial<Record<ToolName, Tool>> {
  const tools: Partial<Record<ToolName, Tool>> = {};
  lines.forEach(([name, text], index) => {
    if (name !== 'tool') return;
    const [tool = '', path = ''] = text.split(/ (.*)/);
    const next = lines[index + 1];
    const said = next?.[0] === 'version' ? next[1] : '';
    // busybox applets answer an unknown option with a complaint instead.
    const version = /invalid option|unrecognized|usage:|not found|illegal option/i.test(said) ? '' : said.slice(0, 200);
    tools[tool as ToolName] = { path, version, gnu: /\bGNU\b/.test(version) };
  });
  return tools;
}
