import type { Redactor } from '../security/redact.ts';
import type { AuditEvent } from './chain.ts';

/** Takes out of an event what a secret got into, before it is written where nothing can be taken out again. */
export function redactedEvent(redactor: Redactor): (event: AuditEvent) => AuditEvent {
  return (event) => {
    const facts = Object.entries(event).map(([name, fact]): [string, AuditEvent[string]] => {
      if (typeof fact === 'string') return [name, redactor.redact(fact)];
      return [name, typeof fact === 'object' ? fact.map((text) => redactor.redact(text)) : fact];
    });
    return { ...Object.fromEntries(facts), event: event.event };
  };
}
