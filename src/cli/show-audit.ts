import { readLine } from '../audit/chain.ts';
import { logParts } from '../audit/log-parts.ts';
import { readLines } from '../audit/read-lines.ts';
import { findAuditLog } from './audit-place.ts';
import { standardOutput } from './output.ts';

const PLACE = new Set(['seq', 'time', 'event', 'prev', 'hash', 'uid']);

type Facts = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** Prints a log as it is. */
export async function showAudit(
  file: string | undefined,
  options: { readonly state?: string; readonly output: 'text' | 'json' },
): Promise<void> {
  for (const part of logParts(findAuditLog(file, options.state).path)) {
    for await (const { bytes, ended } of readLines(part)) {
      if (!ended) continue;
      const line = readLine(bytes);
      if (options.output === 'json' || typeof line === 'string') standardOutput.print(bytes.toString('utf8'));
      else standardOutput.print(describe(JSON.parse(line.text) as Facts));
    }
  }
}

/** `2026-11-21T18:00:00.000Z PhaseChanged Transfer default/move-web by=gridferry from=Pending to=Preparing` */
function describe(line: Facts): string {
  const { time = '', event = '', kind, namespace, name = '', ...facts } = line;
  const object =
    kind === undefined ? [] : [kind, namespace === undefined ? name : `${String(namespace)}/${String(name)}`];
  const said = Object.entries(facts)
    .filter(([fact]) => !PLACE.has(fact))
    .map(([fact, value]) => `${fact}=${Array.isArray(value) ? value.join(',') : String(value)}`);
  return [time, event, ...object, ...said].map(String).join(' ');
}
