import { basename, resolve } from 'node:path';
import type { SourceStatus } from '../api/resources.ts';
import { messageOf } from '../errors.ts';
import { startDirectorySync } from './directory-sync.ts';
import type { DirectorySyncOptions } from './directory-sync-options.ts';
import type { DirectorySync } from './directory-sync.ts';
import { formatProblem } from './manifest-problem.ts';
import type { ManifestSource } from './manifest-source.ts';
import { SourceObject } from './source-object.ts';
import { counted, statusProblems, verdictConditions } from './source-status.ts';
import type { SourceVerdict } from './source-status.ts';

const AGAIN_MS = 2_000;

/** A directory sync that shows itself as a `Source`, and can be asked through it to look at once. */
export function startDirectorySource(options: DirectorySyncOptions): ManifestSource {
  const { client, clock, log, directory, defaultNamespace = 'default' } = options;
  const sync = startDirectorySync(options);
  const path = resolve(directory);
  let isStopped = false;
  let isWanted = true;
  let reporting: Promise<void> | undefined;
  let handled: string | undefined;
  let looking: string | undefined;
  const object = new SourceObject({
    client,
    log,
    key: { namespace: defaultNamespace, name: sourceName(basename(path)) },
    spec: { type: 'Directory', url: path },
    onRequest: () => void look(),
  });

  async function look(): Promise<void> {
    const { request } = object;
    if (request === undefined || request === looking) return;
    looking = request;
    await sync.resync();
    handled = request;
    report();
  }

  function report(): void {
    isWanted = true;
    reporting ??= writeAll().finally(() => {
      reporting = undefined;
      // Something may have changed while the last write was on its way.
      if (isWanted && !isStopped) report();
    });
  }

  async function writeAll(): Promise<void> {
    while (isWanted && !isStopped) {
      isWanted = false;
      try {
        const before = object.object.status;
        await object.write((generation) => directoryStatus(sync, before, generation, handled, clock.now()));
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'the status of the source cannot be written');
        clock.after(AGAIN_MS, () => report());
      }
    }
  }

  const started = sync.ready.then(async () => {
    if (isStopped) return;
    await object.start().catch((error: unknown) => log.warn({ error: messageOf(error) }, 'there is no Source object'));
    sync.onChange(report);
    report();
    await look();
  });
  return {
    ready: sync.ready,
    problems: () => sync.problems(),
    resync: () => sync.resync(),
    async stop() {
      isStopped = true;
      await sync.stop();
      await started;
      await object.stop();
      await reporting;
    },
  };
}

/** The name of a `Source`: what it is called elsewhere, as far as that makes a name of an object. */
export function sourceName(text: string): string {
  const name = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9.-]+/g, '-')
    .replaceAll(/\.{2,}|-*\.-*/g, '.')
    .slice(0, 63)
    .replaceAll(/^[^a-z0-9]+|[^a-z0-9]+$/g, '');
  return name === '' ? 'source' : name;
}

function directoryStatus(
  sync: DirectorySync,
  before: SourceStatus | undefined,
  observedGeneration: number,
  handledRequest: string | undefined,
  now: number,
): SourceStatus {
  const problems = statusProblems(sync.problems());
  const lastHandledReconcileAt = handledRequest ?? before?.lastHandledReconcileAt;
  return {
    observedGeneration,
    conditions: verdictConditions(before?.conditions, directoryVerdict(sync), observedGeneration, now),
    ...sync.counts(),
    ...(lastHandledReconcileAt === undefined ? {} : { lastHandledReconcileAt }),
    ...(problems === undefined ? {} : { problems }),
  };
}

function directoryVerdict(sync: DirectorySync): SourceVerdict {
  const errors = sync.problems().filter(({ severity }) => severity === 'error');
  const [first] = errors;
  if (first !== undefined) {
    const more = errors.length > 1 ? `; and ${String(errors.length - 1)} more` : '';
    const message = `${formatProblem(first)}${more}. What these files had stays as it is; all others are applied`;
    return { ready: 'False', reason: 'Problems', message, trend: 'stalled' };
  }
  const { files, objects } = sync.counts();
  const message = `applied ${counted(objects, 'object')} from ${counted(files, 'file')}`;
  return { ready: 'True', reason: 'Applied', message, trend: 'settled' };
}
