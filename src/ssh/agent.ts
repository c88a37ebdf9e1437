import { Duplex } from 'node:stream';
import ssh2 from 'ssh2';
import type { ParsedKey } from 'ssh2';
import { fingerprintOf, hostKeyFromWire } from './host-key.ts';
import { readWire, wireNumber, wireString } from './wire.ts';

/** What an agent may be used for: to log in at one server as one user, a few times. */
export interface AgentRules {
  /** The only key it has, and ever names. */
  readonly key: ParsedKey;
  readonly user: string;
  /** `SHA256:…` of the host key that the server must have proved to have in the session that is logged in. */
  readonly hostKeyFingerprint: string;
  /** How many logins it signs. */
  readonly logins: number;
}

/** An SSH agent that is no process: it answers on streams that whoever forwards it opens. */
export interface SshAgent {
  /** A connection of its own: what was bound on one of them counts for that one. */
  connect(): Duplex;
  /** Answers nothing but refusals from now on. */
  close(): void;
}

/** draft-ietf-sshm-ssh-agent §6.1; OpenSSH's PROTOCOL.agent §1. */
const FAILURE = 5;
const SUCCESS = 6;
const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;
const EXTENSION = 27;
const SESSION_BIND = 'session-bind@openssh.com';

/** RFC 4252 §7. */
const USERAUTH_REQUEST = 50;

/** Far longer than any login request; what is longer is no message of ours. */
const LONGEST_MESSAGE = 16 * 1024;

/**
 * An agent with one key, for one purpose. It signs nothing but a login (RFC 4252 §7) of that user, in a session that the
 * client bound to that server before (`session-bind@openssh.com`, OpenSSH 8.9 or later): the server's signature over the
 * session's identifier proves that the login goes there and nowhere else. So whoever reaches the agent on the way, root of
 * the server it is forwarded to included, can log in where it was meant to and as who it was meant to, and nothing more.
 */
export function createAgent(rules: AgentRules): SshAgent {
  const publicKey = Buffer.from(rules.key.getPublicSSH());
  let left = rules.logins;
  let closed = false;

  function connection(): (message: Buffer) => Buffer {
    let boundSession: Buffer | undefined;

    function bind(hostKey: Buffer, session: Buffer, signature: Buffer, isForwarding: boolean): Buffer {
      // A session that was bound once stays what it was, and one that passes the agent on is not a login.
      if (boundSession !== undefined || isForwarding) return refusal;
      if (fingerprintOf(hostKey) !== rules.hostKeyFingerprint) return refusal;
      if (!isSignedBy(hostKey, session, signature)) return refusal;
      boundSession = session;
      return message(SUCCESS);
    }

    function sign(wanted: Buffer, data: Buffer): Buffer {
      if (left <= 0 || boundSession === undefined || !wanted.equals(publicKey)) return refusal;
      if (
        !isLogin(data, { session: boundSession, user: rules.user, publicKey, fingerprint: rules.hostKeyFingerprint })
      ) {
        return refusal;
      }
      const signature = rules.key.sign(data);
      if (signature instanceof Error) return refusal;
      left--;
      return message(SIGN_RESPONSE, wireString(Buffer.concat([wireString(rules.key.type), wireString(signature)])));
    }

    return (request) => {
      if (closed) return refusal;
      try {
        const read = readWire(request);
        switch (read.byte()) {
          case REQUEST_IDENTITIES:
            return message(IDENTITIES_ANSWER, wireNumber(1), wireString(publicKey), wireString('gridferry'));
          case SIGN_REQUEST:
            return sign(read.string(), read.string());
          case EXTENSION:
            if (read.text() !== SESSION_BIND) return refusal;
            return bind(read.string(), read.string(), read.string(), read.boolean());
          default:
            return refusal;
        }
      } catch {
        // Cut off, or no key: whatever it was, it is not answered.
        return refusal;
      }
    };
  }

  return {
    connect: () => messageStream(connection()),
    close: () => void (closed = true),
  };
}

/** Whether it is what a client signs to log in: RFC 4252 §7, or with the host key added (PROTOCOL §2.5, "hostbound"). */
function isLogin(
  data: Buffer,
  expected: {
    readonly session: Buffer;
    readonly user: string;
    readonly publicKey: Buffer;
    readonly fingerprint: string;
  },
): boolean {
  const read = readWire(data);
  if (!read.string().equals(expected.session) || read.byte() !== USERAUTH_REQUEST) return false;
  if (read.text() !== expected.user || read.text() !== 'ssh-connection') return false;
  const method = read.text();
  const isHostBound = method === 'publickey-hostbound-v00@openssh.com';
  if (!isHostBound && method !== 'publickey') return false;
  if (!read.boolean() || read.text() !== expectedAlgorithm(expected.publicKey)) return false;
  if (!read.string().equals(expected.publicKey)) return false;
  if (isHostBound && fingerprintOf(read.string()) !== expected.fingerprint) return false;
  return read.isAtEnd;
}

function expectedAlgorithm(publicKey: Buffer): string {
  return readWire(publicKey).text();
}

/** The signature algorithms of RSA are not that of the key (RFC 8332); ssh2 takes the hash by name. */
const RSA_HASHES: Readonly<Record<string, string>> = { 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512' };

function isSignedBy(hostKey: Buffer, data: Buffer, signature: Buffer): boolean {
  const key = ssh2.utils.parseKey(hostKeyFromWire(hostKey).publicKey);
  if (key instanceof Error) return false;
  const read = readWire(signature);
  const algorithm = read.text();
  const hash = RSA_HASHES[algorithm];
  if (key.type === 'ssh-rsa' ? hash === undefined : algorithm !== key.type) return false;
  // It answers with an Error when it could not tell.
  const verdict: unknown = key.verify(data, plainSignature(algorithm, read.string()), hash);
  return verdict === true;
}

/** ssh2 verifies ECDSA signatures as OpenSSL has them: a DER sequence of two integers (RFC 5656 §3.1.2 has two mpints). */
function plainSignature(algorithm: string, signature: Buffer): Buffer {
  if (!algorithm.startsWith('ecdsa-')) return signature;
  const read = readWire(signature);
  const integers = [read.string(), read.string()].map((value) =>
    Buffer.concat([Buffer.from([0x02, value.length]), value]),
  );
  const body = Buffer.concat(integers);
  // Of P-521, two integers of up to 66 bytes: more than the short form of a length can say.
  const length = body.length < 128 ? [body.length] : [0x81, body.length];
  return Buffer.concat([Buffer.from([0x30, ...length]), body]);
}

function message(type: number, ...parts: readonly Buffer[]): Buffer {
  return wireString(Buffer.concat([Buffer.from([type]), ...parts]));
}

const refusal = message(FAILURE);

/** Cuts a stream into messages, each preceded by its length, and writes the answer to each in order. */
function messageStream(answer: (request: Buffer) => Buffer): Duplex {
  let pending = Buffer.alloc(0);
  return new Duplex({
    allowHalfOpen: false,
    read() {
      // Answers are pushed as requests come in.
    },
    write(chunk: Buffer, _encoding, done) {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 4) {
        const length = pending.readUInt32BE(0);
        if (length > LONGEST_MESSAGE) {
          this.destroy();
          break;
        }
        if (pending.length < 4 + length) break;
        this.push(answer(Buffer.from(pending.subarray(4, 4 + length))));
        pending = pending.subarray(4 + length);
      }
      done();
    },
    final(done) {
      this.push(null);
      done();
    },
  });
}
