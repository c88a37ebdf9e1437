import type { Transfer, TransferStatus } from '../api/resources.ts';
import { formatBytes } from '../../controllers/format-bytes.ts';
import { formatSeconds } from './format.ts';
import { renderTable } from './table.ts';
import { indented, renderPairs } from './text-layout.ts';

/** The status of a transfer, as the answers to what people ask of it. */
export function transferSections({ status = {} }: Readonly<Transfer>): string[] {
  return [
    'Status:',
    ...renderPairs(summary(status), '  '),
    ...stepLines(status),
    ...volumeLines(status),
    ...imageLines(status),
    ...attemptLines(status),
  ];
}

function summary(status: TransferStatus): (readonly [string, string])[] {
  const pairs: (readonly [string, string | undefined])[] = [
    ['Phase', status.phase ?? 'Pending'],
    ['Message', status.message],
    ['Progress', status.progressPercent === undefined ? undefined : `${status.progressPercent} %`],
    ['Current Step', status.currentStep],
    ['Place in Queue', status.queuePosition?.toString()],
    ['Source Server', status.sourceServer],
    ['Bytes', status.bytesTotal === undefined ? undefined : bytesText(status.bytesDone, status.bytesTotal)],
    ['Started', status.startTime],
    ['Ended', status.completionTime],
    ['Downtime', status.downtimeSeconds === undefined ? undefined : formatSeconds(status.downtimeSeconds)],
    ['Failure', status.failure === undefined ? undefined : `${status.failure.message} (step ${status.failure.step})`],
    ['Source Kept Until', status.rollbackDeadline],
  ];
  return pairs.flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const]));
}

function bytesText(done: number | undefined, total: number): string {
  return `${formatBytes(done ?? 0)} of ${formatBytes(total)}`;
}

function stepLines({ steps = [] }: TransferStatus): string[] {
  if (steps.length === 0) return [];
  const rows = steps.map(({ name, phase, state, attempts, startTime, endTime, message = '' }) => [
    name,
    phase,
    state,
    attempts > 1 ? String(attempts) : '',
    tookText(startTime, endTime),
    message,
  ]);
  const header = ['Name', 'Phase', 'State', 'Attempts', 'Took', 'Message'];
  return ['  Steps:', ...indented(indented(renderTable({ header, rows })))];
}

function tookText(start: string | undefined, end: string | undefined): string {
  const ms = Date.parse(end ?? '') - Date.parse(start ?? '');
  return Number.isNaN(ms) ? '' : formatSeconds(ms / 1000);
}

function volumeLines({ volumes = [] }: TransferStatus): string[] {
  if (volumes.length === 0) return [];
  const rows = volumes.map(({ name, bytesTotal, bytesDone, files, passes = [], verified = '' }) => [
    name,
    bytesTotal === undefined ? '' : bytesText(bytesDone, bytesTotal),
    files?.toString() ?? '',
    passes
      .map((pass) => `${pass.kind} ${formatBytes(pass.bytesSent)} in ${formatSeconds(pass.durationMs / 1000)}`)
      .join(', '),
    verified,
  ]);
  const header = ['Name', 'Bytes', 'Files', 'Passes', 'Verified'];
  return ['  Volumes:', ...indented(indented(renderTable({ header, rows })))];
}

function imageLines({ images = [] }: TransferStatus): string[] {
  if (images.length === 0) return [];
  const rows = images.map(({ id, reference, method, layersSent, layersTotal, bytesSent, bytesSkipped }) => [
    reference ?? id.slice(0, 19),
    method,
    `${layersSent} of ${layersTotal}`,
    formatBytes(bytesSent),
    formatBytes(bytesSkipped),
  ]);
  const header = ['Image', 'Method', 'Layers Sent', 'Sent', 'Skipped'];
  return ['  Images:', ...indented(indented(renderTable({ header, rows })))];
}

function attemptLines({ attempts = [] }: TransferStatus): string[] {
  if (attempts.length === 0) return [];
  const rows = attempts.map(({ startTime = '', endTime = '', phase, message }) => [startTime, endTime, phase, message]);
  return [
    '  Earlier Attempts:',
    ...indented(indented(renderTable({ header: ['Started', 'Ended', 'Phase', 'Message'], rows }))),
  ];
}
