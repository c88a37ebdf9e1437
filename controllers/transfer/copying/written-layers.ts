import { isUnchanged, stampLayer } from '../../../src/docker/layer-stamp.ts';
import type { LayerStamp } from '../../../src/docker/layer-stamp.ts';
import type { WritableChanges } from '../../../src/docker/writable-layer.ts';
import type { TransferContext } from '../context.ts';
import { recordedContainers } from '../source/source-containers.ts';

/** What a container wrote outside its volumes, as read while it ran. */
export interface WrittenLayer {
  readonly changes: WritableChanges;
  readonly stamp: LayerStamp;
}

/** Reads what the containers wrote so far, where a later look can tell quickly whether they wrote more. */
export async function readLayers(context: TransferContext): Promise<void> {
  if (context.transfer.spec.writableLayer === 'Discard') return;
  const { engine } = await context.session.source(context);
  await Promise.all(
    recordedContainers(context).map(async ({ id }) => {
      const stamp = await stampLayer(engine, id, context.signal);
      if (stamp === undefined) return;
      // After the stamp: what is written in between makes the later look differ.
      const changes = await context.dataPlane.readWritableChanges(engine, id, context.signal);
      context.session.stopped.layers.set(id, { changes, stamp });
    }),
  );
}

/** Begins to read what the stopped containers wrote, for the step that carries it. */
export function beginReadingLayers(context: TransferContext): void {
  if (context.transfer.spec.writableLayer === 'Discard') return;
  const { written } = context.session.stopped;
  for (const { id } of recordedContainers(context)) {
    if (written.has(id)) continue;
    const reading = read(context, id);
    written.set(id, reading);
    // Who carries it asks again.
    reading.catch(() => written.delete(id));
  }
}

/** What a stopped container wrote outside its volumes. */
export function writtenBy(context: TransferContext, id: string): Promise<WritableChanges> {
  return context.session.stopped.written.get(id) ?? read(context, id);
}

async function read(context: TransferContext, id: string): Promise<WritableChanges> {
  const { engine } = await context.session.source(context);
  const layer = context.session.stopped.layers.get(id);
  if (layer !== undefined && (await isUnchanged(engine, layer.stamp).catch(() => false))) return layer.changes;
  return context.dataPlane.readWritableChanges(engine, id);
}
