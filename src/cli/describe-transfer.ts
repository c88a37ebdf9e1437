import type { Transfer, TransferStatus } from '../api/resources.ts';
import { formatBytes } from '../../controllers/format-bytes.ts';
import { formatSeconds } from './format.ts';
import { planDetails, planSummary } from './plan-view.ts';
import { renderTable } from './table.ts';
import { indented, renderPairs } from './text-layout.ts';

/** The status of a transfer, as the answers to what people ask of it. */
export function transferSections({ status = {} }: Readonly<Transfer>): string[] {
  return [
    'Status:',
    ...renderPairs(summary(status), '  '),
    ...planLines(status),
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
    ['Strategy', strategyText(status)],
    ['Transport', transportText(status)],
    ['Rounds', roundsText(status)],
    ['Bytes', status.bytesTotal === undefined ? undefined : bytesText(status.bytesDone, status.bytesTotal)],
    ['Started', status.startTime],
    ['Ended', status.completionTime],
    ['Downtime', downtimeText(status)],
    ['Old Address', forwardText(status)],
    ['Soak', soakText(status)],
    ['Failure', status.failure === undefined ? undefined : `${status.failure.message} (step ${status.failure.step})`],
    ['Source Kept Until', status.sourceDeletedAt === undefined ? status.rollbackDeadline : undefined],
    ['Source Deleted', status.sourceDeletedAt],
    ['Can Roll Back', wayBackText(status)],
    ['Rollback', rollbackText(status)],
    ['Jobs', jobsText(status)],
    ['Credentials', credentialsText(status)],
  ];
  return pairs.flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const]));
}

/** How long, and where it went. */
function downtimeText({ downtimeSeconds, downtime = {} }: TransferStatus): string | undefined {
  if (downtimeSeconds === undefined) return undefined;
  const parts = [
    ['stop', downtime.stopMs],
    ['copy', downtime.deltaMs],
    ['compare', downtime.verifyMs],
    ['start', downtime.startMs],
    ['until healthy', downtime.healthyMs],
    ['other', downtime.otherMs],
  ] as const;
  const known = parts.flatMap(([name, ms]) => (ms === undefined ? [] : [`${name} ${String(ms)} ms`]));
  return `${formatSeconds(downtimeSeconds)}${known.length === 0 ? '' : ` (${known.join(', ')})`}`;
}

function strategyText({ strategy, strategyReason }: TransferStatus): string | undefined {
  if (strategy === undefined) return undefined;
  return strategyReason === undefined ? strategy : `${strategy}: ${strategyReason}`;
}

function transportText({ transport }: TransferStatus): string | undefined {
  if (transport === undefined) return undefined;
  const { mode, reason, roundTripMs, bytesPerSecond, channels, compression } = transport;
  return [
    `${mode}: ${reason}`,
    ...(roundTripMs === undefined ? [] : [`round trip ${roundTripMs.toFixed(1)} ms`]),
    ...(bytesPerSecond === undefined ? [] : [`${formatBytes(bytesPerSecond)}/s`]),
    ...(channels === undefined ? [] : [`${String(channels)} channels`]),
    ...(compression === undefined ? [] : [`compressed with ${compression}`]),
  ].join(', ');
}

/** Of the copies made while the service ran; after the cutover it is what had been predicted. */
function roundsText({ precopy }: TransferStatus): string | undefined {
  if (precopy === undefined) return undefined;
  const { rounds, lastSyncTime, dirtyBytesPerSecond, message } = precopy;
  return [
    `${String(rounds)}${lastSyncTime === undefined ? '' : `, the last began at ${lastSyncTime}`}`,
    ...(dirtyBytesPerSecond === undefined ? [] : [`the service changes ${formatBytes(dirtyBytesPerSecond)}/s`]),
    ...(message === undefined ? [] : [message]),
  ].join('; ');
}

/** What becomes of those who still use it. */
function forwardText({ forward }: TransferStatus): string | undefined {
  if (forward === undefined) return undefined;
  const { state, ports = [], to, until, reason } = forward;
  const why = reason === undefined ? '' : `; ${reason}`;
  switch (state) {
    case 'Active':
      return `passes on ${ports.join(', ')} to ${to ?? 'the target'} until ${until ?? 'it is taken away'}${why}`;
    case 'Ended':
      return `no longer passes anything on${why}`;
    case 'Unavailable':
      return `passes on nothing${why}`;
  }
}

/** While it lasts, and when it went badly. */
function soakText({ soak, completionTime }: TransferStatus): string | undefined {
  if (soak === undefined || (completionTime !== undefined && soak.failures === 0)) return undefined;
  const failures = soak.failures === 0 ? 'none failed lately' : `the last ${String(soak.failures)} failed`;
  return `${String(soak.probes)} probe(s), ${failures}${soak.failures === 0 ? '' : `: ${soak.message ?? ''}`}`;
}

function jobsText({ jobs = [] }: TransferStatus): string | undefined {
  const running = jobs.filter(({ state }) => state === 'Running');
  if (running.length === 0) return undefined;
  return running.map(({ name, server }) => `${name} runs on server ${server}`).join(', ');
}

function credentialsText({ credentials = [] }: TransferStatus): string | undefined {
  if (credentials.length === 0) return undefined;
  return `made for this transfer, on ${[...new Set(credentials.map(({ server }) => `server ${server}`))].join(' and ')}`;
}

function planLines({ phase, plan }: TransferStatus): string[] {
  if (phase !== 'Planned' || plan === undefined) return [];
  return ['  Plan:', ...renderPairs(planSummary(plan), '    '), ...indented(indented(planDetails(plan)))];
}

function wayBackText({ canRollback, conditions = [] }: TransferStatus): string | undefined {
  if (canRollback === undefined) return undefined;
  const why = conditions.find(({ type }) => type === 'CanRollback');
  return `${canRollback ? 'yes' : 'no'}${why === undefined ? '' : ` (${why.reason}: ${why.message})`}`;
}

function rollbackText({ rollback }: TransferStatus): string | undefined {
  if (rollback === undefined) return undefined;
  const { outcome = 'under way', data, cause, downtimeSeconds, failure } = rollback;
  const asked = cause === 'SoakFailure' ? ', because the soak failed' : '';
  const downtime = downtimeSeconds === undefined ? '' : `, downtime ${formatSeconds(downtimeSeconds)}`;
  return `${outcome}, data ${data}${asked}${downtime}${failure === undefined ? '' : `: ${failure.message} (step ${failure.step})`}`;
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
