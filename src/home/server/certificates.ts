import { createPrivateKey, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { issueAuthority, issueServing } from './issue-certificate.ts';
import type { KeyPair } from './issue-certificate.ts';
import { readIfThere, writePrivately } from './private-file.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const CA_DAYS = 3650;
const SERVING_DAYS = 365;
/** A certificate is made anew when it has no more than this left. */
const RENEW_BEFORE_MS = 30 * DAY_MS;
/** Clocks of clients on the same machine do not differ, but a machine's clock may be set back. */
const BACKDATE_MS = DAY_MS;
const AUTHORITY = 'gridferry-ca';
const SERVER = 'gridferry-api';

export interface ServingCertificate {
  /** In PEM. */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/**
 * The certificate that the server shows, and the authority of its own that signed it, kept in `directory` and renewed
 * when their time runs out. The authority outlives many serving certificates, so that a kubeconfig stays valid.
 *
 * @param hosts addresses and names that clients call the server by
 * @param now milliseconds since the epoch
 */
export async function keptCertificate(
  directory: string,
  hosts: readonly string[],
  now: number,
): Promise<ServingCertificate> {
  const kept = readPair(directory, 'ca');
  const authority = kept !== undefined && lasts(kept, now) ? kept : await newAuthority(directory, now);
  const serving = readPair(directory, 'server');
  const ca = authority.certificate;
  if (serving !== undefined && lasts(serving, now) && isFor(serving, authority, hosts)) return { ca, ...serving };
  const end = Math.min(now + SERVING_DAYS * DAY_MS, new X509Certificate(ca).validToDate.getTime());
  const renewed = await issueServing(SERVER, authority, hosts, { from: now - BACKDATE_MS, to: end });
  writePair(directory, 'server', renewed);
  return { ca, ...renewed };
}

async function newAuthority(directory: string, now: number): Promise<KeyPair> {
  const authority = await issueAuthority(AUTHORITY, { from: now - BACKDATE_MS, to: now + CA_DAYS * DAY_MS });
  writePair(directory, 'ca', authority);
  return authority;
}

function readPair(directory: string, name: string): KeyPair | undefined {
  const certificate = readIfThere(join(directory, `${name}.crt`));
  const key = readIfThere(join(directory, `${name}.key`));
  return certificate === undefined || key === undefined ? undefined : { certificate, key };
}

function writePair(directory: string, name: string, { certificate, key }: KeyPair): void {
  writePrivately(join(directory, `${name}.key`), key);
  writePrivately(join(directory, `${name}.crt`), certificate);
}

function parsed(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    // Whatever lies there is no certificate: it is replaced.
    return undefined;
  }
}

/** Whether it is of use at all, and for some time yet. */
function lasts({ certificate, key }: KeyPair, now: number): boolean {
  const read = parsed(certificate);
  if (read === undefined) return false;
  try {
    if (!read.checkPrivateKey(createPrivateKey(key))) return false;
  } catch {
    // The key cannot be read: a new pair is made.
    return false;
  }
  return read.validToDate.getTime() - now > RENEW_BEFORE_MS && read.validFromDate.getTime() <= now;
}

function isFor(serving: KeyPair, authority: KeyPair, hosts: readonly string[]): boolean {
  const read = parsed(serving.certificate);
  const issuer = parsed(authority.certificate);
  if (read === undefined || issuer === undefined || !read.verify(issuer.publicKey)) return false;
  return hosts.every((host) => (isIP(host) !== 0 ? read.checkIP(host) : read.checkHost(host)) !== undefined);
}
