import { Command } from 'commander';
import { commandEntries } from './commands.ts';
import { overview } from './overview.ts';

/**
 * The command line. Of each command only its name and summary are there until it is loaded, so that the program starts
 * fast; `used` are the words that may name one.
 */
export async function createProgram(used: readonly string[]): Promise<Command> {
  const program = new Command('gridferry');
  program.helpCommand('help [command]', 'show how to use a command');
  program.helpInformation = () => overview();
  // What may be typed next is known to all commands together.
  const all = used.includes('__complete');
  for (const { name, summary, hidden = false, load } of commandEntries) {
    if (all || used.includes(name)) {
      (await load())(program);
      program.commands.at(-1)?.summary(summary);
    } else {
      program.command(name, { hidden }).summary(summary);
    }
  }
  for (const command of everyCommand(program)) {
    command.exitOverride().showHelpAfterError(false);
    command.configureOutput({ outputError: () => undefined });
  }
  return program;
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}
