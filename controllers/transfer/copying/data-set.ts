import type { ServiceCapture } from '../../../src/docker/service-capture.ts';
import type { DataLocation, Workbench } from '../../../src/volumes/workbench.ts';

/** One thing whose bytes are moved: a volume, a bind mount, or a file of a compose project. */
export interface DataItem {
  /** As `status.volumes[].name` has it. */
  readonly name: string;
  /** What has to be visible on both servers for the copy. */
  readonly location: DataLocation;
  /** A single file: its name below the location. */
  readonly file?: string;
  /** Whether the service may write to it: what it cannot write needs no second pass. */
  readonly writable: boolean;
}

/** All data that belong to a service, volumes first. */
export function dataSetOf(capture: ServiceCapture): DataItem[] {
  const items: DataItem[] = capture.volumes
    .filter((volume) => volume.copyMode === 'copy')
    .map((volume) => ({
      name: volume.name,
      location: { kind: 'volume', name: volume.name },
      writable: true,
    }));
  // Shortest first: a directory brings along what lies below it.
  const binds = [...capture.binds].sort((a, b) => a.path.length - b.path.length);
  for (const bind of binds) {
    if (bind.hostSpecific || items.some((item) => covers(item, bind.path))) continue;
    items.push(
      bind.type === 'directory'
        ? { name: bind.path, location: { kind: 'bind', path: bind.path }, writable: !bind.readOnly }
        : fileItem(bind.path, !bind.readOnly),
    );
  }
  for (const path of [...(capture.compose?.configFiles ?? []), ...(capture.compose?.envFiles ?? [])]) {
    if (!items.some((item) => item.name === path || covers(item, path))) items.push(fileItem(path, false));
  }
  return items;
}

function fileItem(path: string, writable: boolean): DataItem {
  const cut = path.lastIndexOf('/');
  return {
    name: path,
    location: { kind: 'bind', path: cut <= 0 ? '/' : path.slice(0, cut) },
    file: path.slice(cut + 1),
    writable,
  };
}

function covers(item: DataItem, path: string): boolean {
  return item.location.kind === 'bind' && item.file === undefined && path.startsWith(`${item.location.path}/`);
}

/** The path of an item as a bench's programs see it. */
export function pathOn(bench: Workbench, item: DataItem): string {
  const folder = bench.pathOf(item.location);
  return item.file === undefined ? folder : `${folder}/${item.file}`;
}

/** Names the manifest of the item at this place of the data set. */
export function manifestName(index: number): string {
  return `item-${String(index)}`;
}
