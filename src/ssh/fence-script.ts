/** The exit code of a program that was not started because the fence no longer has its epoch. */
export const FENCED_EXIT = 197;

/**
 * Runs a program only while the fence has this epoch: `sh -c GUARD sh KEY EPOCH PROGRAM…`. Two builtins and an `exec`: it
 * starts no process of its own.
 */
export const GUARD_SCRIPT = `newest=
{ read -r newest <"\${XDG_STATE_HOME:-$HOME/.local/state}/gridferry/fence/$1"; } 2>/dev/null
[ "$newest" = "$2" ] || exit ${FENCED_EXIT}
shift 2
exec "$@"`;

/** What a claim answers begins so, on the last line: a login shell may have said something before. */
export const CLAIM_MARK = 'gridferry-fence';

/**
 * Claims a server for an epoch: `sh -c CLAIM sh KEY EPOCH`, run as the login user of the connection. POSIX sh, as dash and
 * busybox are; nothing that is not on every Linux machine.
 *
 * The file of a home holds the newest epoch seen, then a line for each connection: its epoch, the boot, its sshd's pid and
 * start time. Under a lock, and in this order: refuse when the file has a newer epoch; write epoch and connection; end the
 * sshd of every connection with an older epoch, and what it runs. So when the claim is answered, nothing that an older
 * leader has sent, or will send, over a connection can begin any more; and a claim that dies half-way is completed by the
 * next one, as the connections to be ended stay in the file until they are gone.
 *
 * Answers `raised`, `held` (the epoch was there), `newer EPOCH`, `stuck PID`, `unsupported NAME` or `busy`.
 */
export const CLAIM_SCRIPT = `
umask 077
key=$1 epoch=$2
dir=\${XDG_STATE_HOME:-$HOME/.local/state}/gridferry/fence
file=$dir/$key lock=$dir/lock

answer() { echo "${CLAIM_MARK} $*"; exit 0; }
pause() { sleep 0.05 2>/dev/null || sleep 1; }

# proc(5): after the name in parentheses come state, parent, group, session, …; the start time is the 20th of them.
look() {
  { IFS= read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  set -- \${line##*) }
  state=$1 parent=$2 started=\${20}
}
alive() { look "$1" && [ "$started" = "$2" ] && [ "$state" != Z ] && [ "$state" != X ]; }

# The sshd of this connection: what runs programs for it and opens its sockets.
sshd=$PPID
while :; do
  { read -r name <"/proc/$sshd/comm"; } 2>/dev/null || answer unsupported "a hidden process"
  case $name in sshd* | dropbear*) break ;; esac
  look "$sshd" || answer unsupported "$name"
  [ "$parent" -gt 1 ] || answer unsupported "$name"
  sshd=$parent
done
look "$sshd" || answer unsupported "$name"
own=$started
read -r boot </proc/sys/kernel/random/boot_id || exit 1

# Without flock(1): a link that names its holder. Who finds it dead removes it, one at a time.
take() {
  if command -v flock >/dev/null 2>&1; then flock -n 9; return; fi
  look $$ && ln -s "$$ $started $boot" "$lock.link" 2>/dev/null && { trap 'rm -f "$lock.link"' EXIT; return; }
  mkdir "$lock.steal" 2>/dev/null || return 1
  set -- $(readlink "$lock.link")
  if [ -n "$3" ]; then { [ "$3" = "$boot" ] && alive "$1" "$2"; } || rm -f "$lock.link"; fi
  rmdir "$lock.steal"
  return 1
}
mkdir -p "$dir" && exec 9>"$lock" || exit 1
tries=0
until take; do
  [ $tries -lt 200 ] || answer busy
  tries=$((tries + 1))
  pause
done

newest=0
if [ -e "$file" ]; then read -r newest <"$file"; fi
# Cut off by a full disk or a power failure: the same as nothing.
case $newest in '' | *[!0-9]*) newest=0 ;; esac
[ "$newest" -le "$epoch" ] || answer newer "$newest"

{
  echo "$epoch"
  if [ -e "$file" ]; then
    while read -r its_epoch its_boot pid start rest; do
      [ -n "$start" ] && [ "$its_boot" = "$boot" ] && alive "$pid" "$start" || continue
      [ "$pid $start" = "$sshd $own" ] || echo "$its_epoch $boot $pid $start"
    done <"$file"
  fi
  echo "$epoch $boot $sshd $own"
} >"$file.new" || exit 1
if [ "$newest" = "$epoch" ]; then result=held; else result=raised; sync "$file.new" 2>/dev/null; fi
mv -f "$file.new" "$file" || exit 1

# TERM, and KILL after a second; fails when it is still there after another two.
end() {
  kill -s TERM "$1" 2>/dev/null
  tries=0
  while alive "$1" "$2"; do
    [ $tries -ne 20 ] || kill -s KILL "$1" 2>/dev/null
    [ $tries -lt 60 ] || return 1
    tries=$((tries + 1))
    pause
  done
}
# sshd makes each program a session, and so a group, of its own: "PID START" of those that are left.
programs_of() {
  for entry in /proc/[0-9]*; do
    if look "\${entry#/proc/}" && [ "$parent" = "$1" ]; then echo "\${entry#/proc/} $started"; fi
  done
}
while read -r its_epoch its_boot pid start rest; do
  [ -n "$start" ] && [ "$its_epoch" != "$epoch" ] || continue
  programs=$(programs_of "$pid")
  end "$pid" "$start" || answer stuck "$pid"
  echo "$programs" | while read -r program begun; do
    if [ -n "$begun" ] && alive "$program" "$begun"; then kill -s KILL -- "-$program" 2>/dev/null; fi
  done
done <"$file"

# Homes that nobody has used for a month.
if [ $result = raised ]; then
  find "$dir" -type f ! -name lock -mtime +30 -atime +30 -exec rm -f {} + 2>/dev/null
fi
answer $result
`;
