import { GridferryError } from '../errors.ts';
import { redactPatterns } from '../security/secret-patterns.ts';
import { checkArgument, shellQuote } from '../security/shell-quote.ts';
import { guardedCommand } from './fence.ts';
import type { Fence } from './fence.ts';

/** Linux allows one argument of 128 KiB, and the login shell gets the whole command line as one. */
const LONGEST_COMMAND_LINE = 128 * 1024 - 64;

/** The variable that marks a program started through sudo, so that it can be found again and be ended. */
export const RUN_MARK = 'GRIDFERRY_RUN';

export interface CommandLineOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Through `sudo -n`, marked with this id. */
  readonly sudoMark?: string;
  /** Started only while the server follows this epoch. */
  readonly fence?: Fence;
}

/**
 * The argument vector that really runs: `env` looks the program up on the PATH and nowhere else, so that no builtin,
 * keyword, alias or function of a login shell stands in for it; and a missing program is exit code 127 everywhere.
 *
 * The variables are on the command line, where every user of that machine can read them: never a secret.
 */
export function envCommand(argv: readonly string[], env: Readonly<Record<string, string>> = {}): string[] {
  const [program = ''] = argv;
  if (program === '' || program.startsWith('-') || program.includes('=')) {
    throw new GridferryError('GF_COMMAND_BAD_ARGUMENT', `'${program}' cannot be the name of a program: give its path.`);
  }
  const variables = Object.entries(env).map(([name, value]) => {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw new GridferryError('GF_COMMAND_BAD_ARGUMENT', `'${name}' cannot be the name of a variable.`);
    }
    return `${name}=${value}`;
  });
  const command = ['env', ...variables, ...argv];
  command.forEach(checkArgument);
  return command;
}

export function sudoCommand(argv: readonly string[]): string[] {
  return ['sudo', '-n', '--', ...argv];
}

/**
 * What to hand to a login shell, whichever it is. `exec`, so that signals reach the program itself and its own exit
 * status comes back.
 */
export function commandLine(argv: readonly string[], options: CommandLineOptions = {}): string {
  const { env, sudoMark, fence } = options;
  const command =
    sudoMark === undefined ? envCommand(argv, env) : sudoCommand(envCommand(argv, { ...env, [RUN_MARK]: sudoMark }));
  const line = `exec ${shellQuote(fence === undefined ? command : guardedCommand(command, fence))}`;
  if (Buffer.byteLength(line) > LONGEST_COMMAND_LINE) {
    throw new GridferryError(
      'GF_COMMAND_BAD_ARGUMENT',
      `The arguments of ${argv[0] ?? ''} are too long for one command line: pass them on its standard input.`,
    );
  }
  return line;
}

/** A command as a message may show it: short, on one line, without what looks like a secret. */
export function describeCommand(argv: readonly string[]): string {
  const text = redactPatterns(argv.join(' ')).replace(/\s*\n[\s\S]*$/, ' …');
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}
