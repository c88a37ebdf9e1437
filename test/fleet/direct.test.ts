import t from 'tap';
import type { Transfer, TransferSpec } from '../../src/api/resources.ts';
import { ManagedServers } from '../../src/api/resources.ts';
import { findCondition } from '../../src/runtime/conditions.ts';
import { fleetDown, fleetUp } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { fleetShell, webImage } from '../support/fleet-shell.ts';
import type { ServerName } from '../support/fleet-shell.ts';
import { startGridferry } from '../support/gridferry.ts';

const FLEET = 't-direct';
t.setTimeout(240_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.81.0/24' });
const { docker, sh, clear } = fleetShell(FLEET);
const both = ['alpha', 'beta'] as const;
const address = Object.fromEntries(fleet.servers.map(({ name, address }) => [name, address])) as Record<
  ServerName,
  string
>;
await importTinyImage(FLEET, 'alpha', 'web:1', webImage);

const gridferry = await startGridferry();
t.teardown(() => gridferry.stop());
await gridferry.addServers(fleet, ({ spec }) => (spec.probeInterval = '1s'));

/** Everything of the direct path that could be left on a server, of both login users. */
const leftoversScript = `
find /root/.local/state/gridferry /home/deploy/.local/state/gridferry 2>/dev/null
grep -n gridferry: /root/.ssh/authorized_keys /home/deploy/.ssh/authorized_keys
ls -A /root/.ssh /home/deploy/.ssh | grep -vx -e authorized_keys -e '' -e '/.*:'
ps -eo args | grep -E '^(ssh -F|rsync |sh -c umask|docker .*exec)'
true`;

async function nothingIsLeft(t: { same(a: unknown, b: unknown, message: string): void }): Promise<void> {
  for (const server of both) t.same(await sh(server, leftoversScript), '', `nothing is left on ${server}`);
}

/** A service with some data, moved with these options. */
async function move(name: string, spec: Partial<TransferSpec>, megabytes = 5): Promise<Transfer> {
  await Promise.all(both.map((server) => clear(server)));
  await docker('alpha', 'run', '-d', '--name', 'web', '-v', 'web-data:/data', 'web:1');
  await sh('alpha', 'head -c "$1"M /dev/urandom >/var/lib/docker/volumes/web-data/_data/big', String(megabytes));
  return gridferry.transfer(name, { container: 'web', ...spec });
}

async function ended(name: string, phase = 'Completed'): Promise<NonNullable<Transfer['status']>> {
  const { status = {} } = await gridferry.ended(name);
  t.equal(status.phase, phase, JSON.stringify(status.failure));
  t.match(findCondition(status.conditions, 'CredentialsScrubbed'), { status: 'True' });
  t.equal(status.credentials, undefined);
  return status;
}

async function sumOf(server: ServerName): Promise<string> {
  return sh(server, 'cd /var/lib/docker/volumes/web-data/_data && find . -type f | sort | xargs md5sum');
}

const refuse = (server: ServerName, from: ServerName): Promise<string> =>
  sh(server, 'iptables -w -I INPUT -p tcp --dport 22 -s "$1" -j REJECT', address[from]);
const allow = (server: ServerName, from: ServerName): Promise<string> =>
  sh(server, 'iptables -w -D INPUT -p tcp --dport 22 -s "$1" -j REJECT', address[from]);

async function loginAs(user: string): Promise<void> {
  for (const name of both) {
    const key = { namespace: 'default', name };
    await gridferry.client.patch(ManagedServers, key, { type: 'merge', body: { spec: { ssh: { user } } } });
  }
  for (const name of both) {
    for (;;) {
      const server = await gridferry.client.get(ManagedServers, { namespace: 'default', name });
      if (server.status?.observedGeneration === server.metadata.generation && server.status?.phase === 'Online') break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

void t.test('root: the source copies to the target, and the agent never gives its key away', async (t) => {
  await move('root-forward', { transport: 'Direct' });
  const before = await sumOf('alpha');
  const status = await ended('root-forward');
  t.match(status.transport, { mode: 'Direct', direction: 'SourceToTarget', credential: 'Agent' });
  t.ok((status.transport?.roundTripMs ?? 0) > 0);
  t.match(status.jobs?.[0], { server: 'alpha', state: 'Succeeded', exitCode: 0 });
  t.equal(await sumOf('beta'), before);
  await nothingIsLeft(t);
});

void t.test('the target fetches when it cannot be reached, and the status says why', async (t) => {
  await refuse('beta', 'alpha');
  t.teardown(() => allow('beta', 'alpha'));
  await move('root-back', {});
  const before = await sumOf('alpha');
  const status = await ended('root-back');
  t.match(status.transport, { mode: 'Direct', direction: 'TargetToSource', reason: /Connection refused/ });
  t.match(status.jobs?.[0], { server: 'beta', state: 'Succeeded' });
  t.equal(await sumOf('beta'), before);
  await nothingIsLeft(t);
});

void t.test('neither can reach the other: through the controller, and Direct fails with both reasons', async (t) => {
  await Promise.all([refuse('beta', 'alpha'), refuse('alpha', 'beta')]);
  t.teardown(() => Promise.all([allow('beta', 'alpha'), allow('alpha', 'beta')]));
  await move('relayed', {});
  const { transport } = await ended('relayed');
  t.match(transport, {
    mode: 'Relay',
    reason: /alpha cannot log in at server beta: .*beta cannot log in at server alpha/,
  });
  await nothingIsLeft(t);
  await move('forced', { transport: 'Direct' });
  const { failure } = await ended('forced', 'Failed');
  t.match(failure, { code: 'GF_TRANSPORT_NO_DIRECT', step: 'choose-transport' });
  t.match(failure?.message, /alpha cannot log in at server beta.*beta cannot log in at server alpha/);
  await nothingIsLeft(t);
});

void t.test('Relay is obeyed, and no credential is ever made', async (t) => {
  await move('relay', { transport: 'Relay' });
  const status = await ended('relay');
  t.match(status.transport, { mode: 'Relay', reason: 'spec.transport is Relay' });
  t.equal(status.jobs, undefined);
});

void t.test('a user who is only in group docker: both ways, with a key where no agent is forwarded', async (t) => {
  await loginAs('deploy');
  t.teardown(() => loginAs('root'));
  await move('deploy-forward', { transport: 'Direct' });
  const before = await sumOf('alpha');
  t.match((await ended('deploy-forward')).transport, {
    mode: 'Direct',
    direction: 'SourceToTarget',
    credential: 'Agent',
  });
  t.equal(await sumOf('beta'), before);
  await nothingIsLeft(t);

  await refuse('beta', 'alpha');
  t.teardown(() => allow('beta', 'alpha'));
  await allowAgents('beta', false);
  t.teardown(() => allowAgents('beta', true));
  await reconnect('beta');
  await move('deploy-back', {});
  const { transport } = await ended('deploy-back');
  t.match(transport, { mode: 'Direct', direction: 'TargetToSource', credential: 'Key', reason: /forwarded SSH agent/ });
  await nothingIsLeft(t);
});

async function allowAgents(server: ServerName, yes: boolean): Promise<void> {
  const word = yes ? 'yes' : 'no';
  await sh(
    server,
    'sed -i "s/^AllowAgentForwarding .*/AllowAgentForwarding $1/" /etc/ssh/sshd_config && kill -HUP $(cat /run/sshd.pid)',
    word,
  );
}

/** sshd reads its configuration for each new connection. */
async function reconnect(server: ServerName): Promise<void> {
  await sh(server, 'pkill -f "^sshd: (root|deploy)@notty" || true');
}

void t.test('a server that does not show the pinned host key is not logged in at', async (t) => {
  // Somebody answers at the target's address, for the source only.
  await sh(
    'beta',
    `ssh-keygen -q -t ed25519 -N '' -f /tmp/other-key
     /usr/sbin/sshd -f /etc/ssh/sshd_config -p 2222 -h /tmp/other-key -o PidFile=/tmp/other.pid -o HostKeyAlgorithms=ssh-ed25519`,
  );
  const redirect = 'iptables -w -t nat "$2" OUTPUT -p tcp -d "$1" --dport 22 -j DNAT --to-destination "$1":2222';
  await sh('alpha', redirect, address.beta, '-I');
  t.teardown(async () => {
    await sh('alpha', redirect, address.beta, '-D');
    await sh('beta', 'kill $(cat /tmp/other.pid); rm -f /tmp/other*');
  });
  await move('imposter', {});
  const { transport } = await ended('imposter');
  t.match(transport, { direction: 'TargetToSource', reason: /[Hh]ost key/ });
  await nothingIsLeft(t);
});

/** The process that copies on alpha, once it does. */
async function copyingJob(name: string): Promise<string> {
  await gridferry.until(name, ({ status }) => status?.jobs?.some(({ state }) => state === 'Running') === true);
  return sh('alpha', 'cut -d " " -f 1-2 /root/.local/state/gridferry/transfers/*/jobs/copy-*/pid');
}

void t.test('a copy goes on without the controller, which takes it over again', async (t) => {
  await move('cut', { transport: 'Direct', bandwidthLimit: '4Mi' }, 24);
  const job = await copyingJob('cut');
  await reconnect('alpha');
  const begun = ({ status }: Transfer): number => status?.steps?.find(({ name }) => name === 'upload')?.attempts ?? 0;
  await gridferry.until('cut', (transfer) => begun(transfer) > 1);
  t.equal(await copyingJob('cut'), job, 'it is the same process');
  const before = await sumOf('alpha');
  const { jobs } = await ended('cut');
  t.equal(jobs?.filter(({ name }) => name.startsWith('copy-')).length, 1, 'the copy was not');
  t.equal(await sumOf('beta'), before);
  await nothingIsLeft(t);
});

void t.test('cancel ends a copy that runs by itself, and everything around it', async (t) => {
  await move('cancelled', { transport: 'Direct', bandwidthLimit: '1Mi' }, 24);
  const job = await copyingJob('cancelled');
  await gridferry.change('cancelled', { cancel: true });
  await ended('cancelled', 'Cancelled');
  t.equal(await sh('alpha', 'ps -o pid= -p "$1" || true', job.split(' ')[0] ?? ''), '');
  await nothingIsLeft(t);
});

void t.test('when the connection between the servers breaks, the controller carries on', async (t) => {
  await move('broken', { bandwidthLimit: '4Mi' }, 16);
  await copyingJob('broken');
  await Promise.all([refuse('beta', 'alpha'), refuse('alpha', 'beta')]);
  t.teardown(() => Promise.all([allow('beta', 'alpha'), allow('alpha', 'beta')]));
  await sh('alpha', 'kill $(cut -d " " -f 1 /root/.local/state/gridferry/transfers/*/master.pid) 2>/dev/null || true');
  const before = await sumOf('alpha');
  const { transport } = await ended('broken');
  t.match(transport, { mode: 'Relay', reason: /the direct way was left/ });
  t.equal(await sumOf('beta'), before);
  await nothingIsLeft(t);
});
