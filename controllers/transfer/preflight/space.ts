import { formatBytes } from '../../format-bytes.ts';
import type { PreflightFacts } from './facts.ts';

/** `docker save` stages an image on disk and `docker load` unpacks it: it takes its size twice for a while. */
const IMAGE_FACTOR = 2;

/** Left free beyond what is needed: a full disk stops every other service there. */
const RESERVE_BYTES = 64 * 1024 * 1024;

/** Where at the target there is too little room: by file system, since paths may be on another one than Docker's folder. */
export function missingSpace({
  capture,
  volumes,
  targetDisk,
  targetPathDisks,
  targetLayers,
  targetName,
  targetEngine,
}: PreflightFacts): string[] {
  const images = capture.images
    .filter((image) => !targetLayers.has(image.id))
    .reduce((sum, image) => sum + image.size, 0);
  const needs = new Map([
    [
      targetDisk.mountPoint,
      { disk: targetDisk, at: targetEngine.rootDir, bytes: images * IMAGE_FACTOR, files: 0, images: true },
    ],
  ]);
  for (const { name, bytesTotal = 0, files = 0 } of volumes) {
    const disk = targetPathDisks.get(name) ?? targetDisk;
    const need = needs.get(disk.mountPoint) ?? { disk, at: name, bytes: 0, files: 0, images: false };
    need.bytes += bytesTotal;
    need.files += files;
    needs.set(disk.mountPoint, need);
  }
  return [...needs.values()].flatMap((need) => {
    const problems: string[] = [];
    const bytes = need.bytes + RESERVE_BYTES;
    if (need.disk.freeBytes < bytes) {
      const twice = need.images ? ' (images twice, for unpacking)' : '';
      problems.push(
        `server ${targetName} has ${formatBytes(need.disk.freeBytes)} free at ${need.at}, and ${formatBytes(bytes)} are needed${twice}: make room`,
      );
    }
    if (need.disk.totalInodes > 0 && need.disk.freeInodes < need.files) {
      problems.push(
        `server ${targetName} has ${String(need.disk.freeInodes)} inodes free at ${need.at}, and ${String(need.files)} files come: make room`,
      );
    }
    return problems;
  });
}
