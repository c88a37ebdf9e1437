import t from 'tap';
import { checkAddress } from '../../src/security/addresses.ts';

const open = { allowPrivate: true };
const closed = { allowPrivate: false };
const answer =
  (...addresses: string[]) =>
  () =>
    Promise.resolve(addresses);

await t.test('public addresses are allowed as they are', async (t) => {
  for (const address of ['8.8.8.8', '203.0.114.1', '2606:4700::1111', '64:ff9b::808:808']) {
    t.equal(await checkAddress(address, closed), address);
  }
});

await t.test('private addresses are for registered servers only', async (t) => {
  for (const address of ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '100.64.0.1', 'fd00::1']) {
    t.equal(await checkAddress(address, open), address);
    await t.rejects(checkAddress(address, closed), { code: 'GF_ADDRESS_FORBIDDEN', details: { address } });
  }
});

await t.test('what is no server of anybody is never allowed', async (t) => {
  const never = [
    '127.0.0.1 127.255.255.255 0.0.0.0 0.1.2.3 169.254.169.254 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255',
    '192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 192.0.0.1',
    ':: ::1 fe80::1 ff02::1 2001:db8::1 fec0::1 100::1 2002:7f00:1:: 2001::1 4000::1',
    '::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:7f00:1 ::127.0.0.1 ::7f00:1 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b:1::1',
  ].flatMap((line) => line.split(' '));
  for (const address of never) {
    await t.rejects(checkAddress(address, open), { code: 'GF_ADDRESS_FORBIDDEN', class: 'terminal' }, address);
  }
});

await t.test('a mapped address is judged, and returned, as the address inside', async (t) => {
  t.equal(await checkAddress('::ffff:8.8.8.8', closed), '8.8.8.8');
  t.equal(await checkAddress('::ffff:10.0.0.1', open), '10.0.0.1');
  await t.rejects(checkAddress('::ffff:10.0.0.1', closed), { code: 'GF_ADDRESS_FORBIDDEN' });
});

await t.test('notations that programs read differently are refused', async (t) => {
  for (const host of ['127.1', '0x7f000001', '2130706433', '010.0.0.1', '0177.0.0.1']) {
    await t.rejects(checkAddress(host, open), { code: 'GF_ADDRESS_FORBIDDEN' }, host);
  }
});

await t.test('a name is resolved once, and its first allowed address is the one to connect to', async (t) => {
  let asked = 0;
  const resolve = () => Promise.resolve(asked++ === 0 ? ['fe80::1', '127.0.0.1', '8.8.8.8', '1.1.1.1'] : ['127.0.0.1']);
  t.equal(await checkAddress('web.example', closed, resolve), '8.8.8.8');
  t.equal(asked, 1);
});

await t.test('a name that leads inside says where and why', async (t) => {
  await t.rejects(checkAddress('evil.example', open, answer('169.254.169.254')), {
    code: 'GF_ADDRESS_FORBIDDEN',
    details: { host: 'evil.example', address: '169.254.169.254', why: 'a link-local address' },
  });
});

await t.test('a name without an address can be tried again', async (t) => {
  const fails = () => Promise.reject(new Error('ENOTFOUND'));
  await t.rejects(checkAddress('gone.example', open, fails), { code: 'GF_ADDRESS_UNRESOLVED', class: 'retryable' });
  await t.rejects(checkAddress('gone.example', open, answer()), { code: 'GF_ADDRESS_UNRESOLVED' });
});
