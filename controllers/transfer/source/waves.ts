import type { ContainerCapture } from '../../../src/docker/container-capture.ts';
import { startWaves } from '../../../src/docker/start-order.ts';
import type { TransferContext } from '../context.ts';

/**
 * The service's containers in the order they are started in, and stopped the other way round: those of one wave at the
 * same time. The addons of a Service come one after the other, as they are written.
 */
export async function wavesOf(context: TransferContext): Promise<readonly (readonly ContainerCapture[])[]> {
  const { containers } = await context.session.capture(context);
  return context.transfer.spec.serviceRef === undefined
    ? startWaves(containers)
    : containers.map((container) => [container]);
}
