import https from 'node:https';
import { connect, isIP } from 'node:net';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';

interface Destination extends ConnectionOptions {
  readonly host: string;
  readonly port: number;
  /** Set by `https.Agent` on what it wants encrypted. */
  readonly secureEndpoint?: boolean;
}

type Connected = (error: Error | null, socket?: Duplex) => void;

/** The `createConnection` of an agent whose sockets go through a proxy. */
export function tunnelThrough(proxy: URL): (options: object, connected: Connected) => undefined {
  return (options, connected) => {
    const destination = options as Destination;
    open(proxy, destination.host, Number(destination.port)).then(
      (socket) => {
        // Plain http through a tunnel is unusual, and allowed: the API server decides what it speaks.
        if (!('secureContext' in destination)) connected(null, socket);
        else connected(null, connectTls({ ...destination, socket, ...serverName(destination) }));
      },
      (error: unknown) => connected(error as Error),
    );
    return undefined;
  };
}

/** `host` and `port` are the destination's; TLS would otherwise connect there itself. */
function serverName({ host, servername }: Destination): ConnectionOptions {
  return { servername: servername ?? (isIP(host) === 0 ? host : ''), host };
}

function open(proxy: URL, host: string, port: number): Promise<Duplex> {
  return proxy.protocol.startsWith('socks5') ? openSocks(proxy, host, port) : openConnect(proxy, host, port);
}

/** `CONNECT host:port` (RFC 9110 §9.3.6). */
function openConnect(proxy: URL, host: string, port: number): Promise<Duplex> {
  const authority = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
  const login = proxyLogin(proxy);
  return new Promise((resolve, reject) => {
    const request = (proxy.protocol === 'https:' ? https : process.getBuiltinModule('node:http')).request({
      host: proxy.hostname,
      port: proxy.port === '' ? (proxy.protocol === 'https:' ? 443 : 80) : proxy.port,
      method: 'CONNECT',
      path: authority,
      agent: false,
      headers: {
        host: authority,
        ...(login === undefined
          ? {}
          : { 'proxy-authorization': `Basic ${Buffer.from(`${login.user}:${login.password}`).toString('base64')}` }),
      },
    });
    request.once('connect', ({ statusCode }, socket) => {
      if (statusCode === 200) resolve(socket);
      else {
        socket.destroy();
        reject(refused(proxy, `it answered ${statusCode} to CONNECT ${authority}`));
      }
    });
    request.once('response', ({ statusCode }) => {
      request.destroy();
      reject(refused(proxy, `it answered ${statusCode} to CONNECT ${authority}`));
    });
    request.once('error', (error: Error) => reject(refused(proxy, error.message)));
    request.end();
  });
}

const SOCKS_REPLIES: Readonly<Record<number, string>> = {
  1: 'general failure',
  2: 'not allowed by its rules',
  3: 'network unreachable',
  4: 'host unreachable',
  5: 'connection refused',
  6: 'TTL expired',
};

/** RFC 1928, with the login of RFC 1929. The proxy resolves the name. */
async function openSocks(proxy: URL, host: string, port: number): Promise<Socket> {
  const socket = connect({ host: proxy.hostname, port: Number(proxy.port === '' ? 1080 : proxy.port) });
  const login = proxyLogin(proxy);
  try {
    socket.write(login === undefined ? Buffer.from([5, 1, 0]) : Buffer.from([5, 2, 0, 2]));
    const [, method] = await readExactly(socket, 2);
    if (method === 2 && login !== undefined) {
      socket.write(Buffer.concat([Buffer.from([1]), counted(login.user), counted(login.password)]));
      const [, answer] = await readExactly(socket, 2);
      if (answer !== 0) throw new Error('it does not take the user name and password');
    } else if (method !== 0) throw new Error('it wants another kind of login');
    const destination = Buffer.concat([
      Buffer.from([5, 1, 0, 3]),
      counted(host),
      Buffer.from([port >> 8, port & 0xff]),
    ]);
    socket.write(destination);
    const [, reply = 1, , kind] = await readExactly(socket, 4);
    if (reply !== 0) throw new Error(SOCKS_REPLIES[reply] ?? `reply ${reply}`);
    // The address that it connected from, which nobody needs.
    const length = kind === 1 ? 4 : kind === 4 ? 16 : ((await readExactly(socket, 1))[0] ?? 0);
    await readExactly(socket, length + 2);
    return socket;
  } catch (error) {
    socket.destroy();
    throw refused(proxy, (error as Error).message);
  }
}

function counted(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

/** No more than `count` bytes: what follows belongs to the tunnel. */
function readExactly(socket: Socket, count: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const attempt = (): void => {
      const bytes = socket.read(count) as Buffer | null;
      if (bytes === null || bytes.length < count) return;
      settle();
      resolve(bytes);
    };
    const fail = (error?: Error): void => {
      settle();
      reject(error instanceof Error ? error : new Error('it closed the connection'));
    };
    const settle = (): void => {
      socket.off('readable', attempt).off('error', fail).off('close', fail);
    };
    socket.on('readable', attempt).once('error', fail).once('close', fail);
    attempt();
  });
}

function proxyLogin(proxy: URL): { readonly user: string; readonly password: string } | undefined {
  if (proxy.username === '') return undefined;
  return { user: decodeURIComponent(proxy.username), password: decodeURIComponent(proxy.password) };
}

/** `syscall` says that the request itself was not sent. */
function refused(proxy: URL, problem: string): Error {
  return Object.assign(new Error(`the proxy ${proxy.host} refused: ${problem}`), { syscall: 'connect' });
}
