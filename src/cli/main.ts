import { Command, CommanderError } from 'commander';
import { describeError, ExitCode } from './cli-error.ts';
import { registerCompletion } from './completion.ts';
import { registerDescribe } from './describe.ts';
import { registerEvents } from './events.ts';
import { registerGet } from './get.ts';
import { registerLogs } from './logs.ts';
import { endWithTheReader } from './output.ts';
import { registerRun } from './run.ts';
import { registerSandbox } from './sandbox.ts';
import { registerValidate } from './validate.ts';
import { registerVersion } from './version.ts';
import { registerWatch } from './watch.ts';

/** The command line. Each command imports what it needs when it runs, so that `--help` stays fast. */
export function createProgram(): Command {
  const program = new Command('gridferry');
  program
    .description(
      'Moves services between plain Docker servers, declaratively: YAML in a directory says what shall be where.',
    )
    .helpCommand('help [command]', 'show how to use a command')
    .addHelpText('after', '\nStart with:  gridferry run <directory>   and look at it with:  gridferry get all');
  for (const register of [
    registerRun,
    registerValidate,
    registerGet,
    registerDescribe,
    registerWatch,
    registerLogs,
    registerEvents,
    registerSandbox,
    registerCompletion,
    registerVersion,
  ]) {
    register(program);
  }
  for (const command of everyCommand(program)) {
    command.exitOverride().showHelpAfterError(false);
    command.configureOutput({ outputError: () => undefined });
  }
  return program;
}

/** Runs one command line and sets the exit code: 0 ok, 1 something failed, 2 bad input or usage. */
export async function main(argv: readonly string[]): Promise<void> {
  endWithTheReader();
  const program = createProgram();
  try {
    if (argv.length <= 2) {
      program.outputHelp();
      return;
    }
    await program.parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError) reportUsage(error);
    else report(error);
  }
}

function report(error: unknown): void {
  const { text, exitCode } = describeError(error);
  process.stderr.write(`${text}\n`);
  process.exitCode = exitCode;
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

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}
