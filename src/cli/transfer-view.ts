import type { Transfer, TransferStatus } from '../api/resources.ts';
import { findCondition } from '../runtime/conditions.ts';
import { formatBytes } from '../../controllers/format-bytes.ts';
import { formatSeconds } from './format.ts';
import { printable } from './table.ts';
import { hasEnded } from './transfer-log.ts';

type StepRecord = NonNullable<TransferStatus['steps']>[number];

export type Paint = (style: 'bold' | 'dim' | 'green' | 'red' | 'yellow' | 'cyan', text: string) => string;

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export function createPaint(color: boolean): Paint {
  return color ? (style, text) => `\u001b[${CODES[style]}m${text}\u001b[0m` : (_style, text) => text;
}

/** Such as `move-web  alpha → beta`. */
export function routeText({ metadata, spec, status }: Readonly<Transfer>): string {
  const source = status?.sourceServer ?? spec.sourceServerRef?.name ?? '?';
  return `${metadata.name}  ${source} → ${spec.targetServerRef.name}`;
}

/** `42 %  84 MiB of 200 MiB  92 MiB/s  ETA 2 s`, as far as it is known. */
export function progressText({ status = {} }: Readonly<Transfer>): string {
  const { progressPercent, bytesDone, bytesTotal, bytesPerSecond, etaSeconds } = status;
  return [
    progressPercent === undefined ? '' : `${progressPercent} %`,
    bytesTotal === undefined || bytesTotal === 0 ? '' : `${formatBytes(bytesDone ?? 0)} of ${formatBytes(bytesTotal)}`,
    bytesPerSecond === undefined ? '' : `${formatBytes(bytesPerSecond)}/s`,
    etaSeconds === undefined ? '' : `ETA ${formatSeconds(etaSeconds)}`,
  ]
    .filter((part) => part !== '')
    .join('  ');
}

/** A bar of `width` characters. */
export function progressBar(percent: number, width: number): string {
  const filled = Math.round((Math.min(100, Math.max(0, percent)) / 100) * width);
  return '█'.repeat(filled) + '░'.repeat(width - filled);
}

/** The steps that are over in `after` and were not in `before`, in their order. */
export function endedSteps(before: TransferStatus | undefined, after: TransferStatus | undefined): StepRecord[] {
  const states = new Map((before?.steps ?? []).map((step) => [step.name, step.state]));
  const isOver = (state: string | undefined): boolean => ['Done', 'Skipped', 'Failed', 'Undone'].includes(state ?? '');
  return (after?.steps ?? []).filter(({ name, state }) => isOver(state) && states.get(name) !== state);
}

/** One line of a step that has ended. */
export function stepText({ name, state, startTime, endTime, message = '' }: StepRecord, paint: Paint): string {
  const sign = {
    Done: paint('green', '✔'),
    Skipped: paint('dim', '–'),
    Failed: paint('red', '✘'),
    Undone: paint('yellow', '↩'),
  };
  const ms = Date.parse(endTime ?? '') - Date.parse(startTime ?? '');
  const took = Number.isNaN(ms) || ms === 0 || state === 'Skipped' ? '' : paint('dim', formatSeconds(ms / 1000));
  return [sign[state as keyof typeof sign], name.padEnd(22), took, paint('dim', printable(message))]
    .filter((part) => part !== '')
    .join(' ');
}

/** How a transfer ended, in one line; `undefined` while it has not. */
export function endText(transfer: Readonly<Transfer>, paint: Paint): string | undefined {
  if (!hasEnded(transfer)) return undefined;
  const { phase = '', message = '', startTime, completionTime, rollback } = transfer.status ?? {};
  // Of what it did last: the way there had its own.
  const { downtimeSeconds } = (phase === 'RolledBack' ? rollback : transfer.status) ?? {};
  const planned = phase === 'Planned' && findCondition(transfer.status?.conditions, 'Succeeded')?.status === 'True';
  const good =
    planned || phase === 'Completed' || phase === 'RolledBack' || (phase === 'Cancelled' && transfer.spec.cancel);
  const ms = Date.parse(completionTime ?? '') - Date.parse(startTime ?? '');
  const took = Number.isNaN(ms) ? '' : ` in ${formatSeconds(ms / 1000)}`;
  const downtime = downtimeSeconds === undefined ? '' : `, downtime ${formatSeconds(downtimeSeconds)}`;
  const sign = good ? paint('green', '✔') : paint('red', '✘');
  const said = message === '' ? '' : `: ${printable(message)}`;
  return `${sign} ${paint('bold', transfer.metadata.name)} ${phase}${took}${downtime}${said}`;
}

/** The lines of a transfer under way, each at most `width` characters. */
export function liveLines(transfer: Readonly<Transfer>, width: number, paint: Paint): string[] {
  const { phase = 'Pending', currentStep = '', progressPercent = 0, message = '' } = transfer.status ?? {};
  // The name of a step alone adds nothing: the step itself is shown, and it may be one further already.
  const said = /^(step \S+)?$/.test(message) ? '' : `  ${printable(message)}`;
  const place = `${phase}${currentStep === '' ? '' : ` / ${currentStep}`}`;
  const route = routeText(transfer);
  const barWidth = Math.max(10, Math.min(40, width - 60));
  const progress = progressText(transfer);
  return [
    `${paint('bold', route)}  ${paint('cyan', place)}${paint('dim', clip(said, width - route.length - place.length - 2))}`,
    `  ${paint('cyan', progressBar(progressPercent, barWidth))}  ${clip(progress, width - barWidth - 4)}`,
  ];
}

function clip(text: string, width: number): string {
  const characters = Array.from(text);
  if (characters.length <= width) return text;
  return width <= 1 ? '' : `${characters.slice(0, width - 1).join('')}…`;
}
