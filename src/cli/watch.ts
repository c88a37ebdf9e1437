import type { Command } from 'commander';
import { withHomeOptions } from './home-options.ts';
import type { HomeOptions } from './home-options.ts';

export function registerWatch(program: Command): void {
  withHomeOptions(program.command('watch'))
    .argument('[transfers...]', 'default: all of the namespace')
    .action(async (words: string[], options: HomeOptions) => {
      const [{ untilInterrupted, withHome }, { createLiveView, followTransfers }, { transferName }, { systemClock }] =
        await Promise.all([
          import('./home.ts'),
          import('./live-view.ts'),
          import('./transfer-log.ts'),
          import('../runtime/clock.ts'),
        ]);
      const names = words.map(transferName);
      await withHome(options, async (client, namespace) => {
        const view = createLiveView({ stream: process.stdout, clock: systemClock });
        const signal = untilInterrupted();
        try {
          await followTransfers({ client, view, clock: systemClock, namespace, names, signal });
        } finally {
          view.close();
        }
      });
    });
}
