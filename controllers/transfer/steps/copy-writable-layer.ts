import { copyWritableLayer, readWritableChanges } from '../../../src/docker/writable-layer.ts';
import { targetContainer } from '../source-containers.ts';
import type { Step } from '../step.ts';

/** Brings along what the containers wrote outside their volumes: it would be lost with the old container. */
export const copyWritableLayers: Step = {
  name: 'copy-writable-layer',
  phase: 'Restoring',
  async apply(context) {
    if (context.transfer.spec.writableLayer === 'Discard') {
      return { skipped: true, message: 'spec.writableLayer is Discard' };
    }
    const capture = await context.session.capture(context);
    const [source, target] = await Promise.all([context.session.source(context), context.session.target(context)]);
    let carried = 0;
    const lost: string[] = [];
    for (const container of capture.containers) {
      const changes = await readWritableChanges(source.engine, container.id);
      const count = changes.added.length + changes.changed.length;
      lost.push(...changes.deleted.map((path) => `${container.name}:${path}`));
      if (count === 0) continue;
      const { id } = await targetContainer(context, container.name);
      await copyWritableLayer(source.engine, container.id, target.engine, id, changes, { signal: context.signal });
      carried += count;
    }
    if (carried === 0 && lost.length === 0) return { skipped: true, message: 'nothing was written outside volumes' };
    const gone =
      lost.length === 0 ? '' : `; deleted in the old container, but not in the image: ${lost.slice(0, 10).join(', ')}`;
    return { message: `${String(carried)} path(s) written outside volumes${gone}` };
  },
};
