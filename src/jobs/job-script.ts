import { FOLDER } from '../ssh/transfer-folder.ts';

/** Bytes of a log that are kept; a job that says more loses what it said first. */
const LOG_BYTES = 1_048_576;

/** How long a start waits until the job is born, in seconds; one that was not seen after a minute has died. */
const BIRTH_SECONDS = 10;

const CLOCK = `millis() { t=$(date +%s%N); case $t in *N*) echo "$(date +%s)000" ;; *) echo "\${t%??????}" ;; esac; }
`;

/**
 * The job itself, leader of a session and so of a process group of its own: `sh -c LIFE sh ID NAME`. It notes who it is
 * before it begins, and how it ended at once and as a whole. One that finds its place taken, or taken away, does nothing.
 */
const LIFE = `${FOLDER}${CLOCK}
job=$folder/jobs/$2
cd "$job" || exit 1
set -- $(state_of $$)
echo "$$ $2 $boot $(millis)" >pid.new && mv pid.new pid || exit 1
{ read -r pid rest <"$job/pid"; } 2>/dev/null && [ "$pid" = $$ ] || exit 1
(
  while sleep 5; do
    [ "$(wc -c <log)" -le ${LOG_BYTES} ] || { tail -c 65536 log >log.old; : >log; }
  done
) &
sh ./script </dev/null >>log 2>&1
echo "$? $(millis)" >exit.new && mv exit.new exit
trap '' TERM
kill -s TERM 0
`;

const STATE = `
# absent, unborn, lost, "running START", or "ended CODE START END"; the times by this machine's clock, in ms.
job_state() {
  [ -d "$job" ] || { echo absent; return; }
  if [ -e "$job/exit" ]; then
    read -r code ended <"$job/exit"
    read -r pid began its_boot start <"$job/pid"
    echo "ended $code $start $ended"
  elif [ -e "$job/pid" ]; then
    # It may have ended between the two looks.
    if alive "$job/pid"; then echo "running $rest"; elif [ -e "$job/exit" ]; then job_state; else echo lost; fi
  elif [ -n "$(find "$job" -maxdepth 0 -mmin +1 2>/dev/null)" ]; then
    echo lost
  else
    echo unborn
  fi
}
remove_job() {
  gone=$folder/jobs/gone-$name-$$
  mv "$job" "$gone" 2>/dev/null || return 0
  [ ! -e "$gone/pid" ] || end "$gone/pid" || { mv "$gone" "$job"; return 1; }
  rm -rf "$gone"
}
`;

/**
 * Starts a job unless it is there: `sh -c START sh ID NAME HOW`, its script on stdin. Says "started" or "exists". With
 * HOW = replace, what is there is ended and removed first.
 */
export const START = `${FOLDER}${STATE}
name=$2 job=$folder/jobs/$2
mkdir -p "$folder/jobs" || exit 1
script=$(cat)
case $3 in
  replace) remove_job || exit 1 ;;
  *) [ "$(job_state)" != lost ] || remove_job || exit 1 ;;
esac
if mkdir "$job" 2>/dev/null; then
  printf '%s\\n' "$script" >"$job/script" && : >"$job/log" || exit 1
  setsid sh -c "$LIFE" sh "$1" "$2" </dev/null >/dev/null 2>&1 &
  echo started
else
  echo exists
fi
tries=0
while [ "$(job_state)" = unborn ] && [ $tries -lt ${String(BIRTH_SECONDS * 20)} ]; do
  tries=$((tries + 1))
  pause 0.05
done
`.replace('"$LIFE"', () => `'${LIFE.replaceAll("'", `'\\''`)}'`);

/**
 * Follows a job to its end: `sh -c FOLLOW sh ID NAME`. A line on its input is passed on to the job's pipe `gate`, once,
 * where it waits there. Says "progress TEXT" now and then, with the last line of the log; at the end its state, then the
 * end of the log. Ends by itself when nobody reads any more.
 */
export const FOLLOW = `${FOLDER}${STATE}${CLOCK}
name=$2 job=$folder/jobs/$2
trap 'exit 1' PIPE
read -r word || exit 1
until [ -p "$job/gate" ] || [ -e "$job/went" ]; do
  case $(job_state) in running* | unborn) pause 0.02 ;; *) break ;; esac
done
if [ -p "$job/gate" ] && mkdir "$job/went" 2>/dev/null; then echo "$word" >"$job/gate"; fi
turn=0
while :; do
  state=$(job_state)
  case $state in running* | unborn) ;; *) break ;; esac
  if [ $((turn % 25)) -eq 0 ]; then
    echo "progress $(tail -c 200 "$job/log" 2>/dev/null | tr '\\r' '\\n' | sed -n '/./h;\${x;p;}')" || exit 1
  fi
  if [ $turn -lt 100 ]; then pause 0.02; else pause 0.1; fi
  if [ $turn -lt 100 ]; then turn=$((turn + 1)); else turn=$((turn + 5)); fi
done
echo "$state now $(millis)"
cat "$job/log.old" "$job/log" 2>/dev/null | tail -c 65536
`;

/** Says how a job is doing: `sh -c LOOK sh ID NAME`. */
export const LOOK = `${FOLDER}${STATE}${CLOCK}
name=$2 job=$folder/jobs/$2
echo "$(job_state) now $(millis)"
`;

/** Ends a job and removes what it left: `sh -c STOP sh ID NAME`. */
export const STOP = `${FOLDER}${STATE}
name=$2 job=$folder/jobs/$2
remove_job
`;
