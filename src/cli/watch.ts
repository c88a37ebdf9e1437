import type { Command } from 'commander';
import type { HomeOptions } from './home.ts';

export function registerWatch(program: Command): void {
  program
    .command('watch')
    .summary('show transfers as they go on: phase, step, bar, rate, time left')
    .argument('[transfers...]', 'default: all of the namespace')
    .option('-n, --namespace <name>', 'namespace to look in', 'default')
    .option('--state <directory>', 'state of the run to look at')
    .action(async (words: string[], options: HomeOptions & { readonly namespace: string }) => {
      const [{ untilInterrupted, withHome }, { createLiveView, followTransfers }, { transferName }, { systemClock }] =
        await Promise.all([
          import('./home.ts'),
          import('./live-view.ts'),
          import('./transfer-log.ts'),
          import('../runtime/clock.ts'),
        ]);
      const names = words.map(transferName);
      await withHome(options, async (client) => {
        const view = createLiveView({ stream: process.stdout, clock: systemClock });
        const signal = untilInterrupted();
        try {
          await followTransfers({ client, view, clock: systemClock, namespace: options.namespace, names, signal });
        } finally {
          view.close();
        }
      });
    });
}
