/**
 * How OpenSSH's client is called on a server that dials another one. Nothing of the machine's or the user's configuration
 * counts (`-F /dev/null`), nothing is asked, and no key but the given one is tried. Paths are relative: a UNIX socket's may
 * be 108 bytes long.
 */
const QUIET = ['-F', '/dev/null', '-T', '-a', '-x', '-o', 'BatchMode=yes', '-o', 'LogLevel=ERROR'];

/** The fastest first, where the processor has AES. */
const CIPHERS = 'aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr';

/** An idle connection that was forgotten ends after this. */
const IDLE_SECONDS = 3600;

/** Stands for the other server in known_hosts; only the file of this transfer knows it. */
export const PEER = 'gridferry';

export interface Dial {
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** A forwarded agent, or a file with the private key. */
  readonly credential: 'Agent' | 'Key';
}

/** Logs in, goes into the background, and answers later calls at `mux`. Run in the transfer's folder. */
export function dialCommand({ address, port, user, credential }: Dial): string[] {
  const options = {
    StrictHostKeyChecking: 'yes',
    UserKnownHostsFile: 'known_hosts',
    GlobalKnownHostsFile: '/dev/null',
    HashKnownHosts: 'no',
    HostKeyAlias: PEER,
    CheckHostIP: 'no',
    UpdateHostKeys: 'no',
    PreferredAuthentications: 'publickey',
    NumberOfPasswordPrompts: '0',
    ...(credential === 'Agent'
      ? { IdentityFile: 'none', IdentityAgent: 'SSH_AUTH_SOCK' }
      : { IdentityFile: 'key', IdentitiesOnly: 'yes', IdentityAgent: 'none' }),
    Ciphers: CIPHERS,
    Compression: 'no',
    ConnectTimeout: '10',
    ServerAliveInterval: '5',
    ServerAliveCountMax: '3',
    // Not with -M as well: said twice, it means to ask a person each time.
    ControlMaster: 'yes',
    ControlPath: 'mux',
    ControlPersist: String(IDLE_SECONDS),
  };
  const settings = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  return ['ssh', ...QUIET, ...settings, '-p', String(port), '-l', user, '-N', '-f', '--', address];
}

/** Asks the other server over the connection at `mux`, and over no other: without it the call fails at once. */
export function overConnection(...request: readonly string[]): string[] {
  return ['ssh', ...QUIET, '-o', 'ControlMaster=no', '-o', 'ControlPath=mux', '-o', 'ProxyCommand=false', ...request];
}
