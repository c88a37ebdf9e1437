import { readFile } from 'node:fs/promises';
import { pack, type Pack } from 'tar-stream';
import { GridferryError } from '../errors.ts';
import { fleetExec, type SandboxOptions } from './fleet.ts';
import { findProgram } from './requirements.ts';
import { run } from './run.ts';

/** A file of an image, by its absolute path there. Only `content` is needed. */
export interface ImageFile {
  readonly content: string | Uint8Array;
  /** Default 0644. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

export type ImageFiles = Readonly<Record<string, string | Uint8Array | ImageFile>>;

export interface TinyImageOptions extends SandboxOptions {
  readonly files?: ImageFiles;
  /** Dockerfile instructions for the image's configuration: `CMD ["httpd","-f"]`, `ENV A=b`, `EXPOSE 80`, `VOLUME /data`, … */
  readonly changes?: readonly string[];
}

export interface LayeredImageOptions extends SandboxOptions {
  /** The image to build on; it must be on that server. */
  readonly from: string;
  /** One layer for each, in order. */
  readonly layers: readonly ImageFiles[];
  /** More Dockerfile instructions, after the layers: `RUN …`, `CMD …`. */
  readonly instructions?: readonly string[];
}

/** Every file has this time, so that the same files give the same layer on every server. */
const mtime = new Date('2024-01-01T00:00:00Z');

/**
 * Makes a small image that runs, without a registry: busybox with all its applets (sh, httpd, nc, wget, …), and whatever
 * files the caller adds. Returns the image's ID.
 *
 * @example
 * await importTinyImage('demo', 'alpha', 'web:1', {
 *   files: { '/www/index.html': 'hello\n' },
 *   changes: ['CMD ["httpd","-f","-p","80","-h","/www"]', 'EXPOSE 80'],
 * });
 */
export async function importTinyImage(
  name: string,
  server: string,
  reference: string,
  options: TinyImageOptions = {},
): Promise<string> {
  const wanted = ['ENV PATH=/bin', ...(options.changes ?? [])];
  const changes = wanted.filter(canImport).flatMap((change) => ['--change', change]);
  const input = await tarOf((archive) => packTinySystem(archive, options.files ?? {}));
  const importing = ['docker', 'import', ...changes, '-', reference];
  const imported = await fleetExec(name, server, importing, { ...options, input });
  const instructions = wanted.filter((change) => !canImport(change));
  if (instructions.length === 0) return imported.stdout.trim();
  return buildLayeredImage(name, server, reference, { ...options, from: reference, layers: [], instructions });
}

/** `docker import --change` knows most instructions of a Dockerfile, but not these; a build without a layer adds them. */
function canImport(change: string): boolean {
  return !/^\s*(STOPSIGNAL|SHELL|ARG)\b/i.test(change);
}

/** Builds an image of several layers on another one, with the classic builder and without a network. Returns its ID. */
export async function buildLayeredImage(
  name: string,
  server: string,
  reference: string,
  options: LayeredImageOptions,
): Promise<string> {
  const dockerfile = [
    `FROM ${options.from}`,
    ...options.layers.map((_, index) => `COPY layer${index}/ /`),
    ...(options.instructions ?? []),
  ];
  const input = await tarOf(async (context) => {
    await addFile(context, '/Dockerfile', `${dockerfile.join('\n')}\n`);
    for (const [index, files] of options.layers.entries()) await addFiles(context, files, `/layer${index}`);
  });
  const build = ['docker', 'build', '--network', 'none', '--quiet', '--force-rm', '--tag', reference, '-'];
  await fleetExec(name, server, build, { ...options, input, env: { DOCKER_BUILDKIT: '0' } });
  const inspect = ['docker', 'image', 'inspect', '--format', '{{.Id}}', reference];
  return (await fleetExec(name, server, inspect, options)).stdout.trim();
}

async function packTinySystem(archive: Pack, files: ImageFiles): Promise<void> {
  const busybox = await findProgram('busybox');
  if (!busybox || !(await isStatic(busybox))) {
    throw new GridferryError(
      'GF_SANDBOX_MISSING_PROGRAM',
      'Sandbox images are made of busybox; on Debian: apt-get install --no-install-recommends busybox-static',
      { details: { packages: 'busybox-static' } },
    );
  }
  const applets = (await run([busybox, '--list'])).stdout
    .split('\n')
    .filter((name) => name !== '' && name !== 'busybox');
  for (const folder of ['bin', 'dev', 'etc', 'proc', 'root', 'run', 'sys', 'usr', 'var']) {
    await addEntry(archive, { name: `${folder}/`, type: 'directory', mode: 0o755 });
  }
  await addEntry(archive, { name: 'tmp/', type: 'directory', mode: 0o1777 });
  await addFile(archive, '/bin/busybox', { content: await readFile(busybox), mode: 0o755 });
  for (const applet of applets)
    await addEntry(archive, { name: `bin/${applet}`, type: 'symlink', linkname: 'busybox' });
  await addEntry(archive, { name: 'usr/bin', type: 'symlink', linkname: '../bin' });
  await addFile(archive, '/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n');
  await addFile(archive, '/etc/group', 'root:x:0:\nnogroup:x:65534:\n');
  await addFiles(archive, files);
}

async function tarOf(fill: (archive: Pack) => Promise<void>): Promise<Buffer> {
  const archive = pack();
  const filled = fill(archive).then(
    () => archive.finalize(),
    (error: unknown) => archive.destroy(error as Error),
  );
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  await filled;
  return Buffer.concat(chunks);
}

/** A program that names an interpreter in its ELF header needs libraries that the image would not have. */
async function isStatic(program: string): Promise<boolean> {
  const header = await readFile(program);
  return !header.subarray(0, 4096).includes('/ld-linux') && !header.subarray(0, 4096).includes('/ld-musl');
}

async function addFiles(archive: Pack, files: ImageFiles, under = ''): Promise<void> {
  if (Object.keys(files).length === 0)
    await addEntry(archive, { name: `${under.slice(1)}/`, type: 'directory', mode: 0o755 });
  for (const [path, file] of Object.entries(files)) await addFile(archive, `${under}${path}`, file);
}

async function addFile(archive: Pack, path: string, file: string | Uint8Array | ImageFile): Promise<void> {
  const { content, mode = 0o644, uid = 0, gid = 0 } = isContent(file) ? { content: file } : file;
  await addEntry(archive, { name: path.replace(/^\/+/, ''), type: 'file', mode, uid, gid }, Buffer.from(content));
}

function isContent(file: string | Uint8Array | ImageFile): file is string | Uint8Array {
  return typeof file === 'string' || file instanceof Uint8Array;
}

interface Entry {
  readonly name: string;
  readonly type: 'file' | 'directory' | 'symlink';
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly linkname?: string;
}

function addEntry(archive: Pack, entry: Entry, content = Buffer.alloc(0)): Promise<void> {
  return new Promise((resolve, reject) => {
    archive.entry({ ...entry, mtime }, content, (error) => (error ? reject(error) : resolve()));
  });
}
