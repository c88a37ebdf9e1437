import type { TransferStatus } from '../../../src/api/resources.ts';
import { volumeSizes, writableLayerSize } from '../../../src/docker/disk-usage.ts';
import { estimateImage } from '../../../src/docker/image-estimate.ts';
import { estimateTrees } from '../../../src/volumes/tree-estimate.ts';
import type { TreeEstimate } from '../../../src/volumes/tree-estimate.ts';
import type { ServerConnection } from '../../servers/connections.ts';
import { benchName } from '../copying/benches.ts';
import type { TransferContext } from '../context.ts';
import { marksOf } from '../context.ts';
import { pathOn } from '../copying/data-set.ts';
import type { DataItem } from '../copying/data-set.ts';

export type PlannedPart = NonNullable<TransferStatus['plan']>['parts'][number];

/** The images, with what the target lacks of them. */
export async function imageParts(context: TransferContext): Promise<PlannedPart[]> {
  const [capture, source, target] = await Promise.all([
    context.session.capture(context),
    context.session.source(context),
    context.session.target(context),
  ]);
  return Promise.all(
    capture.images.map(async (image): Promise<PlannedPart> => {
      const { bytes, bytesPresent } = await estimateImage(source.engine, target.engine, image, context.signal);
      return { name: image.references[0] ?? image.id, kind: 'Image', bytes, bytesPresent };
    }),
  );
}

/** What the containers wrote outside their mounts. */
export async function layerParts(context: TransferContext): Promise<PlannedPart[]> {
  if (context.transfer.spec.writableLayer === 'Discard') return [];
  const [capture, { engine }] = await Promise.all([context.session.capture(context), context.session.source(context)]);
  const parts = await Promise.all(
    capture.containers.map(async ({ id, name }): Promise<PlannedPart> => {
      return { name, kind: 'WritableLayer', bytes: await writableLayerSize(engine, id, context.signal) };
    }),
  );
  return parts.filter(({ bytes }) => bytes > 0);
}

export interface DataEstimate {
  readonly item: DataItem;
  readonly bytes: number;
  /** Unknown where only Docker could be asked. */
  readonly files: number | undefined;
}

/**
 * How much there is in each volume and path, by looking only. As root their folders are walked; else Docker is asked for
 * its volumes, and a path that the user may not read is looked at from a helper container, which is removed again.
 */
export async function measureData(context: TransferContext): Promise<readonly DataEstimate[]> {
  const items = await context.session.data(context);
  if (items.length === 0) return [];
  const source = await context.session.source(context);
  if (source.host.isRoot) return walk(context, source, items);
  const volumes = items.filter(({ location }) => location.kind === 'volume');
  const paths = items.filter(({ location }) => location.kind === 'bind');
  const sizes = volumes.length === 0 ? new Map<string, number>() : await volumeSizes(source.engine, context.signal);
  const walked = await walk(context, source, paths);
  return items.map(
    (item) => walked.find((one) => one.item === item) ?? { item, bytes: sizes.get(item.name) ?? 0, files: undefined },
  );
}

async function walk(
  context: TransferContext,
  { host, engine }: ServerConnection,
  items: readonly DataItem[],
): Promise<DataEstimate[]> {
  const { volumes } = await context.session.capture(context);
  const pathOf = (item: DataItem): string =>
    item.location.kind === 'bind' ? item.name : (volumes.find(({ name }) => name === item.name)?.mountpoint ?? '');
  const found = await estimateTrees(
    (argv, options) => host.exec(argv, { ...options, root: host.isRoot }),
    items.map(pathOf),
    context.signal,
  );
  const hidden = items.filter((_, index) => found[index]?.complete === false);
  const seen = new Map<DataItem, TreeEstimate>(items.map((item, index) => [item, found[index]!]));
  if (hidden.length > 0) {
    const bench = await context.dataPlane.openWorkbench({
      host,
      docker: engine.docker,
      locations: [...new Map(hidden.map(({ location }) => [JSON.stringify(location), location])).values()],
      name: benchName(context, 'look-'),
      labels: marksOf(context.transfer),
      prefer: 'container',
      readOnly: true,
      signal: context.signal,
    });
    try {
      const paths = hidden.map((item) => pathOn(bench, item));
      const again = await estimateTrees((argv, options) => bench.exec(argv, options), paths, context.signal);
      hidden.forEach((item, index) => seen.set(item, again[index]!));
    } finally {
      await bench.close();
    }
  }
  return [...seen].map(([item, { bytes, files }]) => ({ item, bytes, files }));
}

export function dataPart({ item, bytes }: DataEstimate): PlannedPart {
  return { name: item.name, kind: item.location.kind === 'volume' ? 'Volume' : 'Path', bytes };
}
