import { Option } from 'commander';
import type { Command } from 'commander';
import { withHomeOptions } from './home-options.ts';
import type { HomeOptions } from './home-options.ts';

interface PlanOptions extends HomeOptions {
  readonly filename: string;
  readonly secretsDir?: string;
  readonly output: 'text' | 'json' | 'yaml';
  readonly timeout: string;
}

export function registerPlan(program: Command): void {
  withHomeOptions(program.command('plan'))
    .description(
      'Says what the transfers of a file would do: the steps, the bytes, how long it would take and how long the service ' +
        'would be down, and everything that stands in the way. Nothing is changed, neither on the servers nor in the home: ' +
        'the plan is made in this process, which reads the servers itself.\n\n' +
        'Servers, services and secrets that the file does not hold are those of the home, where there is one. Ends with 0, ' +
        'or with 1 when something stands in the way.',
    )
    .usage('[options] -f <file|directory>')
    .requiredOption('-f, --filename <file>', 'manifests: a file, a directory, or - for standard input')
    .option('--secrets-dir <directory>', 'secrets as files, as for "gridferry run"')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json', 'yaml']).default('text'))
    .option('--timeout <duration>', 'how long to wait for the plans', '10m')
    .action(async (options: PlanOptions) => {
      const [
        { readManifests },
        { withHomeIfAny },
        { planTransfers },
        { printPlans },
        { parseDuration },
        { untilInterrupted },
        { ExitCode },
      ] = await Promise.all([
        import('./plan-input.ts'),
        import('./home.ts'),
        import('./plan-transfers.ts'),
        import('./plan-view.ts'),
        import('../runtime/duration.ts'),
        import('./home.ts'),
        import('./cli-error.ts'),
      ]);
      const planned = await withHomeIfAny(options, async (home, namespace) => {
        const objects = await readManifests(options.filename, namespace);
        return planTransfers({
          objects,
          home,
          signal: untilInterrupted(),
          timeoutMs: parseDuration(options.timeout),
          ...(options.secretsDir === undefined ? {} : { secretsDirectory: options.secretsDir }),
        });
      });
      printPlans(planned, options.output);
      const blocked = planned.some(({ status }) => (status?.plan?.blockers.length ?? 0) > 0);
      process.exitCode = blocked ? ExitCode.failed : ExitCode.ok;
    });
}
