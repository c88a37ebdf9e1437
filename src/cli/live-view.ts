import type { Transfer } from '../api/resources.ts';
import { keyOf, keyString } from '../api/meta.ts';
import { Transfers } from '../api/resources.ts';
import type { Reads } from '../home/served-reads.ts';
import type { Clock } from '../runtime/clock.ts';
import { followChanges } from './follow-changes.ts';
import { wantsColor } from './output.ts';
import { hasEnded } from './transfer-log.ts';
import { createPaint, endedSteps, endText, liveLines, progressText, routeText, stepText } from './transfer-view.ts';

/** Redrawing more often than this is not seen, and costs the terminal. */
const REDRAW_MS = 80;

/** Without a terminal: how often a long step says how far it is. */
const PROGRESS_LINE_MS = 3000;

export interface LiveViewOptions {
  readonly stream: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly clock: Clock;
  readonly env?: NodeJS.ProcessEnv;
}

/** Shows transfers as they go on: redrawn in place on a terminal, line by line elsewhere. */
export interface LiveView {
  update(transfer: Readonly<Transfer>): void;
  /** Takes a deleted transfer out of the view. */
  remove(transfer: Readonly<Transfer>): void;
  /** A line of somebody else's, above what is redrawn. */
  print(line: string): void;
  close(): void;
}

export function createLiveView({ stream, clock, env = process.env }: LiveViewOptions): LiveView {
  const live = stream.isTTY === true && env['TERM'] !== 'dumb';
  const paint = createPaint(wantsColor(stream, env));
  const shown = new Map<string, Readonly<Transfer>>();
  const lineAt = new Map<string, number>();
  let drawn = 0;
  let cancelRedraw: (() => void) | undefined;

  function erased(): string {
    const text = drawn === 0 ? '' : `\u001b[${drawn}A\u001b[J`;
    drawn = 0;
    return text;
  }

  function frame(): string {
    if (!live) return '';
    // A line as wide as the terminal would wrap, and the count of lines to go back up would be wrong.
    const width = Math.max(20, (stream.columns ?? 80) - 1);
    const lines = [...shown.values()]
      .filter((transfer) => !hasEnded(transfer))
      .flatMap((transfer) => liveLines(transfer, width, paint));
    drawn = lines.length;
    return lines.map((line) => `${line}\n`).join('');
  }

  function print(...lines: readonly string[]): void {
    if (lines.length > 0) stream.write(erased() + lines.map((line) => `${line}\n`).join('') + frame());
  }

  function redrawSoon(): void {
    if (!live) return;
    cancelRedraw ??= clock.after(REDRAW_MS, () => {
      cancelRedraw = undefined;
      stream.write(erased() + frame());
    });
  }

  function plainLine(transfer: Readonly<Transfer>, before: Readonly<Transfer> | undefined, key: string): string[] {
    const { phase, currentStep, bytesDone, message } = transfer.status ?? {};
    const name = transfer.metadata.name;
    const now = clock.monotonic();
    if (phase !== undefined && phase !== before?.status?.phase && !hasEnded(transfer)) {
      lineAt.set(key, now);
      const why = phase === 'Pending' && message !== undefined ? `: ${message}` : '';
      return [`${phase === 'Pending' ? routeText(transfer) : name}  ${phase}${why}`];
    }
    if (bytesDone === before?.status?.bytesDone || now - (lineAt.get(key) ?? now) < PROGRESS_LINE_MS) return [];
    lineAt.set(key, now);
    return [`${name}  ${currentStep ?? ''}  ${progressText(transfer)}`];
  }

  return {
    update(transfer) {
      const key = keyString(keyOf(transfer));
      const before = shown.get(key);
      shown.set(key, transfer);
      const end = before === undefined || !hasEnded(before) ? endText(transfer, paint) : undefined;
      const several = shown.size > 1 ? `${transfer.metadata.name}  ` : '';
      const lines = [
        ...endedSteps(before?.status, transfer.status).map((step) => `  ${several}${stepText(step, paint)}`),
        // After the steps: the last of them is what ended the phase before.
        ...(live ? [] : plainLine(transfer, before, key)),
        ...(end === undefined ? [] : [end]),
      ];
      if (lines.length > 0) print(...lines);
      else redrawSoon();
    },
    remove(transfer) {
      shown.delete(keyString(keyOf(transfer)));
      print(`${transfer.metadata.name}  deleted`);
    },
    print: (line) => print(line),
    close() {
      cancelRedraw?.();
      if (live) stream.write(erased() + frame());
    },
  };
}

export interface FollowOptions {
  readonly client: Reads;
  readonly view: LiveView;
  readonly clock: Clock;
  readonly namespace: string;
  /** Default: all of the namespace. */
  readonly names?: readonly string[];
  readonly signal: AbortSignal;
}

/** Feeds a view until every transfer asked for has ended, or the signal fires. Resolves with how they were last seen. */
export async function followTransfers(options: FollowOptions): Promise<readonly Readonly<Transfer>[]> {
  const { client, view, clock, namespace, names = [] } = options;
  const seen = new Map<string, Readonly<Transfer>>();
  const done = new AbortController();
  const signal = AbortSignal.any([options.signal, done.signal]);
  const enough = (): boolean =>
    seen.size >= Math.max(1, names.length) && [...seen.values()].every((transfer) => hasEnded(transfer));
  const isWanted = ({ metadata }: Readonly<Transfer>): boolean => names.length === 0 || names.includes(metadata.name);
  const show = (object: Readonly<Transfer>): void => {
    seen.set(object.metadata.name, object);
    view.update(object);
  };
  // All of them at once: one that has ended says nothing about those that come after it.
  const since = await client.list(Transfers, { namespace, signal });
  since.items.filter(isWanted).forEach(show);
  if (enough()) return [...seen.values()];
  const onTrouble = (text: string): void => view.print(text);
  const changes = followChanges({ client, type: Transfers, scope: { namespace }, since, clock, signal, onTrouble });
  for await (const { type, object } of changes) {
    if (!isWanted(object)) continue;
    if (type === 'DELETED') {
      view.remove(object);
      seen.delete(object.metadata.name);
    } else {
      show(object);
    }
    if (enough()) done.abort();
  }
  return [...seen.values()];
}
