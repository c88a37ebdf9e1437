import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { withDirectoryLock } from '../../src/sandbox/directory-lock.ts';
import { fleetExec } from '../../src/sandbox/fleet.ts';
import { buildLayeredImage } from '../../src/sandbox/image.ts';
import { run } from '../../src/sandbox/run.ts';

/** What is installed beside Debian's minimal system. */
const packages = ['postgresql'];

/** Raised when what is made of the packages changes: then an old archive is not what is wanted any more. */
const recipe = 1;

/** Where PostgreSQL keeps its data in the image. */
export const pgData = '/var/lib/postgresql/data';

const entrypoint = `#!/bin/sh
set -eu
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
export PATH
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --data-checksums --auth=trust --encoding=UTF8 --locale=C --username=postgres >/dev/null
  echo 'host all all all trust' >>"$PGDATA/pg_hba.conf"
fi
exec "$@"
`;

/**
 * Puts Debian's PostgreSQL on a server as an image that keeps its data in the volume at `pgData`, runs as its own user
 * and shuts down fast on SIGINT. The first call on a machine builds the root file system, which takes a minute or two.
 */
export async function importPostgresImage(fleet: string, server: string, reference: string): Promise<void> {
  const archive = await postgresRootFileSystem();
  const base = `${reference}-root`;
  await fleetExec(fleet, server, ['docker', 'import', '-', base], { input: createReadStream(archive) });
  // STOPSIGNAL is not among what `docker import --change` knows.
  await buildLayeredImage(fleet, server, reference, {
    from: base,
    layers: [{ '/entrypoint': { content: entrypoint, mode: 0o755 } }],
    instructions: [
      'USER postgres',
      `ENV PGDATA=${pgData}`,
      `VOLUME ${pgData}`,
      'EXPOSE 5432',
      'STOPSIGNAL SIGINT',
      'ENTRYPOINT ["/entrypoint"]',
      `CMD ["postgres","-c","listen_addresses=*","-c","unix_socket_directories=/tmp"]`,
    ],
  });
  await fleetExec(fleet, server, ['docker', 'rmi', base]);
}

/** A tar archive of a Debian system with PostgreSQL, kept for the next run. */
async function postgresRootFileSystem(): Promise<string> {
  const { site, suite } = await debianMirror();
  const architecture = (await run(['dpkg', '--print-architecture'])).stdout.trim();
  const key = createHash('sha256').update(JSON.stringify({ suite, packages, architecture, recipe })).digest('hex');
  const archive = join(cacheDirectory(), `${suite}-${key.slice(0, 16)}.tar`);
  const exists = async (): Promise<boolean> => (await stat(archive).catch(() => undefined)) !== undefined;
  if (await exists()) return archive;
  await mkdir(dirname(archive), { recursive: true });
  await withDirectoryLock(dirname(archive), async () => {
    if (!(await exists())) await build(site, suite, archive);
  });
  return archive;
}

function cacheDirectory(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? '/var/cache', 'gridferry-tests');
}

async function build(site: string, suite: string, archive: string): Promise<void> {
  const root = `${archive}.root`;
  const partial = `${archive}.${randomUUID()}`;
  // Whatever is mounted or started in there is gone when it ends, however it ends.
  const isolated = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--'];
  const env = await aptProxies();
  await rm(root, { recursive: true, force: true });
  try {
    const include = `--include=${packages.join(',')}`;
    await run([...isolated, 'debootstrap', '--foreign', '--variant=minbase', include, suite, root, site], { env });
    await prepareInstallation(root);
    await run([...isolated, 'chroot', root, '/debootstrap/debootstrap', '--second-stage'], { env });
    await leaveOut(root);
    await run(['tar', '--create', '--file', partial, '--numeric-owner', '--one-file-system', '--directory', root, '.']);
    await rename(partial, archive);
  } finally {
    await rm(partial, { force: true });
    await rm(root, { recursive: true, force: true });
  }
}

