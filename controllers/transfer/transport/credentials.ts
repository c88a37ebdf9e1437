import type { TransferStatus } from '../../../src/api/resources.ts';
import type { TransferContext } from '../context.ts';
import type { StatusChange } from '../step.ts';
import { uidOf } from '../work.ts';

type Credential = NonNullable<TransferStatus['credentials']>[number];

/**
 * Writes down where credentials for the direct path may come to be: before the first is made, since a process may die
 * between making one and saying so. They stay on the list until both servers were seen without them.
 */
export function expectCredentials({ transfer, sourceServer, targetServer }: TransferContext): StatusChange {
  if (transfer.spec.transport === 'Relay') return () => undefined;
  const credentials = [sourceServer, targetServer].flatMap(({ metadata: { name }, spec }): Credential[] => [
    ...(spec.local ? [] : [{ name: `${name}-authorized-keys`, kind: 'AuthorizedKey' as const, server: name }]),
    { name: `${name}-key-file`, kind: 'KeyFile', server: name },
  ]);
  return (status, condition) => {
    status.credentials = structuredClone(credentials);
    condition('CredentialsScrubbed', 'False', 'InUse', 'the direct path may need them until the transfer is over');
  };
}

/**
 * Takes every credential of the transfer off both servers, with the jobs and connections that they were for, and sees them
 * gone.
 */
export async function scrubCredentials(context: TransferContext): Promise<StatusChange> {
  const { session, transfer, status, dataPlane, signal } = context;
  session.route.forget();
  const servers = new Set(status.credentials?.map(({ server }) => server));
  const sides = [
    { server: context.sourceServer, connect: () => session.source(context) },
    { server: context.targetServer, connect: () => session.target(context) },
  ];
  await Promise.all(
    sides
      .filter(({ server }) => servers.has(server.metadata.name))
      .map(async ({ connect }) => dataPlane.scrubServer((await connect()).host, uidOf({ transfer }), signal)),
  );
  return (freshest, condition) => {
    delete freshest.credentials;
    for (const job of freshest.jobs ?? []) if (job.state === 'Running') job.state = 'Failed';
    condition('CredentialsScrubbed', 'True', 'SeenGone', 'no credential of this transfer is on any server');
  };
}

/** Ends copies that an earlier process set to work and that go on by themselves: what they write is to be undone. */
export async function stopCopies(context: TransferContext): Promise<void> {
  const { status, session, dataPlane, transfer, signal } = context;
  if (status.credentials === undefined) return;
  const ends = await Promise.all([session.source(context), session.target(context)]);
  await Promise.all(ends.map(({ host }) => dataPlane.stopPrograms(host, uidOf({ transfer }), {}, signal)));
}

/** What a transfer that is over says of its credentials. */
export function judgeCredentials({
  credentials = [],
}: Readonly<TransferStatus>): Parameters<Parameters<StatusChange>[1]> {
  if (credentials.length === 0) {
    return ['CredentialsScrubbed', 'True', 'SeenGone', 'no credential of this transfer is on any server'];
  }
  const servers = [...new Set(credentials.map(({ server }) => server))].join(' and ');
  return [
    'CredentialsScrubbed',
    'False',
    'StillThere',
    `credentials may still be on ${servers}; their removal is tried again until it was seen`,
  ];
}
