import type { Logger } from 'pino';
import type { GridferryError } from '../errors.ts';
import { messageOf } from '../errors.ts';
import type { Clock } from '../runtime/clock.ts';
import { CONTINUED } from './chain.ts';
import type { AuditEvent, AuditLine } from './chain.ts';
import { openLogFile } from './log-file.ts';
import { partPath } from './log-parts.ts';

/** Who keeps the lines until they are in the file: the store of the local home. */
export interface AuditSource {
  /** Lines after `seq`, oldest first. */
  after(seq: number, limit: number): readonly AuditLine[];
  /** The file has everything up to this line. */
  flushed(seq: number): Promise<void>;
  append(events: readonly AuditEvent[]): Promise<void>;
  /** Called whenever there may be new lines. */
  onLines(callback: () => void): void;
}

export interface AuditLog {
  /** Writes what is left. */
  stop(): Promise<void>;
}

const BATCH = 500;
const DEFAULT_MAX_BYTES = 32 * 1024 * 1024;
/** How long the store may not know what the file has: lines cut off within that time come back from the store. */
const CONFIRM_MS = 1_000;
const RETRY_MS = 5_000;

/**
 * Brings the lines that a store makes into the log at `path`, and begins a new file when that is full. The store has the
 * lines already, safely: so this need not be done before a write is answered, and a crash loses none.
 *
 * @throws GridferryError `GF_AUDIT_FILE`, at the start only; later it is logged, and tried again
 */
export async function startAuditLog(options: {
  readonly source: AuditSource;
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Default 32 MiB. */
  readonly maxBytes?: number;
}): Promise<AuditLog> {
  const { source, path, clock, log, maxBytes = DEFAULT_MAX_BYTES } = options;
  const file = openLogFile(path);
  let [written, confirmed] = [file.lastSeq, 0];
  let [stopped, continuing] = [false, false];
  let cancelFlush: (() => void) | undefined;
  let cancelConfirm: (() => void) | undefined;
  let confirming: Promise<void> = Promise.resolve();

  function flush(): void {
    cancelFlush = undefined;
    try {
      for (let lines = source.after(written, BATCH); lines.length > 0; lines = source.after(written, BATCH)) {
        file.append(lines);
        written = file.lastSeq;
      }
    } catch (error) {
      log.error(
        { err: error, code: (error as Partial<GridferryError>).code },
        `the audit log could not be written, and is tried again: ${messageOf(error)}`,
      );
      schedule(RETRY_MS);
      return;
    }
    if (written > confirmed) cancelConfirm ??= clock.after(CONFIRM_MS, () => void confirm());
    if (file.size > maxBytes && !continuing) void continueElsewhere();
  }

  function schedule(ms: number): void {
    if (!stopped) cancelFlush ??= clock.after(ms, flush);
  }

  function confirm(): Promise<void> {
    cancelConfirm = undefined;
    const upTo = written;
    confirming = source.flushed(upTo).then(
      () => void (confirmed = Math.max(confirmed, upTo)),
      (error: unknown) => log.warn({ err: error }, 'the store could not note how far the audit log is written'),
    );
    return confirming;
  }

  async function continueElsewhere(): Promise<void> {
    continuing = true;
    await source
      .append([{ event: CONTINUED, after: partPath(path, written).split('/').at(-1) }])
      .catch((error: unknown) => {
        log.warn({ err: error }, 'the audit log could not begin a new file');
      });
    continuing = false;
  }

  const oldest = source.after(0, 1)[0]?.seq;
  if (oldest !== undefined && written + 1 < oldest) {
    log.error(
      { file: path, last: written, next: oldest, code: 'GF_AUDIT_BROKEN' },
      'lines are missing at the end of the audit log, or it is another one: "gridferry audit verify" says more; it goes on with a gap',
    );
    written = oldest - 1;
  }
  if (file.repairedBytes > 0) {
    log.warn(
      { file: path, bytes: file.repairedBytes },
      'the audit log ended in half a line, as after a power cut: it is repaired',
    );
    await source.append([{ event: 'LogRepaired', bytes: file.repairedBytes }]);
  }
  source.onLines(() => schedule(0));
  flush();
  return {
    async stop() {
      cancelFlush?.();
      cancelConfirm?.();
      stopped = true;
      flush();
      cancelConfirm?.();
      await confirm();
      file.close();
    },
  };
}
