import { Option } from 'commander';
import type { Command } from 'commander';

interface ValidateOptions {
  readonly namespace: string;
  readonly output: 'text' | 'json';
  readonly secretsDir?: string;
}

export function registerValidate(program: Command): void {
  program
    .command('validate')
    .description(
      'Prints every problem as file:line:column. Ends with 0 when there is none but warnings, with 2 otherwise.',
    )
    .argument('<directory>', 'directory of manifests, or one file')
    .option('--namespace <name>', 'namespace of objects that name none', 'default')
    .option('--secrets-dir <directory>', 'where to look for secrets that are not among the manifests')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text'))
    .action(async (directory: string, options: ValidateOptions) => {
      const [{ validateDirectory }, { formatProblemAt }, { standardOutput }, { ExitCode }] = await Promise.all([
        import('./validate-directory.ts'),
        import('./problem-line.ts'),
        import('./output.ts'),
        import('./cli-error.ts'),
      ]);
      const { base, objects, files, problems } = await validateDirectory(directory, options);
      const errors = problems.filter(({ severity }) => severity === 'error').length;
      const warnings = problems.length - errors;
      if (options.output === 'json') {
        standardOutput.print(JSON.stringify({ valid: errors === 0, objects, files, problems }, undefined, 2));
      } else {
        for (const problem of problems) standardOutput.print(formatProblemAt(base, problem));
      }
      const found =
        problems.length === 0
          ? 'no problem'
          : `${count(errors, 'error')}${warnings === 0 ? '' : `, ${count(warnings, 'warning')}`}`;
      standardOutput.note(`${count(objects, 'object')} in ${count(files, 'file')}: ${found}`);
      process.exitCode = errors === 0 ? ExitCode.ok : ExitCode.usage;
    });
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
