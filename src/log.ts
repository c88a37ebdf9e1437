import { createRequire } from 'node:module';
import { pino } from 'pino';
import type { DestinationStream, Level, Logger } from 'pino';
import type { Redactor } from './security/redact.ts';

export interface LogOptions {
  readonly level: Level | 'silent';
  /** For people instead of machines. Default: when the destination is a terminal. */
  readonly pretty?: boolean;
  readonly redactor: Redactor;
  /** Default: standard error, so that standard output stays for results. */
  readonly destination?: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

/**
 * The program's logger. Every line goes through the redactor as a whole, after pino made it, so that nothing gets
 * around it: fields, bindings of child loggers, messages, stacks.
 */
export function createLogger(options: LogOptions): Logger {
  const destination = options.destination ?? process.stderr;
  const pretty = options.pretty ?? destination.isTTY === true;
  const print = pretty ? prettyPrinter(destination) : (line: string) => void destination.write(line);
  const redacted: DestinationStream = { write: (line) => print(redactLine(line, options.redactor)) };
  return pino({ level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, redacted);
}

function redactLine(line: string, redactor: Redactor): string {
  return `${JSON.stringify(redactor.redactObject(JSON.parse(line)))}\n`;
}

function prettyPrinter(destination: NodeJS.WritableStream): (line: string) => void {
  // Loaded only for a terminal: machines need not pay for it.
  const require = createRequire(import.meta.url);
  const { prettyFactory } = require('pino-pretty') as typeof import('pino-pretty');
  const format = prettyFactory({ colorize: true, translateTime: 'SYS:HH:MM:ss.l' });
  return (line) => void destination.write(format(line));
}
