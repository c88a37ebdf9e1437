import type { CommanderError } from 'commander';
import { describeError, ExitCode } from './cli-error.ts';
import { endWithTheReader } from './output.ts';
import { overview } from './overview.ts';

/** Runs one command line and sets the exit code: 0 ok, 1 something failed, 2 bad input or usage. */
export async function main(argv: readonly string[]): Promise<void> {
  endWithTheReader();
  const [word = '--help', ...more] = argv.slice(2);
  if (more.length === 0 && ['--help', '-h', 'help'].includes(word)) {
    process.stdout.write(overview());
    return;
  }
  try {
    const { createProgram } = await import('./program.ts');
    // `gridferry get …`, or `gridferry help get`.
    const program = await createProgram(argv.slice(2, 4));
    await program.parseAsync(argv);
  } catch (error) {
    if (isUsageError(error)) reportUsage(error);
    else report(error);
  }
}

function report(error: unknown): void {
  const { text, exitCode } = describeError(error);
  process.stderr.write(`${text}\n`);
  process.exitCode = exitCode;
}

/** Told by its name: the module that defines it is not loaded before it is needed. */
function isUsageError(error: unknown): error is CommanderError {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('commander.');
}

/** Commander's own complaints, in the form of all others. */
function reportUsage(error: CommanderError): void {
  // `--help` and `help` come as errors with the code 0, after the help was printed.
  if (error.exitCode === 0) return;
  process.exitCode = ExitCode.usage;
  if (error.code === 'commander.help') return;
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const code = error.code === 'commander.unknownCommand' ? 'GF_CLI_UNKNOWN_COMMAND' : 'GF_CLI_USAGE';
  const hint = rest.join(' ').replace(/^\((.*)\)$/, '$1');
  process.stderr.write(
    `error ${code}: ${first}${hint === '' ? '; see gridferry --help' : `; ${hint.charAt(0).toLowerCase()}${hint.slice(1)}`}\n`,
  );
}
