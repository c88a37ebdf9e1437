import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { userInfo } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface GitOverHttps {
  /** Of the directory that holds the repositories. */
  readonly url: string;
  readonly caFile: string;
  /** The credentials that were sent, decoded. */
  readonly logins: Set<string>;
  /** What happens to requests: answered, answered in part and cut off, left without an answer, or sent elsewhere. */
  behaviour: 'serve' | 'cut' | 'hang' | { readonly redirect: string };
  close(): void;
}

/** `git http-backend` behind an HTTPS server of this process, which asks for a token. */
export async function serveGitOverHttps(root: string, directory: string, token: string): Promise<GitOverHttps> {
  mkdirSync(directory, { recursive: true });
  const [keyFile, caFile] = [join(directory, 'key.pem'), join(directory, 'ca.pem')];
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  // A subject of its own, or two of them could not be trusted at the same time.
  const names = ['-subj', `/CN=${basename(directory)}`, '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'];
  execFileSync('openssl', [...request, ...names, '-keyout', keyFile, '-out', caFile], { stdio: 'ignore' });
  const logins = new Set<string>();

  const server = createServer({ key: readFileSync(keyFile), cert: readFileSync(caFile) }, (incoming, response) => {
    const given = Buffer.from(
      /^Basic (.*)$/.exec(incoming.headers.authorization ?? '')?.[1] ?? '',
      'base64',
    ).toString();
    if (given !== '') logins.add(given);
    const { behaviour } = served;
    if (behaviour === 'hang') return;
    if (typeof behaviour === 'object') {
      response.writeHead(302, { location: behaviour.redirect + (incoming.url ?? '') }).end();
    } else if (!given.endsWith(`:${token}`)) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
    } else backend(root, incoming, response, behaviour === 'cut' && incoming.method === 'POST');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const served: GitOverHttps = {
    url: `https://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    caFile,
    logins,
    behaviour: 'serve',
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
  return served;
}

/** RFC 3875, as far as git-http-backend(1) needs it. */
function backend(root: string, incoming: IncomingMessage, response: ServerResponse, isCut: boolean): void {
  const url = new URL(incoming.url ?? '/', 'https://localhost');
  const { headers } = incoming;
  const cgi = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env['PATH'],
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_PROTOCOL: String(headers['git-protocol'] ?? ''),
      REQUEST_METHOD: incoming.method,
      PATH_INFO: decodeURIComponent(url.pathname),
      QUERY_STRING: url.search.slice(1),
      CONTENT_TYPE: headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: headers['content-encoding'] ?? '',
      REMOTE_USER: 'gridferry',
      REMOTE_ADDR: '127.0.0.1',
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  incoming.pipe(cgi.stdin);
  cgi.stdin.on('error', () => undefined);
  const chunks: Buffer[] = [];
  cgi.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  cgi.on('close', () => {
    const output = Buffer.concat(chunks);
    const end = output.indexOf('\r\n\r\n');
    const fields = output.toString('latin1', 0, end).split('\r\n');
    const header = Object.fromEntries(fields.map((line) => line.split(/: */, 2) as [string, string]));
    const body = output.subarray(end + 4);
    response.writeHead(Number(header['Status']?.slice(0, 3) ?? 200), { ...header, 'content-length': body.length });
    if (!isCut) response.end(body);
    else response.write(body.subarray(0, body.length / 2), () => response.destroy());
  });
}

export interface GitOverSsh {
  readonly url: string;
  readonly keyFile: string;
  readonly knownHosts: string;
  close(): void;
}

/** A real sshd that lets this user in with one key, to reach a repository. */
export async function serveGitOverSsh(repository: string, directory: string): Promise<GitOverSsh> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = (name: string): string => join(directory, name);
  for (const key of ['host', 'user']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', key, '-f', file(key)]);
  }
  const port = await freePort();
  // sshd wants this place of its own when it is started by root.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const config = [
    `Port ${String(port)}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${file('host')}`,
    `AuthorizedKeysFile ${file('user.pub')}`,
    `PidFile ${file('pid')}`,
    'StrictModes no',
    'UsePAM no',
    'PermitRootLogin prohibit-password',
    'PasswordAuthentication no',
    'AcceptEnv GIT_PROTOCOL',
  ];
  writeFileSync(file('sshd_config'), `${config.join('\n')}\n`);
  chmodSync(file('user'), 0o600);
  const sshd = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', file('sshd_config')], { stdio: 'ignore' });
  for (let tries = 0; tries < 100; tries++) {
    // It may end with an error as long as nobody listens.
    const scan = spawnSync('ssh-keyscan', ['-p', String(port), '127.0.0.1']);
    if (scan.stdout.length > 0) break;
    await delay(50);
  }
  const hostKey = readFileSync(file('host.pub'), 'utf8').split(' ').slice(0, 2).join(' ');
  writeFileSync(file('known hosts'), `[127.0.0.1]:${String(port)} ${hostKey}\n`);
  return {
    url: `ssh://${userInfo().username}@127.0.0.1:${String(port)}${repository}`,
    keyFile: file('user'),
    knownHosts: file('known hosts'),
    close: () => sshd.kill(),
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createTcpServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
