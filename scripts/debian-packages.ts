import { createHash } from 'node:crypto';
import { execFile } from 'node:child_process';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/**
 * Debian packages whose programs tests run without installing anything: fetched through the machine's own archive, checked
 * by apt as any other, and unpacked into a folder of their own.
 */

const run = promisify(execFile);
const cache = join(import.meta.dirname, '..', 'node_modules', '.cache', 'gridferry-packages');
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * The folder into which these packages of a Debian suite are unpacked. Fetched on first use; what they depend on is not
 * brought along.
 *
 * Rejects where there is no apt, or no archive to reach.
 */
export async function unpackedPackages(suite: string, packages: readonly string[]): Promise<string> {
  const digest = createHash('sha256').update(packages.join(' ')).digest('hex').slice(0, 12);
  const folder = join(cache, `${suite}-${digest}`);
  if (await exists(folder)) return folder;
  const work = `${folder}.${String(process.pid)}`;
  try {
    for (const part of ['state/lists/partial', 'cache/archives/partial', 'debs', 'root']) {
      await mkdir(join(work, part), { recursive: true });
    }
    await writeFile(join(work, 'sources.list'), `deb [signed-by=${keyring}] ${await archive()} ${suite} main\n`);
    await apt(work, ['update']);
    await apt(work, ['download', ...packages]);
    const files = await readdir(join(work, 'debs'));
    if (files.length !== packages.length) throw new Error(`of ${packages.join(', ')}, apt fetched ${files.join(', ')}`);
    for (const file of files) {
      await run('dpkg', ['-x', join(work, 'debs', file), join(work, 'root')]);
    }
    // Two test files may fetch the same: whoever is second finds it there.
    await rename(join(work, 'root'), folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return folder;
}

/** Where the machine itself has its packages from. */
async function archive(): Promise<string> {
  const { stdout } = await run('apt-get', ['indextargets', '--format', '$(REPO_URI) $(ORIGIN) $(COMPONENT)']);
  const uri = stdout
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, origin, component]) => origin === 'Debian' && component === 'main')?.[0];
  if (uri === undefined) throw new Error('apt knows no Debian archive: run apt-get update first');
  return uri;
}

async function apt(work: string, args: readonly string[]): Promise<void> {
  await run(
    'apt-get',
    [
      ...['-o', `Dir::Etc::SourceList=${join(work, 'sources.list')}`, '-o', 'Dir::Etc::SourceParts=/dev/null'],
      ...['-o', `Dir::State=${join(work, 'state')}`, '-o', `Dir::Cache=${join(work, 'cache')}`],
      // Neither the machine's pins nor its own user for downloads, who may not write here, have a say.
      ...['-o', 'Dir::Etc::PreferencesParts=/dev/null', '-o', 'APT::Sandbox::User=root'],
      ...args,
    ],
    { cwd: join(work, 'debs') },
  );
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
