import { copyFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { unpackedPackages } from './debian-packages.ts';

/**
 * Debian's suite with Docker 28.5, and what of it a sandbox server needs. runc stays the machine's: the new one needs a
 * newer libc.
 */
const suite = 'forky';
const packages = ['docker.io', 'docker-cli', 'containerd', 'tini-static'];
const programs =
  /\/(?:s?bin|libexec\/docker)\/(dockerd|docker|docker-proxy|containerd|containerd-shim-runc-v2|tini-static)$/;

/** The folder with the programs of a newer Docker engine than Debian 12's, for `EngineSpec.dockerdPath`. */
export async function newerEngine(): Promise<string> {
  const unpacked = await unpackedPackages(suite, packages);
  const folder = join(unpacked, 'engine');
  if ((await stat(folder).catch(() => undefined)) !== undefined) return folder;
  const made = `${folder}.${String(process.pid)}`;
  await mkdir(made);
  try {
    for (const entry of await readdir(unpacked, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (!entry.isFile() || !programs.test(path) || path.startsWith(folder)) continue;
      await copyFile(path, join(made, entry.name === 'tini-static' ? 'docker-init' : entry.name));
    }
    await rename(made, folder);
  } finally {
    await rm(made, { recursive: true, force: true });
  }
  return folder;
}
