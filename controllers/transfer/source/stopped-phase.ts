import type { Stopping } from '../../../src/docker/stop.ts';
import type { WritableChanges } from '../../../src/docker/writable-layer.ts';
import type { CopyPass } from '../../../src/volumes/copy.ts';
import type { ManifestHandle } from '../../../src/volumes/manifest.ts';
import type { Standby } from '../../../src/volumes/standby.ts';
import type { StandbyManifests } from '../../../src/volumes/verify.ts';
import type { WrittenLayer } from '../copying/written-layers.ts';

/**
 * What one process remembers around the stop of the source, so that the steps after it can be quick. All of it may be
 * lost (another process goes on, a connection broke): then the servers are asked, and the work is done in the ordinary
 * way.
 */
export interface StoppedPhase {
  /** The stops that were begun, by container id. */
  readonly stops: Map<string, Stopping>;
  /** Final passes that stand by, by data item. Whoever uses one takes it out. */
  readonly copies: Map<string, Standby<CopyPass>>;
  /** The same for the comparison after it; that of the source may have been begun. */
  readonly manifests: Map<string, Partial<StandbyManifests>>;
  /** What the containers wrote outside volumes until shortly before the stop, by container id. */
  readonly layers: Map<string, WrittenLayer>;
  /** What the stopped containers wrote there, by container id. */
  readonly written: Map<string, Promise<WritableChanges>>;
  /** The target's disk has what was copied; begun with the verification, waited for before the commit point. */
  flush: Promise<void> | undefined;
  /** Ends what stands by and was not used, so that others can. */
  standDown(): void;
  /** Called once, at the next `standDown`. */
  onStandDown(callback: () => void): void;
  /** Ends what stands by, and forgets the rest. */
  forget(): void;
}

export function createStoppedPhase(): StoppedPhase {
  const callbacks: (() => void)[] = [];
  const stopped: StoppedPhase = {
    stops: new Map(),
    copies: new Map(),
    manifests: new Map(),
    layers: new Map(),
    written: new Map(),
    flush: undefined,
    standDown() {
      const { copies, manifests } = stopped;
      for (const copy of copies.values()) copy.cancel();
      for (const { source, target } of manifests.values()) for (const side of [source, target]) side?.cancel();
      for (const standing of [copies, manifests]) standing.clear();
      for (const callback of callbacks.splice(0)) callback();
    },
    onStandDown: (callback) => void callbacks.push(callback),
    forget() {
      stopped.standDown();
      for (const memory of [stopped.stops, stopped.layers, stopped.written]) memory.clear();
      stopped.flush = undefined;
    },
  };
  return stopped;
}

/** Takes out what stands by: it can be used once. */
export function take<T>(standing: Map<string, T>, name: string): T | undefined {
  const found = standing.get(name);
  standing.delete(name);
  return found;
}

/** A manifest that is being made already, in the place of one that stands by. */
export function begun(manifest: Promise<ManifestHandle>): Standby<ManifestHandle> {
  // Whoever goes on with it hears of a failure.
  manifest.catch(() => undefined);
  return { go: () => manifest, cancel: () => undefined };
}
