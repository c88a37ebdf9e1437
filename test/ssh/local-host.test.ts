import t from 'tap';
import { openLocalHost } from '../../src/ssh/local-host.ts';
import { checkHostContract } from '../support/host-contract.ts';

await t.test('this machine is a host like any other', (t) =>
  checkHostContract(t, () => Promise.resolve(openLocalHost({ name: 'here' }))),
);

await t.test('a closed host starts nothing', async (t) => {
  const host = openLocalHost({ name: 'here' });
  const program = await host.spawn(['sleep', '64']);
  program.stdout.resume();
  program.stderr.resume();
  await host.close();
  t.equal((await program.exit).signal, 'SIGTERM', 'and ends what it had started');
  t.equal(await host.closed, undefined);
  await t.rejects(host.exec(['true']), { code: 'GF_SSH_CLOSED' });
});
