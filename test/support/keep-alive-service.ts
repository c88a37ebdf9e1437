/**
 * An image whose service speaks HTTP/1.1 with connections that stay open, and writes nothing. `/slow` takes two seconds.
 * Told to stop it behaves as good servers do: nobody new is let in, every answer says that it is the last one of its
 * connection, and what is under way is finished. Its port is 80.
 */
export const keepAliveImage = {
  files: {
    '/start': {
      content: `#!/bin/sh
nc -ll -p 80 -e /connection &
listener=$!
trap 'touch /tmp/stopping; kill $listener; sleep 1; while pgrep -f /connection >/dev/null; do sleep 0.1; done; exit 0' TERM
wait $listener
`,
      mode: 0o755,
    },
    '/connection': {
      content: `#!/bin/sh
end=$(printf '\\r')
while read -r method path version; do
  while read -r line && [ "$line" != "$end" ]; do :; done
  case $path in /slow) sleep 2 ;; esac
  body=$(hostname)
  kind=keep-alive
  [ ! -e /tmp/stopping ] || kind=close
  printf 'HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\nContent-Length: %d\\r\\nConnection: %s\\r\\n\\r\\n%s' "\${#body}" "$kind" "$body"
  [ "$kind" = keep-alive ] || exit 0
done
`,
      mode: 0o755,
    },
  },
  changes: ['CMD ["/start"]', 'EXPOSE 80'],
};
