import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { buildLayeredImage, importTinyImage } from '../../src/sandbox/image.ts';
import type { ImageFiles } from '../../src/sandbox/image.ts';
import { appendImage } from '../../test/support/append-service.ts';
import type { Workshop } from './workshop.ts';

/**
 * The service that is moved: a small web server that acknowledges a write once it is in its volume. Its image has a base
 * layer of real files (shared libraries, scripts and data of this machine, as a distribution's image has) and a layer of
 * its own on it; its volume has files of a megabyte and one that holds a quarter of all, every other megabyte random (as
 * pictures and archives are), the rest real files (as text and databases are).
 */

export const IMAGE = 'bench-app:1';
export const BASE_IMAGE = 'bench-base:1';
export const CONTAINER = 'web';
export const VOLUME = 'bench-data';
export const PORT = 8080;
const CONTAINER_PORT = 80;
const BASE_BYTES = 120 << 20;
const LARGEST_FILE = 6 << 20;
const FOLDERS = ['/usr/lib/python3', '/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/share'];

/** Makes the image on these servers: the base alone, or with the application on it. */
export async function makeImages(
  { name }: Workshop,
  servers: { readonly withApplication: readonly string[]; readonly baseOnly?: readonly string[] },
): Promise<string> {
  const base = await realFiles();
  for (const server of [...servers.withApplication, ...(servers.baseOnly ?? [])]) {
    await importTinyImage(name, server, BASE_IMAGE, { files: base });
  }
  for (const server of servers.withApplication) {
    await buildLayeredImage(name, server, IMAGE, {
      from: BASE_IMAGE,
      layers: [appendImage.files],
      instructions: [...appendImage.changes, 'VOLUME /data'],
    });
  }
  const sample = Buffer.concat(Object.values(base).map((file) => (file as Buffer).subarray(0, 65_536)));
  const ratio = sample.length / gzipSync(sample).length;
  const bytes = Object.values(base).reduce((sum, file) => sum + (file as Buffer).length, 0);
  return `image: ${String(Object.keys(base).length)} real files of ${String(bytes >> 20)} MiB (gzip makes them ${ratio.toFixed(1)} times smaller) and a layer of the application`;
}

/** Starts the service with a filled volume. */
export async function startService(workshop: Workshop, server: string, mib: number): Promise<void> {
  await workshop.exec(server, [
    ...['docker', 'run', '-d', '--name', CONTAINER, '-p', `${String(PORT)}:${String(CONTAINER_PORT)}`],
    ...['-v', `${VOLUME}:/data`, IMAGE],
  ]);
  await workshop.exec(server, ['sh', '-c', FILL, 'sh', String(mib), ...FOLDERS]);
}

/** Fills the volume with $1 MiB; the other arguments are folders to take real files from. */
const FILL = `
mib=$1; shift
cd /var/lib/docker/volumes/${VOLUME}/_data || exit 1
# Over and over until nobody reads on.
real() { while find "$@" -type f -size -4M -print0 | xargs -0 cat; do :; done 2>/dev/null; }
big=$((mib / 4))
real "$@" | {
  for i in $(seq $((mib - big))); do
    if [ $((i % 2)) = 0 ]; then head -c 1048576 /dev/urandom >"f$i"; else head -c 1048576 >"f$i"; fi
  done
  for i in $(seq "$big"); do
    if [ $((i % 2)) = 0 ]; then head -c 1048576 /dev/urandom; else head -c 1048576; fi
  done >big
}
sync`;

/** Removes the service, its data and its image from a server; the base image stays where it was made. */
export async function removeService(workshop: Workshop, server: string): Promise<void> {
  await workshop.attempt(server, ['docker', 'rm', '-f', CONTAINER]);
  await workshop.attempt(server, ['docker', 'volume', 'rm', '-f', VOLUME]);
}

/** Back to the start: the service runs at the source, nothing of it is at the target. */
export async function reset(workshop: Workshop, source: string, target: string): Promise<void> {
  await removeService(workshop, target);
  await workshop.attempt(target, ['docker', 'rmi', '-f', IMAGE]);
  await workshop.exec(source, ['docker', 'start', CONTAINER]);
  for (const server of [source, target]) await workshop.exec(server, ['sync']);
}

/** Files of this machine, the same ones in the same order at every call, up to `BASE_BYTES`. */
async function realFiles(): Promise<ImageFiles> {
  const files: Record<string, Buffer> = {};
  let bytes = 0;
  for (const folder of FOLDERS) {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
    const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    for (const path of paths.sort()) {
      const content = await readFile(path).catch(() => undefined);
      if (content === undefined || content.length > LARGEST_FILE) continue;
      files[`/real${path}`] = content;
      bytes += content.length;
      if (bytes >= BASE_BYTES) return files;
    }
  }
  return files;
}
