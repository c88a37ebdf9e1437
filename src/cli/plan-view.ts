import type { Transfer, TransferStatus } from '../api/resources.ts';
import { formatBytes } from '../../controllers/format-bytes.ts';
import { formatSeconds } from './format.ts';
import { standardOutput } from './output.ts';
import { renderYaml } from './render-yaml.ts';
import { renderTable } from './table.ts';
import { indented, renderPairs } from './text-layout.ts';

type PlannedMove = NonNullable<TransferStatus['plan']>;

/** Prints the plans; as data, the plan itself, or a list of them where there are several transfers. */
export function printPlans(transfers: readonly Transfer[], output: 'text' | 'json' | 'yaml'): void {
  const plans = transfers.flatMap(({ status }) => (status?.plan === undefined ? [] : [status.plan]));
  const value = plans.length === 1 ? plans[0] : plans;
  if (output === 'json') standardOutput.print(JSON.stringify(value, undefined, 2));
  else if (output === 'yaml') standardOutput.print(renderYaml(value));
  else standardOutput.print(transfers.map((transfer) => planText(transfer)).join('\n\n'));
}

/** A plan as people read it: what it amounts to, what would be done and sent, and what stands in the way. */
export function planText({ metadata, spec, status }: Readonly<Transfer>): string {
  const { plan } = status ?? {};
  if (plan === undefined) return `${metadata.name}: no plan`;
  const title = ['Transfer', `${metadata.name} to server ${spec.targetServerRef.name}`] as const;
  return [...renderPairs([title, ...planSummary(plan)]), ...planDetails(plan)].join('\n');
}

/** What makes up a plan, in sections. */
export function planDetails(plan: PlannedMove): string[] {
  return [
    ...section('Steps', stepLines(plan)),
    ...section('Parts', partLines(plan)),
    ...section('Warnings', plan.warnings),
    ...section('Blockers', blockerLines(plan)),
  ];
}

/** What a plan amounts to. */
export function planSummary(plan: PlannedMove): (readonly [string, string])[] {
  const { bytesTotal, bytesPerSecond, etaSeconds, predictedDowntimeSeconds, blockers } = plan;
  const pairs: (readonly [string, string | undefined])[] = [
    ['Strategy', plan.strategy],
    ['Transport', plan.transport],
    ['To send', formatBytes(bytesTotal)],
    ['Bandwidth', bytesPerSecond === undefined ? undefined : `${formatBytes(bytesPerSecond)}/s`],
    ['Time', etaSeconds === undefined ? undefined : `about ${formatSeconds(etaSeconds)}`],
    [
      'Downtime',
      predictedDowntimeSeconds === undefined ? undefined : `about ${formatSeconds(predictedDowntimeSeconds)}`,
    ],
    ['Blockers', blockers.length === 0 ? 'none: set spec.mode to Apply to begin' : String(blockers.length)],
  ];
  return pairs.flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const]));
}

function stepLines({ steps }: PlannedMove): string[] {
  if (steps.length === 0) return [];
  const rows = steps.map(({ name, phase, message = '' }) => [name, phase, message]);
  return renderTable({ header: ['NAME', 'PHASE', 'WHAT IT WOULD DO'], rows });
}

function partLines({ parts }: PlannedMove): string[] {
  if (parts.length === 0) return [];
  const rows = parts.map(({ name, kind, bytes, bytesPresent }) => [
    name,
    kind,
    formatBytes(bytes),
    bytesPresent === undefined ? '' : formatBytes(bytesPresent),
  ]);
  return renderTable({ header: ['NAME', 'KIND', 'TO SEND', 'THERE ALREADY'], rows });
}

function blockerLines({ blockers }: PlannedMove): string[] {
  if (blockers.length === 0) return [];
  return renderTable({ header: ['CODE', 'MESSAGE'], rows: blockers.map(({ code, message }) => [code, message]) });
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', `${title}:`, ...indented(lines)];
}
