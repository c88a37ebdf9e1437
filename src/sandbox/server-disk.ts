import { createHash, randomBytes } from 'node:crypto';
import { access, chmod, cp, lstat, mkdir, readFile, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bootScript, engineFolder, sharedFolders } from './boot-script.ts';
import type { ServerLayout } from './fleet-layout.ts';
import { run, systemPath } from './run.ts';

export interface DiskContents {
  readonly authorizedKey: string;
  /** Lines of /etc/hosts that name the servers of the fleet. */
  readonly hosts: readonly string[];
  readonly daemonConfig: Readonly<Record<string, unknown>>;
  readonly path: string;
}

/** What must not get from the machine's /etc into a server's. */
const notCopied = [
  'cron.d',
  'crypttab',
  'docker',
  'fstab',
  'kubernetes',
  'letsencrypt',
  'machine-id',
  'mtab',
  'resolv.conf',
  'ssh',
  'sudoers.d',
  'wireguard',
];

/** Users that every server has besides the system's: both may use Docker, neither is an administrator. */
const users = [
  { name: 'deploy', id: 2001, password: '*' },
  // The well-known password of a throw-away account: `correct-horse`.
  {
    name: 'pat',
    id: 2002,
    password: '$6$gridferry$DIQvX3AAPrODiH4vHYSQhdZP7sClIgIrD9l5oEGqKmiDYGN2oNXTOHVLEVuEarI0tmSMxYqY/EDJ96ClH/JMa0',
  },
];

/** Makes the server's disk unless it is there. A disk whose making was interrupted is thrown away and made again. */
export async function prepareDisk(server: ServerLayout, contents: DiskContents): Promise<void> {
  const prepared = join(server.dir, 'prepared');
  if (await exists(prepared)) return;
  await run(['rm', '-rf', '--one-file-system', server.dir]);
  await mkdir(server.root, { recursive: true });
  await writeFile(server.bootScript, bootScript, { mode: 0o700 });
  await makeFolders(server.root);
  await copyEtc(server.root);
  await Promise.all([
    writeAccounts(server.root),
    writeSshd(server.root, contents),
    writeHomes(server.root, contents.authorizedKey),
    writeSystemFiles(server, contents),
  ]);
  await writeFile(prepared, '');
}

/** `SHA256:…` as `ssh-keygen -l` prints it. */
export async function hostKeyFingerprint(server: ServerLayout): Promise<string> {
  const [, blob = ''] = (await readFile(join(server.root, 'etc/ssh/ssh_host_ed25519_key.pub'), 'utf8')).split(' ');
  const digest = createHash('sha256').update(Buffer.from(blob, 'base64')).digest('base64');
  return `SHA256:${digest.replace(/=+$/, '')}`;
}

async function makeFolders(root: string): Promise<void> {
  await chmod(root, 0o755);
  const plain = ['dev', 'proc', 'sys', 'run', 'mnt', 'media', 'srv', 'home', 'boot', 'etc', 'etc/ssh', 'etc/docker'];
  const inVar = ['cache', 'log', 'spool', 'mail', 'local', 'backups', 'opt', 'lib', 'lib/gridferry', 'lib/misc'];
  const mountPoints = [...sharedFolders, engineFolder.slice(1)];
  for (const path of [...plain, 'var', ...inVar.map((name) => `var/${name}`), ...mountPoints]) {
    await makeFolder(join(root, path), 0o755);
  }
  for (const path of ['tmp', 'var/tmp']) await makeFolder(join(root, path), 0o1777);
  for (const path of ['var/log/lastlog', 'var/log/wtmp']) await write(join(root, path), '');
  await symlink('/run', join(root, 'var/run'));
  await symlink('/run/lock', join(root, 'var/lock'));
  for (const entry of await readdir('/')) {
    if (/^(bin|sbin|lib\w*)$/.test(entry) && (await lstat(`/${entry}`)).isSymbolicLink()) {
      await symlink(await readlink(`/${entry}`), join(root, entry));
    }
  }
}

async function copyEtc(root: string): Promise<void> {
  const entries = (await readdir('/etc')).filter((entry) => !notCopied.includes(entry) && !entry.endsWith('-'));
  const sources = entries.map((entry) => join('/etc', entry));
  await run(['cp', '--archive', '--target-directory', join(root, 'etc'), '--', ...sources]);
  if (await exists('/etc/ssh/moduli')) await cp('/etc/ssh/moduli', join(root, 'etc/ssh/moduli'));
}

