import { shellQuote } from '../security/shell-quote.ts';
import { openDoor } from './door.ts';
import { isLinkOpen, linkFailed } from './server-link.ts';
import type { ServerLink } from './server-link.ts';
import { overConnection, PEER } from './ssh-client.ts';
import { FOLDER } from './transfer-folder.ts';

/** Less cannot be told from what asking the time costs, in ms. */
const FINEST_MS = 0.1;

/**
 * Time of the shortest of a few lines sent to `cat` and back, without what asking the time costs, in microseconds; and
 * how many bytes of zeros come back in a second, from a size on that takes a while.
 */
const MEASURE = `${FOLDER}
cd "$folder/pipes" || exit 1
to=$$.to back=$$.back
trap 'rm -f "$to" "$back"' EXIT
mkfifo "$to" "$back" || exit 1
now() { date +%s%N; }
(cd .. && exec ${shellQuote(overConnection(PEER))} "$2") <"$to" >"$back" &
exec 3>"$to" 4<"$back"
echo warm >&3; read -r line <&4 || exit 1
least= cost=
for round in 1 2 3 4 5; do
  began=$(now); between=$(now); echo "$round" >&3; read -r line <&4 || exit 1; ended=$(now)
  case $began in *N*) exit 1 ;; esac
  took=$(((ended - between) / 1000)) asking=$(((between - began) / 1000))
  [ -n "$least" ] && [ "$least" -le "$took" ] || least=$took
  [ -n "$cost" ] && [ "$cost" -le "$asking" ] || cost=$asking
done
rate=
for size in 262144 1048576 4194304 16777216; do
  began=$(now)
  head -c "$size" /dev/zero >&3 &
  head -c "$size" <&4 >/dev/null || exit 1
  wait $! || exit 1
  took=$((($(now) - began) / 1000))
  [ "$took" -le 0 ] || rate=$((size * 1000000 / took))
  [ "$took" -lt 50000 ] || break
done
echo "$((least - cost)) $rate"
`;

/** What was measured of a link. */
export interface LinkSpeed {
  /** In milliseconds. */
  readonly roundTripMs: number;
  /** In one direction while as much comes back. */
  readonly bytesPerSecond?: number;
}

/**
 * Sends a few lines to the other server and back, through the connection, and then more.
 *
 * @returns `undefined` where the server's clock has no fractions.
 * @throws `GF_LINK_FAILED` when nothing comes back.
 */
export async function measureLink(link: ServerLink, signal?: AbortSignal): Promise<LinkSpeed | undefined> {
  const cancellable = signal === undefined ? {} : { signal };
  const door = await openDoor(link.other, link.id, ['cat'], signal);
  let isUsed = false;
  try {
    const argv = ['sh', '-c', MEASURE, 'sh', link.id, door.request];
    const { exitCode, stdout, stderr } = await link.dialler.exec(argv, { allowFailure: true, ...cancellable });
    const [micros = NaN, rate = 0] = stdout.trim().split(' ').filter(Boolean).map(Number);
    // Whoever answered came through the door, which opens once.
    isUsed = exitCode === 0;
    if (exitCode === 0 && !Number.isNaN(micros)) {
      return { roundTripMs: Math.max(FINEST_MS, micros / 1000), ...(rate > 0 ? { bytesPerSecond: rate } : {}) };
    }
    if (stderr.trim() === '' && (await isLinkOpen(link, signal))) return undefined;
    throw linkFailed({ dialler: { host: link.dialler }, other: { host: link.other } }, stderr);
  } finally {
    if (!isUsed) await door.close();
  }
}
