import { isIP } from 'node:net';
import { GridferryError, messageOf } from '../errors.ts';
import { shellQuote } from '../security/shell-quote.ts';
import { createAgent } from './agent.ts';
import { authorizeKey, revokeKey } from './authorized-keys.ts';
import { installDoor } from './door.ts';
import type { Host } from './host.ts';
import type { HostKey } from './host-key.ts';
import { dialCommand, overConnection, PEER } from './ssh-client.ts';
import { checkFolderId, FOLDER, stopPrograms } from './transfer-folder.ts';
import { createTransferKey } from './transfer-key.ts';
import type { TransferKey } from './transfer-key.ts';

/** The server that dials. */
export interface DiallingServer {
  readonly host: Host;
  /** Addresses that it is known by; what it dials from is added. */
  readonly addresses: readonly string[];
  /** Programs that must be there. */
  readonly tools: readonly string[];
}

/** A server as another one dials it. */
export interface DialledServer {
  readonly host: Host;
  /** Programs that must be there. */
  readonly tools: readonly string[];
  /** Checked already: it is connected to as it stands. */
  readonly address: string;
  readonly port: number;
  /** The key it proved to us: the only one it may show there. */
  readonly hostKey: HostKey;
}

export interface LinkOptions {
  /** The transfer's id: it names the folders on both servers. */
  readonly id: string;
  readonly dialler: DiallingServer;
  readonly other: DialledServer;
  readonly signal?: AbortSignal;
}

/** A warm, logged-in connection from one server to another. It belongs to the dialling server and outlives this process. */
export interface ServerLink {
  readonly id: string;
  readonly dialler: Host;
  readonly other: Host;
}

/** How a link came about. */
export interface OpenedLink {
  readonly link: ServerLink;
  readonly credential: 'Agent' | 'Key';
  /** Why a key had to be put on the dialling server. */
  readonly agentRefusal?: string;
}

/** What the dialling server must have, where it dials from, and the one host key it may meet there. */
const PREPARE = `${FOLDER}
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$folder/pipes" "$folder/jobs" && cat >"$folder/known_hosts" || exit 1
set -- $(ip -o route get "$2" 2>/dev/null)
while [ $# -gt 1 ]; do
  [ "$1" != src ] || echo "from $2"
  shift
done
`;

const LACKING = 'for tool do command -v "$tool" >/dev/null 2>&1 || { echo "$tool"; exit; }; done';

/** A connection of an earlier process, or one that hangs, makes room. */
const DIAL = `${FOLDER}
cd "$folder" || exit 1
shift
[ ! -e master.pid ] || end master.pid || exit 1
rm -f mux
"$@" || exit
pid=$(${shellQuote(overConnection('-O', 'check', PEER))} 2>&1 | sed -n 's/.*pid=\\([0-9]*\\).*/\\1/p')
set -- $(state_of "$pid")
echo "$pid $2 $boot" >master.pid
`;

const PUT_KEY = `${FOLDER}
cat >"$folder/key"
`;
const DROP_KEY = `${FOLDER}
rm -f "$folder/key"
`;

const CHECK = `${FOLDER}
cd "$folder" 2>/dev/null && ${shellQuote(overConnection('-O', 'check', PEER))} >/dev/null 2>&1
`;

/** Long enough for two handshakes over a slow line, and shorter than anybody's patience, in ms. */
const DIAL_TIMEOUT_MS = 30_000;

/**
 * Logs one server in at another, with a key that is born for it: one line in authorized_keys there that lets it in from
 * this server only and run nothing but what we put behind the door. The private key stays here, behind a forwarded agent,
 * where the client can prove to the agent where it logs in (OpenSSH ≥ 8.9) and sshd forwards agents; else it lies in a file
 * that only the login user reads. Line and file are gone again when this returns: the connection needs them no more.
 *
 * What earlier connections of this transfer still run at the other server is ended first.
 *
 * @throws `GF_LINK_FAILED` with the reason, `GF_SSH_KEYS_UNWRITABLE`, and what `Host` throws.
 */
export async function openServerLink(options: LinkOptions): Promise<OpenedLink> {
  const { id, dialler, other, signal } = options;
  checkFolderId(id);
  const key = createTransferKey();
  const [, , from, command] = await allOrNothing([
    assertTools(options, dialler.host, ['ssh', 'setsid', 'mkfifo', ...dialler.tools]),
    assertTools(options, other.host, other.tools),
    prepare(options),
    installDoor(other.host, id, signal),
    stopPrograms(other.host, id, {}, signal),
  ]);
  if (command === undefined)
    throw linkFailed(options, `the home of ${other.host.user} there has unusual characters in its path`);
  try {
    await authorizeKey(other.host, { id, publicKey: key.publicKey, from, command }, signal);
    const link = { id, dialler: dialler.host, other: other.host };
    const agentRefusal = await dialWithAgent(options, key);
    if (agentRefusal === undefined) return { link, credential: 'Agent' };
    await dialWithKey(options, key);
    return { link, credential: 'Key', agentRefusal };
  } finally {
    await revokeKey(other.host, id);
  }
}

