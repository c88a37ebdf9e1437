import { GridferryError, messageOf } from '../errors.ts';
import { stopJob } from '../jobs/detached-job.ts';
import { plainEnvironment } from './bench-tools.ts';
import type { CopyOptions } from './copy.ts';
import { lastLine, openDirectJob } from './direct-job.ts';
import { slotOf } from './remote-list.ts';
import type { DirectRoute } from './route.ts';
import { parseProgress, serverCommand } from './rsync-command.ts';
import type { OpenRsync, RsyncEnds, RsyncResult } from './rsync-pass.ts';
import { readRequest } from './rsync-request.ts';
import type { Workbench } from './workbench.ts';

export interface DirectPass {
  readonly options: CopyOptions;
  readonly route: DirectRoute;
  /** The sending rsync with a bridge that says what it is asked to run on the other side. */
  readonly asking: readonly string[];
  /** The same with a bridge that says nothing. */
  readonly silent: readonly string[];
  readonly targetPath: string;
  readonly judge: (ends: RsyncEnds) => RsyncResult;
}

/** Jobs that this process has started or taken over: what is found of any other is an earlier process's. */
const knownJobs = new WeakMap<Workbench, Set<string>>();

/**
 * Starts rsync on both ends as a job of the server that dials, which does not connect them before it is told to.
 *
 * What the receiving rsync runs with is asked of the sending one beforehand, checked as for a relay, and then written at
 * the receiving server by us: whatever the source does later, it has no say in it.
 *
 * While the service runs, a job of an earlier process over the same trees is taken over, running or ended; else it is ended
 * first: the last pass has to begin after the stop.
 */
export async function openDirectly({
  options,
  route,
  asking,
  silent,
  targetPath,
  judge,
}: DirectPass): Promise<OpenRsync> {
  const { source, target, signal } = options;
  const { link } = route;
  const dialsFromSource = route.direction === 'SourceToTarget';
  const near = dialsFromSource ? source : target;
  const receiving = serverCommand(await ask(source, asking, signal), targetPath);
  const kind = options.only !== undefined ? 'part' : options.running ? 'copy' : 'final';
  const name = jobName(kind, options);
  const earlier = jobName('copy', options);
  // A copy that an earlier process left running must not write beside this one.
  if (kind === 'final' && isFirst(near, earlier)) await stopJob({ host: link.dialler, id: link.id, name: earlier });
  const how = isFirst(near, name) && kind === 'copy' ? 'keep' : 'replace';
  let estimated = 0;
  let onEstimate: (bytes: number) => void = () => undefined;
  const job = await openDirectJob({
    ...{ options, route, name, how, sending: silent, receiving },
    onLine(line) {
      const done = parseProgress(`\n${line}`);
      if (done === undefined) return;
      // What crossed the wire is told at the end; until then what is done is the nearest that is known.
      onEstimate(Math.max(0, done - estimated));
      estimated = Math.max(estimated, done);
      options.onProgress?.(0, done);
    },
  });
  return {
    async run(meterBytes) {
      onEstimate = meterBytes;
      const { sender, receiver, said, bytesOnWire } = await job.run();
      meterBytes(bytesOnWire - estimated);
      const vanished = said.split(' has vanished: ').length - 1;
      return judge({ sender, receiver, said, alsoSaid: '', vanished });
    },
    kill: job.kill,
  };
}

function isFirst(bench: Workbench, name: string): boolean {
  const known = knownJobs.get(bench) ?? new Set<string>();
  const first = !known.has(name);
  knownJobs.set(bench, known.add(name));
  return first;
}

/** `part-`: a share of a tree, which nobody but the process that shared it out can tell from others. */
function jobName(
  kind: 'copy' | 'final' | 'part',
  { source, sourcePath, target, targetPath, only }: CopyOptions,
): string {
  const part = only === undefined ? '' : (only[0]?.toString('latin1') ?? '');
  return `${kind}-${slotOf([source.name, sourcePath, target.name, targetPath, part].join('\0'))}`;
}

/** What each kind of pass asks for, by the sender's command: the same one asks the same again. */
const requests = new WeakMap<Workbench, Map<string, readonly string[]>>();

async function ask(
  source: Workbench,
  asking: readonly string[],
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const known = requests.get(source) ?? new Map<string, readonly string[]>();
  requests.set(source, known);
  const key = JSON.stringify(asking);
  const before = known.get(key);
  if (before !== undefined) return before;
  const sender = await source.spawn(asking, { env: plainEnvironment, ...(signal ? { signal } : {}) });
  let said = '';
  try {
    const request = await readRequest(sender, (_side, text) => (said += text));
    known.set(key, request);
    return request;
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof GridferryError) throw error;
    throw new GridferryError(
      'GF_VOLUME_COPY_FAILED',
      `rsync on server ${source.name} did not start: ${lastLine(said) || messageOf(error)}`,
      { class: 'retryable', cause: error },
    );
  } finally {
    // The end of its input ends it, as it would an rsync whose other side is gone.
    sender.stdin.end();
    sender.stdout.resume();
    sender.stderr.resume();
    await sender.exit.catch(() => undefined); // what it asked for is known, or told
  }
}
