import { GridferryError } from '../errors.ts';
import type { ExecResult } from '../ssh/host.ts';

/** What a bench's server can do; undefined or false where it cannot. */
export interface BenchTools {
  readonly rsync: RsyncTool | undefined;
  readonly gnuTar: boolean;
  readonly gnuFind: boolean;
  readonly python3: boolean;
  readonly perl: boolean;
  readonly b2sum: boolean;
  readonly sha256sum: boolean;
  readonly getfattr: boolean;
  readonly setfattr: boolean;
  readonly getfacl: boolean;
  readonly cpus: number;
}

export interface RsyncTool {
  readonly version: string;
  readonly acls: boolean;
  readonly xattrs: boolean;
  /** As `--compress-choice` names them; none before rsync 3.2. */
  readonly compressions?: readonly string[];
}

/** A constant script: what is found is printed as `name value` lines. */
const probe = `
for tool in python3 perl b2sum sha256sum getfattr setfattr getfacl; do
  command -v "$tool" >/dev/null 2>&1 && echo "tool $tool"
done
tar --version 2>/dev/null | head -n 1 | grep -q 'GNU tar' && echo 'tool gnu-tar'
find --version 2>/dev/null | head -n 1 | grep -q GNU && echo 'tool gnu-find'
echo "cpus $(nproc 2>/dev/null || echo 1)"
rsync --version 2>/dev/null | sed 's/^/rsync /'
exit 0
`;

/** Asks a bench once which programs it has. */
export async function findTools(
  exec: (argv: readonly string[], options?: { env: Readonly<Record<string, string>> }) => Promise<ExecResult>,
): Promise<BenchTools> {
  return parseTools((await exec(['sh', '-c', probe], { env: plainEnvironment })).stdout);
}

export function parseTools(output: string): BenchTools {
  const lines = output.split('\n');
  const has = (tool: string): boolean => lines.includes(`tool ${tool}`);
  return {
    rsync: parseRsync(lines.filter((line) => line.startsWith('rsync ')).map((line) => line.slice('rsync '.length))),
    gnuTar: has('gnu-tar'),
    gnuFind: has('gnu-find'),
    python3: has('python3'),
    perl: has('perl'),
    b2sum: has('b2sum'),
    sha256sum: has('sha256sum'),
    getfattr: has('getfattr'),
    setfattr: has('setfattr'),
    getfacl: has('getfacl'),
    cpus: Number(/^cpus (\d+)$/m.exec(output)?.[1] ?? 1),
  };
}

function parseRsync(lines: readonly string[]): RsyncTool | undefined {
  const version = /^rsync +version v?(\d+\.\d+\.\d+)/.exec(lines[0] ?? '')?.[1];
  if (version === undefined) return undefined;
  const words = lines.join(' ').split(/,\s*|\s{2,}/);
  const list = lines.findIndex((line) => line === 'Compress list:');
  const compressions = list < 0 ? [] : (lines[list + 1] ?? '').trim().split(/\s+/);
  return { version, acls: words.includes('ACLs'), xattrs: words.includes('xattrs'), compressions };
}

/** Whether a version is at least another one, both like `3.1.3`. */
export function isAtLeast(version: string, least: string): boolean {
  const a = version.split('.').map(Number);
  const b = least.split('.').map(Number);
  for (let i = 0; i < 3; i++) {
    if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) > (b[i] ?? 0);
  }
  return true;
}

/** Messages in English, and nobody's rsync or tar defaults from the environment or the home folder. */
export const plainEnvironment: Readonly<Record<string, string>> = {
  LC_ALL: 'C',
  HOME: '/nonexistent',
  RSYNC_PROTECT_ARGS: '0',
  TAR_OPTIONS: '',
};

export function toolMissing(server: string, what: string, packages: string): GridferryError {
  return new GridferryError('GF_VOLUME_TOOL_MISSING', `Server ${server} has no ${what}; install ${packages} there.`);
}
