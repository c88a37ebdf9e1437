import type { TransferStatus } from '../../src/api/resources.ts';
import type { CopyPass } from '../../src/volumes/copy.ts';
import type { TransferContext } from './context.ts';
import type { StatusChange } from './step.ts';

type VolumeStatus = NonNullable<TransferStatus['volumes']>[number];
type PassKind = NonNullable<VolumeStatus['passes']>[number]['kind'];

/** Weight of the newest second in the rate shown. */
const SMOOTHING = 0.3;

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
        if (perSecond > 0) status.etaSeconds = Math.max(0, Math.round((total - done) / perSecond));
      });
    },
  };
}

/** Follows the copies of a step, volume by volume, on top of what earlier steps recorded. */
export interface DataProgress {
  /** A pass over this volume begins. */
  begin(name: string): void;
  /** For `copyTree`. */
  readonly bytes: (onWire: number, done?: number) => void;
  /** The pass that was begun is over. */
  end(kind: PassKind, pass: CopyPass): void;
  /** A pass over a volume is over that was not followed. */
  add(name: string, kind: PassKind, pass: CopyPass): void;
  /** Bytes that crossed the wire in this step. */
  sent(): number;
  readonly change: StatusChange;
}

export function dataProgress(context: TransferContext): DataProgress {
  const volumes: VolumeStatus[] = structuredClone([...(context.status.volumes ?? [])]);
  let current: VolumeStatus | undefined;
  let sent = 0;

  const change: StatusChange = (status) => {
    status.volumes = structuredClone(volumes);
    status.bytesDone = volumes.reduce((sum, volume) => sum + (volume.bytesDone ?? 0), 0);
    status.bytesTotal = volumes.reduce((sum, volume) => sum + (volume.bytesTotal ?? 0), 0);
  };
  const meter = rateMeter(context, change);

  function add(name: string, kind: PassKind, pass: CopyPass): void {
    const volume = volumes.find((candidate) => candidate.name === name);
    sent += pass.bytesOnWire;
    if (volume === undefined) return;
    volume.bytesDone = volume.bytesTotal ?? 0;
    volume.passes = [
      ...(volume.passes ?? []),
      { kind, tool: pass.tool, bytesSent: pass.bytesOnWire, durationMs: pass.durationMs },
    ].slice(-20);
    context.report(change);
  }

  return {
    change,
    add,
    begin(name) {
      current = volumes.find((volume) => volume.name === name);
    },
    bytes(onWire, done) {
      if (current === undefined) return;
      // Until the tool says how much of the data is there, the bytes sent are the closest that is known.
      const total = current.bytesTotal ?? 0;
      current.bytesDone = Math.max(current.bytesDone ?? 0, Math.min(done ?? onWire, total));
      const all = volumes.reduce((sum, volume) => sum + (volume.bytesTotal ?? 0), 0);
      meter.report(
        volumes.reduce((sum, volume) => sum + (volume.bytesDone ?? 0), 0),
        all,
      );
    },
    end(kind, pass) {
      if (current !== undefined) add(current.name, kind, pass);
    },
    sent: () => sent,
  };
}
