import { GridferryError } from '../errors.ts';
import type { Host, HostProcess } from '../ssh/host.ts';
import { checkFolderId } from '../ssh/transfer-folder.ts';
import { FOLLOW, LOOK, START, STOP } from './job-script.ts';

/** Where a job is: in the folder of a transfer on a server, under a name that is its own there. */
export interface JobPlace {
  readonly host: Host;
  readonly id: string;
  readonly name: string;
}

export type JobState =
  | { readonly kind: 'absent' }
  /** It died without a word: killed from outside, or the server was restarted. */
  | { readonly kind: 'lost' }
  /** Times in ms by the server's clock, as `now` is. */
  | { readonly kind: 'running'; readonly startedAt: number; readonly now: number }
  | {
      readonly kind: 'ended';
      readonly exitCode: number;
      readonly startedAt: number;
      readonly endedAt: number;
      readonly now: number;
    };

export interface JobEnd {
  readonly state: JobState;
  /** The end of what it said on both outputs, 64 KiB at the most. */
  readonly log: string;
}

/**
 * Starts a job: a shell script that goes on when this process, or its connection, is gone. Its pid with the kernel's start
 * time, its log and its exit status are files beside it; the status is written at once and as a whole.
 *
 * A name is taken as long as its folder is there. `keep` leaves what is there alone, running or ended, and answers
 * `exists`; only one that was lost makes room. `replace` ends what is there first.
 *
 * The script is handed over on standard input: it may not hold secrets all the same, as it lies in a file.
 */
export async function startJob(
  place: JobPlace,
  script: string,
  how: 'keep' | 'replace',
  signal?: AbortSignal,
): Promise<'started' | 'exists'> {
  const { stdout } = await run(place, START, [how], { input: script, signal });
  return stdout.startsWith('started') ? 'started' : 'exists';
}

export async function lookAtJob(place: JobPlace, signal?: AbortSignal): Promise<JobState> {
  return parseState((await run(place, LOOK, [], { signal })).stdout.trim());
}

/** Ends a job with everything it started, sees it gone, and removes its files. None is fine. */
export async function stopJob(place: JobPlace): Promise<void> {
  await run(place, STOP, []);
}

/** A job that is looked after. Losing it (the connection breaks) does nothing to the job. */
export interface FollowedJob {
  /** Lets a job go on that waits at its gate. */
  go(): void;
  /** Rejects with what `Host` throws, or `GF_COMMAND_FAILED` when it could not be followed to its end. */
  readonly end: Promise<JobEnd>;
}

/**
 * Looks after a job until its end.
 *
 * @param onProgress gets the last line of the log, about twice a second while it runs.
 */
export async function followJob(
  { host, id, name }: JobPlace,
  onProgress: (line: string) => void,
): Promise<FollowedJob> {
  const follower = await host.spawn(['sh', '-c', FOLLOW, 'sh', checkFolderId(id), checkName(name)]);
  follower.stdin.on('error', () => undefined); // how it ended is in its output
  follower.stderr.resume();
  const end = readToEnd(follower, onProgress).then((found) => {
    if (found !== undefined) return found;
    throw new GridferryError(
      'GF_COMMAND_FAILED',
      `Job ${name} on ${host.name} could not be followed: it goes on there, and is looked for again.`,
      { class: 'retryable', details: { host: host.name, job: name } },
    );
  });
  end.catch(() => undefined); // whoever lets it go learns of it
  return { go: () => void follower.stdin.end('go\n'), end };
}

async function readToEnd(follower: HostProcess, onProgress: (line: string) => void): Promise<JobEnd | undefined> {
  let unread = '';
  for await (const chunk of follower.stdout as AsyncIterable<Buffer>) {
    unread += chunk.toString('latin1');
    while (unread.startsWith('progress ') && unread.includes('\n')) {
      const end = unread.indexOf('\n');
      onProgress(unread.slice('progress '.length, end));
      unread = unread.slice(end + 1);
    }
  }
  await follower.exit;
  const end = unread.indexOf('\n');
  if (end < 0 || unread.startsWith('progress ')) return undefined;
  return { state: parseState(unread.slice(0, end)), log: unread.slice(end + 1) };
}

/** Exported for tests: `ended 0 1700000000000 1700000001000 now 1700000002000`. */
export function parseState(text: string): JobState {
  const [state = '', now = ''] = text.split(' now ');
  const [kind = '', ...numbers] = state.split(' ');
  const values = numbers.map(Number);
  if (kind === 'running') return { kind, startedAt: values[0] ?? 0, now: Number(now) };
  if (kind === 'ended') {
    const [exitCode = -1, startedAt = 0, endedAt = 0] = values;
    return { kind, exitCode, startedAt, endedAt, now: Number(now) };
  }
  return { kind: kind === 'absent' ? 'absent' : 'lost' };
}

function run(
  { host, id, name }: JobPlace,
  script: string,
  more: readonly string[],
  options: { readonly input?: string; readonly signal?: AbortSignal | undefined } = {},
): ReturnType<Host['exec']> {
  const { input, signal } = options;
  return host.exec(['sh', '-c', script, 'sh', checkFolderId(id), checkName(name), ...more], {
    ...(input === undefined ? {} : { input }),
    ...(signal === undefined ? {} : { signal }),
  });
}

function checkName(name: string): string {
  if (/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)) return name;
  throw new GridferryError('GF_COMMAND_BAD_ARGUMENT', `'${name}' cannot name a job: use a-z, 0-9 and '-'.`);
}
