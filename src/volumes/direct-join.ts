import type { JobEnd } from '../jobs/detached-job.ts';
import { shellQuote } from '../security/shell-quote.ts';
import { overConnection, PEER } from '../ssh/ssh-client.ts';

/**
 * A job that joins a program here (its arguments after two) with one at the other server: `sh -c JOIN sh REQUEST HELD …`.
 * Both are started at once; what goes into HELD (`near` or `far`) is held back until a line is written to the pipe `gate`.
 * An rsync that has not heard the other's version yet has not looked at its files (see `openRsync`), so the one that is
 * held is the sending one: and little goes its way, so that passing it on costs nothing. Each end sees the other's. How
 * both ended is the last line of the log.
 */
const JOIN = `mkfifo gate to from near far || exit 112
( cd ../.. && exec ${shellQuote(overConnection(PEER))} "$1" ) <to >from &
connection=$!
exec 3>to 4<from
held=$2
shift 2
release() { read -r word <gate && exec cat; }
if [ "$held" = near ]; then
  release <&4 >near 3>&- &
  "$@" >&3 <near 3>&- 4<&- &
else
  release <far >&3 4<&- &
  "$@" >far <&4 3>&- 4<&- &
fi
program=$!
exec 3>&- 4<&-
wait $program
ended=$?
wait $connection
printf '\\nGFJOIN %s %s\\n' "$ended" "$?"
`;

/**
 * @param request what to ask of the door at the other server.
 * @param sender which of the two sends.
 */
export function joinScript(request: string, sender: 'near' | 'far', near: readonly string[]): string {
  return `exec ${shellQuote(['sh', '-c', JOIN, 'sh', request, sender, ...near])}`;
}

export interface Joined {
  /** Exit codes of the program on the dialling server, and of the one it was joined with. */
  readonly near: number;
  readonly far: number;
  /** As rsync counts it, in both directions. */
  readonly bytesOnWire: number;
}

/** Reads how a job ended that joined two rsyncs; `undefined` when it did not come to its end. */
export function parseJoin({ state, log }: JobEnd): Joined | undefined {
  const codes = /\nGFJOIN (\d+) (\d+)\n?$/.exec(log);
  if (state.kind !== 'ended' || codes === null) return undefined;
  const bytes = [...log.matchAll(/^Total bytes (?:sent|received): ([\d,]+)/gm)];
  return {
    near: Number(codes[1]),
    far: Number(codes[2]),
    bytesOnWire: bytes.reduce((sum, [, digits = '0']) => sum + Number(digits.replaceAll(',', '')), 0),
  };
}
