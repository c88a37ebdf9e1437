import { abortable } from '../runtime/abortable.ts';
import { GridferryError } from '../errors.ts';
import { followJob, startJob, stopJob } from '../jobs/detached-job.ts';
import type { JobEnd } from '../jobs/detached-job.ts';
import { systemClock } from '../runtime/clock.ts';
import { openDoor } from '../ssh/door.ts';
import { plainEnvironment } from './bench-tools.ts';
import type { CopyOptions } from './copy.ts';
import { joinScript, parseJoin } from './direct-join.ts';
import type { DirectRoute } from './route.ts';
import type { Workbench } from './workbench.ts';

export interface DirectJobOptions {
  readonly options: CopyOptions;
  readonly route: DirectRoute;
  /** The job's name on the server that dials. */
  readonly name: string;
  /** What becomes of a job of this name that is there. */
  readonly how: 'keep' | 'replace';
  readonly sending: readonly string[];
  readonly receiving: readonly string[];
  /** Gets the last line of what it says now and then. */
  readonly onLine?: (line: string) => void;
}

/** How the two programs ended. */
export interface DirectEnds {
  readonly sender: number;
  readonly receiver: number;
  /** What both said. */
  readonly said: string;
  /** As rsync counts it, in both directions. */
  readonly bytesOnWire: number;
}

export interface DirectJob {
  run(): Promise<DirectEnds>;
  readonly kill: () => void;
}

/**
 * Starts a program on each of two servers as a job of the one that dials, joined to each other. Where the sending one waits
 * for a first word of the other, it gets that by `run`.
 *
 * `run` rejects with `GF_LINK_FAILED` when the connection broke, or with the signal's reason.
 */
export async function openDirectJob(job: DirectJobOptions): Promise<DirectJob> {
  const { options, route, name, how, sending, receiving } = job;
  const { source, target, signal } = options;
  const { link } = route;
  const dialsFromSource = route.direction === 'SourceToTarget';
  const [near, far] = dialsFromSource ? [source, target] : [target, source];
  const [nearProgram, farProgram] = dialsFromSource ? [sending, receiving] : [receiving, sending];
  const place = { host: link.dialler, id: link.id, name };
  const door = await openDoor(link.other, link.id, startOf(far, farProgram), signal);
  const script = joinScript(door.request, dialsFromSource ? 'near' : 'far', startOf(near, nearProgram));
  const started = await startJob(place, script, how, signal);
  if (started === 'exists') await door.close();
  const followed = await followJob(place, (line) => job.onLine?.(line));
  const clock = options.clock ?? systemClock;
  const startTime = clock.now();
  const tell = (news: { state: 'Running' | 'Succeeded' | 'Failed'; endTime?: number; exitCode?: number }): void =>
    route.onJob?.({ name, server: link.dialler.name, startTime, ...news });

  return {
    async run() {
      tell({ state: 'Running' });
      let end: JobEnd;
      try {
        followed.go();
        end = await abortable(followed.end, signal);
      } catch (error) {
        if (signal?.aborted === true && !goesOnWithout(signal.reason)) await stopJob(place);
        throw error;
      }
      const joined = parseJoin(end);
      const isWell = joined?.near === 0 && joined.far === 0;
      tell({ state: isWell ? 'Succeeded' : 'Failed', endTime: clock.now(), exitCode: joined?.near ?? -1 });
      if (joined === undefined) throw broken(route, 'the job that copied was ended from outside');
      if (isLinkFailure(joined.near) || isLinkFailure(joined.far)) throw broken(route, lastLine(end.log));
      const [sender, receiver] = dialsFromSource ? [joined.near, joined.far] : [joined.far, joined.near];
      return { sender, receiver, said: end.log, bytesOnWire: joined.bytesOnWire };
    },
    kill: () => void stopJob(place).catch(() => undefined), // it waits for a word that never comes; the sweep ends it too
  };
}

function startOf(bench: Workbench, argv: readonly string[]): readonly string[] {
  const command = bench.hostCommand?.(argv, plainEnvironment);
  if (command !== undefined) return command;
  throw new GridferryError(
    'GF_LINK_FAILED',
    `On server ${bench.name} the helper container can only be joined to ssh by Docker's own client, which is not there: install docker-cli.`,
  );
}

/** ssh's own failures (255), and programs that a login could not start (126, 127). */
function isLinkFailure(code: number): boolean {
  return code === 255 || code === 126 || code === 127;
}

function broken({ link }: DirectRoute, why: string): GridferryError {
  return new GridferryError(
    'GF_LINK_FAILED',
    `The connection from server ${link.dialler.name} to server ${link.other.name} broke: ${why || 'no reason was given'}.`,
    { class: 'retryable', details: { server: link.dialler.name, other: link.other.name } },
  );
}

/** When this process ends, a copy goes on, and the next process takes it over; when the user cancels, it does not. */
function goesOnWithout(reason: unknown): boolean {
  return reason instanceof GridferryError && reason.code === 'GF_JOBS_STOPPED';
}

/** The last thing a program said that says something. */
export function lastLine(text: string): string {
  const lines = text.split(/[\r\n]+/).filter((line) => line.trim() !== '' && !/^(GFJOIN|rsync error)/.test(line));
  return (lines.at(-1) ?? '').trim().replace(/\.$/, '').slice(0, 300);
}