/** Waits for all of them, also when one fails: nothing of it may go on afterwards. */
async function allOrNothing<T extends readonly Promise<unknown>[]>(
  work: readonly [...T],
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

async function assertTools(options: LinkOptions, host: Host, tools: readonly string[]): Promise<void> {
  const { stdout } = await host.exec(
    ['sh', '-c', LACKING, 'sh', ...tools],
    options.signal === undefined ? {} : { signal: options.signal },
  );
  if (stdout.trim() !== '') throw linkFailed(options, `${host.name} has no '${stdout.trim()}'`);
}

/** Answers where the dialler comes from. */
async function prepare(options: LinkOptions): Promise<readonly string[]> {
  const { id, dialler, other, signal } = options;
  const { stdout } = await dialler.host.exec(['sh', '-c', PREPARE, 'sh', id, other.address], {
    input: `${PEER} ${other.hostKey.publicKey}\n`,
    ...(signal === undefined ? {} : { signal }),
  });
  const lines = stdout.split('\n').map((line) => line.trim().split(' '));
  // What a server says of itself may only be an address, never a pattern.
  const own = lines.filter(([word]) => word === 'from').map(([, address = '']) => address);
  const from = [...new Set([...own, ...dialler.addresses])].filter((address) => isIP(address) !== 0);
  if (from.length === 0) throw linkFailed(options, `nothing tells from which address ${dialler.host.name} dials`);
  return from;
}

/** Answers why the agent could not be used. */
async function dialWithAgent(options: LinkOptions, key: TransferKey): Promise<string | undefined> {
  const { other } = options;
  const agent = createAgent({
    key: key.key,
    user: other.host.user,
    hostKeyFingerprint: other.hostKey.fingerprint,
    logins: 1,
  });
  try {
    const { exitCode, stderr } = await dial(options, 'Agent', agent);
    if (exitCode === 0) return undefined;
    // Only the credential was refused: anything else would fail in the same way again.
    if (!/Permission denied|agent|Bad configuration option/i.test(stderr)) throw linkFailed(options, stderr);
    return /agent refused/i.test(stderr) ? 'its ssh is older than OpenSSH 8.9' : lastLine(stderr);
  } catch (error) {
    if (error instanceof GridferryError && error.code === 'GF_SSH_AGENT_REFUSED') return messageOf(error);
    throw error;
  }
}

async function dialWithKey(options: LinkOptions, { privateKey }: TransferKey): Promise<void> {
  const { id, dialler, signal } = options;
  try {
    await dialler.host.exec(['sh', '-c', PUT_KEY, 'sh', id], {
      input: privateKey,
      ...(signal === undefined ? {} : { signal }),
    });
    const { exitCode, stderr } = await dial(options, 'Key');
    if (exitCode !== 0) throw linkFailed(options, stderr);
  } finally {
    await dialler.host.exec(['sh', '-c', DROP_KEY, 'sh', id]);
  }
}

function dial(
  { id, dialler, other, signal }: LinkOptions,
  credential: 'Agent' | 'Key',
  agent?: ReturnType<typeof createAgent>,
): ReturnType<Host['exec']> {
  const { address, port, host } = other;
  return dialler.host.exec(
    ['sh', '-c', DIAL, 'sh', id, ...dialCommand({ address, port, user: host.user, credential })],
    {
      allowFailure: true,
      timeoutMs: DIAL_TIMEOUT_MS,
      ...(agent === undefined ? {} : { agent }),
      ...(signal === undefined ? {} : { signal }),
    },
  );
}

/** Whether the connection is there; answered by the dialling server alone, in a moment. */
export async function isLinkOpen(
  { dialler, id }: Pick<ServerLink, 'dialler' | 'id'>,
  signal?: AbortSignal,
): Promise<boolean> {
  const { exitCode } = await dialler.exec(['sh', '-c', CHECK, 'sh', checkFolderId(id)], {
    allowFailure: true,
    ...(signal === undefined ? {} : { signal }),
  });
  return exitCode === 0;
}

/** That one server cannot log in at the other, and why. */
export function linkFailed(
  { dialler, other }: { readonly dialler: { readonly host: Host }; readonly other: { readonly host: Host } },
  why: string,
): GridferryError {
  return new GridferryError(
    'GF_LINK_FAILED',
    `Server ${dialler.host.name} cannot log in at server ${other.host.name}: ${lastLine(why) || 'no reason was given'}.`,
    { class: 'retryable', details: { server: dialler.host.name, other: other.host.name } },
  );
}

function lastLine(text: string): string {
  return (text.trim().split('\n').at(-1) ?? '').trim().replace(/\.$/, '').slice(0, 300);
}
