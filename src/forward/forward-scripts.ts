/**
 * What runs in the helper container, with the server's own `iptables`. `-w` waits for others that change rules. No script
 * is built from anything: what differs comes as arguments.
 */

/** Where a login without a profile may not look. */
const path = 'PATH=$PATH:/usr/sbin:/sbin';

/** `drop PROGRAM CHAIN`: takes away a chain, and what leads to it, from both tables. What is not there is fine. */
const dropFunction = `${path}
drop() {
  command -v "$1" >/dev/null || return 0
  for table in nat filter; do
    for chain in "$2" "$2-M"; do
      "$1" -w 10 -t "$table" -S 2>/dev/null | grep -e "^-A .* -j $chain\\$" | sed 's/^-A/-D/' | while read -r rule; do
        # Unquoted: the words of a rule that leads to our chain hold no spaces.
        "$1" -w 10 -t "$table" $rule
      done
      "$1" -w 10 -t "$table" -F "$chain" 2>/dev/null && "$1" -w 10 -t "$table" -X "$chain"
    done
  done
  return 0
}
`;

/** Arguments: the programs as one word, then chains. */
export const dropScript = `set -f
${dropFunction}
programs=$1
shift
for one; do
  for program in $programs; do drop "$program" "$one"; done
done
`;

/**
 * The helper's own life. Arguments: when to end, in seconds since 1970, and the chain to take away then. Told to stop
 * before, by a restart of dockerd, it leaves the rules alone: they end by their own date.
 */
export const timerScript = `set -f
${dropFunction}
trap 'exit 0' TERM INT
while now=$(date +%s) && [ "$now" -lt "$1" ]; do
  left=$(($1 - now))
  [ "$left" -le 60 ] || left=60 # a clock that is set is noticed
  sleep "$left" & wait $!
done
drop iptables "$2"
drop ip6tables "$2"
`;

/**
 * Arguments: program, chain, loopback, sysctl, input of iptables-restore. First the content, then the ways to it, so that
 * there is no instant in which a connection is caught and not let through.
 *
 * A connection that is passed on is accepted only after DOCKER-USER, where users keep their own rules about who may
 * connect to published ports.
 */
export const installScript = `set -eu
${path}
program=$1 chain=$2 loopback=$3
command -v "$program" >/dev/null || { echo "$program is not installed there" >&2; exit 3; }
[ "$(cat "/proc/sys/$4")" != 0 ] || { echo "its kernel passes no packets on (/proc/sys/$4 is 0)" >&2; exit 3; }
printf '%s' "$5" | "$program-restore" -w 10 --noflush
lead() {
  table=$1 base=$2 position=$3
  shift 3
  "$program" -w 10 -t "$table" -C "$base" "$@" -j "$to" 2>/dev/null ||
    "$program" -w 10 -t "$table" -I "$base" "$position" "$@" -j "$to"
}
users=$("$program" -w 10 -S FORWARD | grep -e '^-A' | grep -n -m 1 -e '-j DOCKER-USER$' | cut -d : -f 1)
to=$chain lead filter FORWARD $((\${users:-0} + 1))
to=$chain-M lead nat POSTROUTING 1
to=$chain lead nat PREROUTING 1 -m addrtype --dst-type LOCAL
to=$chain lead nat OUTPUT 1 ! -d "$loopback" -m addrtype --dst-type LOCAL
`;

/** The server's time on the first line, then its rules. */
export const listScript = `${path}
date +%s
for program in iptables ip6tables; do
  if command -v "$program" >/dev/null; then "$program" -w 10 -t nat -S 2>/dev/null; fi
done
true
`;
