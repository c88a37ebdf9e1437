import type { TransferStatus } from '../../../src/api/resources.ts';
import { plainCopy } from '../../../src/runtime/structural.ts';
import type { CopyPass } from '../../../src/volumes/copy.ts';
import type { TransferContext } from '../context.ts';
import type { StatusChange } from '../step.ts';

type VolumeStatus = NonNullable<TransferStatus['volumes']>[number];
type PassKind = NonNullable<VolumeStatus['passes']>[number]['kind'];

/** Weight of the newest second in the rate shown. */
const SMOOTHING = 0.3;

/** Slower than this nothing is under way yet, or any more: no time left is told from it. In bytes per second. */
const CRAWL = 1024;

/** Turns counts of bytes into a rate and an estimate, and reports both. */
export interface RateMeter {
  report(done: number, total: number): void;
}

export function rateMeter(context: TransferContext, change?: StatusChange): RateMeter {
  let lastBytes = 0;
  let lastTime = context.clock.monotonic();
  let rate: number | undefined;
  return {
    report(done, total) {
      const now = context.clock.monotonic();
      const elapsed = now - lastTime;
      if (elapsed >= 500) {
        const latest = Math.max(0, ((done - lastBytes) * 1000) / elapsed);
        rate = rate === undefined ? latest : rate + SMOOTHING * (latest - rate);
        lastBytes = done;
        lastTime = now;
      }
      const perSecond = rate;
      context.report((status, condition) => {
        change?.(status, condition);
        if (perSecond === undefined) return;
        status.bytesPerSecond = Math.round(perSecond);
        if (perSecond >= CRAWL) status.etaSeconds = Math.max(0, Math.round((total - done) / perSecond));
        else delete status.etaSeconds;
      });
    },
  };
}

/** Follows the copies of a step, volume by volume, on top of what earlier steps recorded. */
export interface DataProgress {
  /** For `copyTree`, of this volume. */
  bytes(name: string): (onWire: number, done?: number) => void;
  /** A pass over a volume is over. */
  add(name: string, kind: PassKind, pass: CopyPass): void;
  /** Bytes that crossed the wire in this step. */
  sent(): number;
  readonly change: StatusChange;
}

/** @param beside what is to be shown together with the volumes: the latest report replaces those before it. */
export function dataProgress(context: TransferContext, beside?: StatusChange): DataProgress {
  const volumes: VolumeStatus[] = plainCopy([...(context.status.volumes ?? [])]);
  const sum = (key: 'bytesDone' | 'bytesTotal'): number => volumes.reduce((all, volume) => all + (volume[key] ?? 0), 0);
  let sent = 0;

  const change: StatusChange = (status, condition) => {
    status.volumes = plainCopy(volumes);
    status.bytesDone = sum('bytesDone');
    status.bytesTotal = sum('bytesTotal');
    if (status.bytesDone >= status.bytesTotal) delete status.etaSeconds;
    beside?.(status, condition);
  };
  const meter = rateMeter(context, change);
  const find = (name: string): VolumeStatus | undefined => volumes.find((volume) => volume.name === name);

  return {
    change,
    bytes(name) {
      const volume = find(name);
      return (onWire, done) => {
        if (volume === undefined) return;
        // Until the tool says how much of the data is there, the bytes sent are the closest that is known.
        volume.bytesDone = Math.max(volume.bytesDone ?? 0, Math.min(done ?? onWire, volume.bytesTotal ?? 0));
        meter.report(sum('bytesDone'), sum('bytesTotal'));
      };
    },
    add(name, kind, pass) {
      const volume = find(name);
      sent += pass.bytesOnWire;
      if (volume === undefined) return;
      volume.bytesDone = volume.bytesTotal ?? 0;
      const [first, ...later] = [
        ...(volume.passes ?? []),
        { kind, tool: pass.tool, bytesSent: pass.bytesOnWire, durationMs: pass.durationMs },
      ];
      // The first one tells how the bulk went, also after rounds without number.
      volume.passes = [first, ...later.slice(-19)];
      context.report(change);
    },
    sent: () => sent,
  };
}