/** No daemon starts, nothing is synced to the disk for a system that is thrown away, and no page of documentation comes. */
async function prepareInstallation(root: string): Promise<void> {
  const policy = join(root, 'usr/sbin/policy-rc.d');
  const dpkg = join(root, 'etc/dpkg/dpkg.cfg.d/tests');
  for (const file of [policy, dpkg]) await mkdir(dirname(file), { recursive: true });
  await writeFile(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  const excluded = ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/info/*', '/usr/share/locale/*'];
  await writeFile(dpkg, ['force-unsafe-io', ...excluded.map((path) => `path-exclude=${path}`), ''].join('\n'));
}

/** What only installs or compiles is not run: package lists, Perl, and the compiler behind PostgreSQL's JIT. */
async function leaveOut(root: string): Promise<void> {
  const script = `cd "$1" || exit 1
    rm -rf var/cache/apt/* var/lib/apt/lists/* var/log/* var/lib/postgresql/* etc/postgresql/*
    rm -rf usr/share/doc usr/share/man usr/share/info usr/share/locale usr/share/i18n usr/share/postgresql/*/man
    rm -rf usr/share/perl usr/share/perl5 usr/bin/perl* usr/lib/*/perl usr/lib/*/perl-base usr/lib/*/libperl* usr/lib/*/gconv
    rm -rf usr/lib/*/libLLVM* usr/lib/*/libz3* usr/lib/postgresql/*/lib/bitcode usr/lib/postgresql/*/lib/llvmjit*
    rm -rf dev/* proc/* sys/* run/* tmp/*
    install -d -m 0700 -o "$2" -g "$3" var/lib/postgresql/data`;
  const [uid, gid] = await postgresUser(root);
  await run(['sh', '-c', script, 'sh', root, uid, gid]);
}

async function postgresUser(root: string): Promise<readonly [string, string]> {
  const users = await readFile(join(root, 'etc/passwd'), 'utf8');
  const [, uid, gid] = /^postgres:[^:]*:(\d+):(\d+):/m.exec(users) ?? [];
  if (uid === undefined || gid === undefined) throw new Error('the packages made no user postgres');
  return [uid, gid];
}

/** Where this machine's own packages come from: the suite of its release among the sources of apt. */
async function debianMirror(): Promise<{ readonly site: string; readonly suite: string }> {
  // Also where the package lists were thrown away, as images of Debian do.
  const targets = await run([
    'apt-get',
    'indextargets',
    '--no-release-info',
    '--format',
    '$(SITE) $(RELEASE)',
    'Created-By: Packages',
  ]);
  const release = /^VERSION_CODENAME=(.*)$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1];
  const found: { site: string; suite: string }[] = [];
  const lines = new Set(targets.stdout.trim().split('\n'));
  for (const line of lines) {
    const [site = '', suite = ''] = line.split(' ');
    // Updates, backports and the repositories of others are no suite that a system can be made of.
    const known = await access(join('/usr/share/debootstrap/scripts', suite)).then(
      () => suite !== '',
      () => false,
    );
    if (known && /^(https?|file):/.test(site)) found.push({ site, suite });
  }
  // Others name their suites after the distribution's too, but only its own mirror has the updates beside them.
  const isMirror = ({ site, suite }: (typeof found)[number]): boolean => lines.has(`${site} ${suite}-updates`);
  const ofRelease = found.filter(({ suite }) => suite === release);
  const mirror = ofRelease.find(isMirror) ?? ofRelease[0] ?? found[0];
  if (mirror === undefined) throw new Error("apt's sources name no suite that debootstrap knows: see /etc/apt");
  return mirror;
}

/** Debootstrap downloads with wget, which knows nothing of apt's configuration. */
async function aptProxies(): Promise<Record<string, string>> {
  const query = 'eval "$(apt-config shell http Acquire::http::Proxy https Acquire::https::Proxy)"; echo "$http $https"';
  const [http = '', https = ''] = (await run(['sh', '-c', query])).stdout.replace(/\n$/, '').split(' ');
  const given = { http_proxy: http, https_proxy: https };
  const names = ['http_proxy', 'https_proxy', 'no_proxy'] as const;
  const inherited = Object.fromEntries(names.map((name) => [name, process.env[name] ?? '']));
  const set = Object.entries({
    ...inherited,
    ...Object.fromEntries(Object.entries(given).filter(([, url]) => url !== '')),
  });
  return Object.fromEntries(set.filter(([, url]) => url !== ''));
}
