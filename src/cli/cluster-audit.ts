import type { Logger } from 'pino';
import type { AuditEvent } from '../audit/chain.ts';
import { redactedEvent } from '../audit/redacted-event.ts';
import { openStandaloneLog } from '../audit/standalone-log.ts';
import { messageOf } from '../errors.ts';
import { systemClock } from '../runtime/clock.ts';
import type { Redactor } from '../security/redact.ts';

/**
 * Where a replica's audit log goes: to the file that was named, chained; else into the program's own log, for whoever
 * collects that.
 */
export function openClusterAudit(
  path: string | undefined,
  { log, redactor }: { readonly log: Logger; readonly redactor: Redactor },
): { record(events: readonly AuditEvent[]): void; close(): void } {
  const redact = redactedEvent(redactor);
  if (path === undefined) {
    return {
      record(events) {
        for (const audit of events) log.info({ audit: redact(audit) }, 'audit');
      },
      close: () => undefined,
    };
  }
  const file = openStandaloneLog(path, systemClock);
  return {
    record(events) {
      try {
        file.append(events.map(redact));
      } catch (error) {
        // It happened already: what cannot be written to the file is at least in the log.
        log.error({ err: error, audit: events.map(redact) }, messageOf(error));
      }
    },
    close: () => file.close(),
  };
}