/** The machine's system accounts and ours; its people stay outside. */
async function writeAccounts(root: string): Promise<void> {
  const system = (line: string) => {
    const id = Number(line.split(':')[2]);
    return id < 1000 || id === 65534;
  };
  const keep = async (file: string, wanted: (line: string) => boolean) =>
    (await readFile(join(root, 'etc', file), 'utf8')).split('\n').filter((line) => line !== '' && wanted(line));

  const passwd = await keep('passwd', system);
  const groups = (await keep('group', system)).filter((line) => !line.startsWith('docker:'));
  const names = new Set(passwd.map((line) => line.split(':')[0]));
  // The root account has no password of the machine's, only the fleet's key.
  const shadow = (await keep('shadow', (line) => names.has(line.split(':')[0]))).map((line) =>
    line.replace(/^([^:]*):[^:]*:/, '$1:*:'),
  );
  await write(
    join(root, 'etc/passwd'),
    lines([...passwd, ...users.map(({ name, id }) => `${name}:x:${id}:${id}::/home/${name}:/bin/bash`)]),
  );
  await write(
    join(root, 'etc/group'),
    lines([
      ...groups,
      ...users.map(({ name, id }) => `${name}:x:${id}:`),
      `docker:x:2000:${users.map((u) => u.name).join()}`,
    ]),
  );
  await write(
    join(root, 'etc/shadow'),
    lines([...shadow, ...users.map(({ name, password }) => `${name}:${password}:20000:0:99999:7:::`)]),
    0o600,
  );
  await rm(join(root, 'etc/gshadow'), { force: true });
}

async function writeSshd(root: string, contents: DiskContents): Promise<void> {
  const key = join(root, 'etc/ssh/ssh_host_ed25519_key');
  await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'sandbox', '-f', key]);
  await write(
    join(root, 'etc/ssh/sshd_config'),
    lines([
      'Port 22',
      'AddressFamily inet',
      'HostKey /etc/ssh/ssh_host_ed25519_key',
      'PidFile /run/sshd.pid',
      'UsePAM no',
      'UseDNS no',
      'PrintMotd no',
      'PermitRootLogin prohibit-password',
      'PasswordAuthentication yes',
      'KbdInteractiveAuthentication no',
      'AllowAgentForwarding yes',
      'AllowTcpForwarding yes',
      'AllowStreamLocalForwarding yes',
      `SetEnv PATH=${contents.path}`,
      'Subsystem sftp internal-sftp',
    ]),
  );
}

async function writeHomes(root: string, authorizedKey: string): Promise<void> {
  const homes = [
    { home: 'root', id: 0, key: true },
    ...users.map(({ name, id, password }) => ({ home: `home/${name}`, id, key: password === '*' })),
  ];
  for (const { home, id, key } of homes) {
    const folder = join(root, home);
    await makeFolder(folder, 0o700);
    await makeFolder(join(folder, '.ssh'), 0o700);
    if (key) await write(join(folder, '.ssh/authorized_keys'), `${authorizedKey}\n`, 0o600);
    if (await exists('/etc/skel/.bashrc')) await cp('/etc/skel/.bashrc', join(folder, '.bashrc'));
    await run(['chown', '-R', `${id}:${id}`, folder]);
  }
}

async function writeSystemFiles(server: ServerLayout, contents: DiskContents): Promise<void> {
  const etc = (name: string) => join(server.root, 'etc', name);
  await Promise.all([
    write(etc('hostname'), `${server.name}\n`),
    write(etc('hosts'), lines(['127.0.0.1 localhost', '::1 localhost ip6-localhost ip6-loopback', ...contents.hosts])),
    // No name server: there is no way out, and a look-up that fails at once is better than one that hangs.
    write(etc('resolv.conf'), ''),
    write(etc('fstab'), ''),
    write(etc('machine-id'), `${randomBytes(16).toString('hex')}\n`),
    write(etc('environment'), `PATH=${contents.path}\n`),
    write(etc('docker/daemon.json'), `${JSON.stringify(contents.daemonConfig, undefined, 2)}\n`),
  ]);
}

/** The PATH inside a server. */
export function serverPath(hasEngine: boolean): string {
  return hasEngine ? `${engineFolder}:${systemPath}` : systemPath;
}

/** Whatever the caller's umask: others must be able to read a server's /etc/passwd. */
async function write(path: string, text: string, mode = 0o644): Promise<void> {
  await writeFile(path, text);
  await chmod(path, mode);
}

async function makeFolder(path: string, mode: number): Promise<void> {
  await mkdir(path, { recursive: true });
  await chmod(path, mode);
}

function lines(all: readonly string[]): string {
  return `${all.join('\n')}\n`;
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
