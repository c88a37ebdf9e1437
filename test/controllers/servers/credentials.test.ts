import t from 'tap';
import { readSshCredentials } from '../../../controllers/servers/credentials.ts';
import { createRedactor } from '../../../src/security/redact.ts';

const redactor = createRedactor();

function read(data: Readonly<Record<string, string>>) {
  const secrets = {
    read: async () => new Map(Object.entries(data).map(([name, value]) => [name, Buffer.from(value)])),
  };
  return readSshCredentials(secrets, redactor, 'default', 'fleet-ssh');
}

void t.test('a password wins over a key', async (t) => {
  t.same(await read({ password: 'correct-horse', 'ssh-privatekey': 'KEY' }), { password: 'correct-horse' });
});

void t.test('the newline that an editor or echo adds is not part of a password', async (t) => {
  t.same(await read({ password: 'correct-horse\n' }), { password: 'correct-horse' });
  t.same(await read({ password: 'correct-horse\r\n' }), { password: 'correct-horse' });
  t.same(await read({ password: ' spaces \n\n' }), { password: ' spaces \n' }, 'but only that one');
});

void t.test('a key is taken as it is, with its passphrase if it has one', async (t) => {
  t.same(await read({ 'ssh-privatekey': 'KEY\n', password: '\n' }), { privateKey: Buffer.from('KEY\n') });
  t.same(await read({ 'ssh-privatekey': 'KEY', passphrase: 'open sesame\n' }), {
    privateKey: Buffer.from('KEY'),
    passphrase: 'open sesame',
  });
});

void t.test('a Secret without either is refused, by name', async (t) => {
  for (const data of [{}, { password: '' }, { 'ssh-privatekey': '' }, { token: 'x' }]) {
    await t.rejects(read(data), {
      code: 'GF_CREDENTIALS_EMPTY',
      message: /Secret default\/fleet-ssh has neither/,
    } as never);
  }
});

void t.test('every value is a secret from the moment it is read', async (t) => {
  await read({ password: 'hunter2-hunter2', 'ssh-privatekey': 'PRIVATE-KEY-TEXT' });
  t.notMatch(redactor.redact('hunter2-hunter2 and PRIVATE-KEY-TEXT'), /hunter2|PRIVATE/);
});
