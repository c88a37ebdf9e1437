import { setTimeout as delay } from 'node:timers/promises';
import type { TransferSpec, TransferStatus } from '../../src/api/resources.ts';
import { startCloudflareStandIn } from '../../src/sandbox/cloudflare-stand-in.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { startGridferry } from '../../test/support/gridferry.ts';
import { lookupAt, startHttpClients } from '../../test/support/http-clients.ts';
import { keepAliveImage } from '../../test/support/keep-alive-service.ts';
import type { Row } from './report.ts';
import { openWorkshop } from './workshop.ts';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
const ZONE = 'example.test';
const STRATEGIES = ['Auto', 'StopFirst'] as const;
const PORT = 8080;

type Strategy = (typeof STRATEGIES)[number];

interface Count {
  answered: number;
  failed: number;
}

/**
 * Requests that fail while a service without data moves: of clients that follow DNS, and of clients that keep to the old
 * address, each with new connections, with one that is kept open, and with requests that take two seconds. Against the same
 * move with the source stopped first.
 */
export async function statelessRows(): Promise<Row[]> {
  const workshop = await openWorkshop({ name: 'bench-stateless', subnet: '10.99.73.0/24' });
  const rounds = Array.from({ length: ROUNDS }, (_, index) => index + 1);
  const records = rounds.flatMap((round) =>
    STRATEGIES.map((strategy) => ({
      name: publicName(strategy, round),
      type: 'A',
      content: workshop.address('alpha'),
      ttl: 300,
      proxied: false,
    })),
  );
  const cloudflare = await startCloudflareStandIn({ token: 'token', zones: [{ name: ZONE, records }] });
  const gridferry = await startGridferry();
  try {
    await importTinyImage(workshop.name, 'alpha', 'stateless:1', keepAliveImage);
    await Promise.all([gridferry.addServers(workshop.fleet)]);
    await gridferry.addPlatform(ZONE, cloudflare, 'token');

    /** Moves it, and takes everything away again. */
    const move = async (strategy: Strategy, round: number, count: Count): Promise<void> => {
      const name = publicName(strategy, round);
      await workshop.exec('alpha', [
        ...['docker', 'run', '-d', '--name', 'stateless', '-p', `${String(PORT)}:80`, 'stateless:1'],
      ]);
      const clients = [
        startHttpClients(name, PORT, lookupAt(cloudflare.dnsAddress)),
        startHttpClients(workshop.address('alpha'), PORT),
      ];
      await delay(1000);
      const spec = { container: 'stateless', strategy, dns: { name }, connectionDrain: '5s', forwardFor: '15s' };
      await gridferry.transfer(name, spec as unknown as TransferSpec);
      const { status } = await gridferry.ended(name);
      await delay(1000);
      await Promise.all(clients.map((one) => one.stop()));
      expect(status, strategy === 'Auto' ? 'StartFirst' : 'StopFirst');
      for (const { answered, failures } of clients) {
        count.answered += answered();
        count.failed += failures.length;
        for (const failure of failures.slice(0, 3)) console.log(`${strategy}: ${failure}`);
      }
      for (const server of ['alpha', 'beta']) await workshop.exec(server, ['docker', 'rm', '-f', 'stateless']);
      const drop = `until [ -z "$(iptables-save | grep GRIDFERRY)" ]; do sleep 0.2; done`;
      await workshop.exec('alpha', ['sh', '-c', drop]);
    };
    const ours: Count = { answered: 0, failed: 0 };
    const baseline: Count = { answered: 0, failed: 0 };
    for (const round of rounds) {
      await move('Auto', round, ours);
      await move('StopFirst', round, baseline);
    }
    const show = ({ failed, answered }: Count): string => `${String(failed)} of ${String(failed + answered)}`;
    return [
      {
        what: `stateless move: failed requests, ${String(ROUNDS)} moves`,
        ours: show(ours),
        against: 'the same, StopFirst',
        baseline: show(baseline),
        ratio: ours.failed / baseline.failed,
        goal: '0',
        met: ours.failed === 0 && ours.answered > 0,
      },
    ];
  } finally {
    await gridferry.stop();
    await cloudflare.close();
    await workshop.close();
  }
}

function publicName(strategy: Strategy, round: number): string {
  return `${strategy.toLowerCase()}-${String(round)}.${ZONE}`;
}

function expect(status: TransferStatus | undefined, strategy: string): void {
  if (status?.phase === 'Completed' && status.strategy === strategy) return;
  throw new Error(`expected ${strategy}: ${JSON.stringify(status, null, 1)}`);
}
