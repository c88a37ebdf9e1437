import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { keptCertificate } from '../../../src/home/server/certificates.ts';
import { temporaryDirectory } from '../../support/local-home.ts';

const DAY = 24 * 60 * 60 * 1000;
const HOSTS = ['127.0.0.1', '::1', 'localhost'];
const NOW = Date.parse('2026-11-21T12:00:00Z');

void t.test('the certificate is for every name, signed by an authority that may sign nothing but leaves', async (t) => {
  const { ca, certificate } = await keptCertificate(temporaryDirectory(t), HOSTS, NOW);
  const authority = new X509Certificate(ca);
  const serving = new X509Certificate(certificate);
  t.ok(serving.checkIssued(authority) && serving.verify(authority.publicKey));
  t.ok(authority.verify(authority.publicKey));
  t.equal(authority.ca, true);
  t.equal(serving.ca, false);
  t.equal(serving.checkIP('127.0.0.1'), '127.0.0.1');
  t.equal(serving.checkIP('::1'), '::1');
  t.equal(serving.checkHost('localhost'), 'localhost');
  t.equal(serving.checkHost('example.com'), undefined);
  t.same(serving.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  t.ok(serving.validFromDate.getTime() <= NOW);
  t.ok(authority.validToDate.getTime() > NOW + 9 * 365 * DAY);
});

void t.test('it is kept as long as it lasts, and renewed before its end by the same authority', async (t) => {
  const directory = temporaryDirectory(t);
  const first = await keptCertificate(directory, HOSTS, NOW);
  t.same(await keptCertificate(directory, HOSTS, NOW + 300 * DAY), first);
  const renewed = await keptCertificate(directory, HOSTS, NOW + 340 * DAY);
  t.equal(renewed.ca, first.ca);
  t.not(renewed.certificate, first.certificate);
  t.ok(new X509Certificate(renewed.certificate).validToDate.getTime() > NOW + 600 * DAY);
});

void t.test('a new name, a new authority, or a damaged file makes a new one', async (t) => {
  const directory = temporaryDirectory(t);
  const first = await keptCertificate(directory, HOSTS, NOW);
  const more = await keptCertificate(directory, [...HOSTS, '192.0.2.7'], NOW);
  t.equal(new X509Certificate(more.certificate).checkIP('192.0.2.7'), '192.0.2.7');
  t.equal(more.ca, first.ca);
  const old = await keptCertificate(directory, HOSTS, NOW + 3650 * DAY);
  t.not(old.ca, first.ca);
  t.ok(new X509Certificate(old.certificate).verify(new X509Certificate(old.ca).publicKey));
  for (const file of ['server.crt', 'server.key', 'ca.crt', 'ca.key']) {
    writeFileSync(join(directory, file), 'damaged');
    const healed = await keptCertificate(directory, HOSTS, NOW);
    t.ok(new X509Certificate(healed.certificate).verify(new X509Certificate(healed.ca).publicKey), file);
  }
});

void t.test('the end of the authority is never outlived', async (t) => {
  const directory = temporaryDirectory(t);
  await keptCertificate(directory, HOSTS, NOW);
  const late = await keptCertificate(directory, HOSTS, NOW + 3600 * DAY);
  t.equal(new X509Certificate(late.certificate).validTo, new X509Certificate(late.ca).validTo);
  // Dates from 2050 on are written in another form.
  const far = await keptCertificate(temporaryDirectory(t), HOSTS, Date.parse('2049-06-01T00:00:00Z'));
  t.equal(new X509Certificate(far.ca).validToDate.getUTCFullYear(), 2059);
});
