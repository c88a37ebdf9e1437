import type { TransferStatus } from '../../../src/api/resources.ts';
import type { TransferContext } from '../context.ts';
import type { StatusChange } from '../step.ts';

type Part = Exclude<keyof NonNullable<TransferStatus['downtime']>, 'otherMs'>;

const parts: readonly Part[] = ['stopMs', 'deltaMs', 'verifyMs', 'startMs', 'healthyMs'];

/** Measures one part of the downtime, from now on. Several measures of one part add up. */
export function measure({ clock, status }: TransferContext, part: Part): () => StatusChange {
  const begin = clock.monotonic();
  const before = status.downtime?.[part] ?? 0;
  return () => {
    const ms = before + Math.round(clock.monotonic() - begin);
    return (fresh) => void (fresh.downtime = { ...fresh.downtime, [part]: ms });
  };
}

/** The service answers again, at the target or, after an undo, at the source. What no part accounts for is `otherMs`. */
export function endDowntime(status: TransferStatus, end: string): void {
  if (status.downtimeStart === undefined) return;
  const totalMs = Math.max(0, Date.parse(end) - Date.parse(status.downtimeStart));
  status.downtimeEnd = end;
  status.downtimeSeconds = totalMs / 1000;
  const { otherMs: _other, ...known } = status.downtime ?? {};
  const sum = parts.reduce((all, part) => all + (known[part] ?? 0), 0);
  status.downtime = { ...known, otherMs: Math.max(0, totalMs - sum) };
}
