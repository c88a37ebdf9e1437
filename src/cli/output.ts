/** Data goes to standard output, everything else to standard error, so that a pipe gets data only. */
export interface Output {
  readonly isTTY: boolean;
  print(text: string): void;
  note(text: string): void;
}

export const standardOutput: Output = {
  get isTTY() {
    return process.stdout.isTTY;
  },
  print: (text) => void process.stdout.write(`${text}\n`),
  note: (text) => void process.stderr.write(`${text}\n`),
};

/** A reader that has seen enough (`gridferry get | head -1`) ends the program in silence, as it does other programs. */
export function endWithTheReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
      throw error;
    });
  }
}

/** Colours and redrawing only where a person looks (https://no-color.org). */
export function wantsColor(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): boolean {
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return false;
  return stream.isTTY === true && env['TERM'] !== 'dumb';
}
