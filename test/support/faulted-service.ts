/**
 * A service that appends what it is asked to `/data/writes`, and says so when it is done. What it was given in the
 * environment makes its moments long: START_SECONDS until it answers, LAST_MB that it writes when it is told to stop.
 * Its argument is its name: so it is known in a list of processes.
 */
export const faultedImage = {
  files: {
    '/start': {
      content: `#!/bin/sh
stop() {
  [ -z "$LAST_MB" ] || dd if=/dev/urandom of=/data/last bs=1M count="$LAST_MB" 2>/dev/null
  exit 0
}
trap stop TERM
sleep "\${START_SECONDS:-0}" & wait $!
httpd -p 80 -h /www
while :; do sleep 3600 & wait $!; done
`,
      mode: 0o755,
    },
    '/www/health': 'ok\n',
    '/www/cgi-bin/append': {
      content:
        '#!/bin/sh\necho "$QUERY_STRING" >>/data/writes && printf "Content-Type: text/plain\\r\\n\\r\\n%s" "$QUERY_STRING"\n',
      mode: 0o755,
    },
  },
  changes: ['ENTRYPOINT ["/start"]', 'EXPOSE 80'],
};
