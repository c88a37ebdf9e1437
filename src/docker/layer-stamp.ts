import { inspectContainer } from './container-capture.ts';
import { captureMounts } from './mounts.ts';
import type { Engine } from './engine.ts';
import { VOLATILE } from './writable-layer.ts';

/** How a container's own layer looked at one time: two that are equal say that nothing was written in between. */
export interface LayerStamp {
  /** The layer's folder on the server. */
  readonly folder: string;
  readonly skipped: readonly string[];
  /** Covers names, types, owners, sizes and times of all entries. */
  readonly digest: string;
  /** Whether the last change was long enough before it that a later one must show. */
  readonly settled: boolean;
}

/**
 * Takes the stamp of a running container's layer, much faster than the engine lists what a container changed: on many
 * kernels that compares the whole image with the container, file by file. `undefined` where the layer cannot be seen:
 * without root, with a storage driver other than overlay, without GNU find.
 */
export async function stampLayer(engine: Engine, id: string, signal?: AbortSignal): Promise<LayerStamp | undefined> {
  if (!engine.host.isRoot) return undefined;
  const raw = await inspectContainer(engine, id, signal);
  const { stdout } = await engine.host.exec(['sh', '-c', FOLDER, 'sh', String(raw.State.Pid ?? 0)], {
    root: true,
    allowFailure: true,
    ...(signal === undefined ? {} : { signal }),
  });
  const folder = stdout.trimEnd();
  if (!/^\/[^\0\n\\*?[]+$/.test(folder)) return undefined;
  const mounts = captureMounts(raw).map(({ destination }) => destination);
  const skipped = [...VOLATILE, ...mounts].filter((path) => path !== '/');
  return look(engine, folder, skipped, true, signal);
}

/** Whether the layer is as the stamp says. Without a doubt only: `false` where it cannot be told. */
export async function isUnchanged(engine: Engine, stamp: LayerStamp, signal?: AbortSignal): Promise<boolean> {
  if (!stamp.settled) return false;
  const now = await look(engine, stamp.folder, stamp.skipped, false, signal);
  return now?.digest === stamp.digest;
}

/** The folder that takes the writes of a process's root, as proc(5) tells of its mounts. */
const FOLDER = `while read -r _ _ _ _ point rest; do
  [ "$point" = / ] || continue
  case $rest in *" - overlay "*upperdir=*) rest=\${rest##*upperdir=}; echo "\${rest%%,*}" ;; esac
done <"/proc/$1/mountinfo"`;

/**
 * Prints `recent` or `settled`, and the digest of the list. Mapped memory is written back first, when asked: a store into
 * a page that is dirty already would not show. A change may also be hidden by the grain of the file system's clock.
 */
const LOOK = `export LC_ALL=C
folder=$1 settle=$2; shift 2
cd "$folder" || exit 1
[ -z "$settle" ] || sync -f . 2>/dev/null || sync
since=$(($(date +%s) - 3))
[ "$(find . -xdev "$@" -newerct "@$since" -printf x -quit)" = x ] && echo recent || echo settled
find . -xdev "$@" -printf '%y %m %U %G %s %T@ %C@ %i %p %l\\0' | sort -z | sha256sum`;

async function look(
  engine: Engine,
  folder: string,
  skipped: readonly string[],
  settle: boolean,
  signal: AbortSignal | undefined,
): Promise<LayerStamp | undefined> {
  const prune = skipped.flatMap((path) => ['-path', `.${escapePattern(path)}`, '-prune', '-o']);
  const argv = ['sh', '-c', LOOK, 'sh', folder, settle ? 'settle' : '', ...prune];
  const { stdout, exitCode } = await engine.host.exec(argv, {
    root: true,
    allowFailure: true,
    ...(signal === undefined ? {} : { signal }),
  });
  const [age = '', digest = ''] = stdout.split('\n');
  if (exitCode !== 0 || digest.length < 64) return undefined;
  return { folder, skipped, digest, settled: age === 'settled' };
}

/** `find -path` takes a pattern. */
function escapePattern(path: string): string {
  return path.replaceAll(/[*?[\]\\]/g, (character) => `\\${character}`);
}
