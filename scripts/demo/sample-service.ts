import { fleetExec } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';

export const CONTAINER = 'web';
export const VOLUME = 'web-data';
export const PORT = 8080;

/** Within the volume: a line for each write that was asked for. It grows all the time, on whichever server runs. */
const COUNTER = 'counter';

// Process 1 gets no default signal handlers, so without the trap a stop would take its full timeout.
const START = `#!/bin/sh
httpd -f -p ${PORT} -h /www &
trap 'kill $!; exit 0' TERM
wait $!
`;

const APPEND = `#!/bin/sh
echo "$QUERY_STRING" >> /data/${COUNTER} && printf 'Content-Type: text/plain\\r\\n\\r\\n%s\\n' "$QUERY_STRING"
`;

const FILL = `set -e
cd "$(docker volume inspect -f '{{.Mountpoint}}' ${VOLUME})"
mkdir photos archive
head -c 160M /dev/urandom > archive/backup.bin
head -c 40M /dev/urandom | split -b 128K -a 4 -d - photos/image-
ln archive/backup.bin archive/backup-of-today.bin
ln -s ../photos/image-0000 archive/newest
truncate -s 20M archive/sparse.img
chmod 600 archive/backup.bin
chown -R 1000:1000 photos
touch -d '2024-02-29 12:34:56.789' photos/image-0001
: > ${COUNTER}
`;

/** Makes the image, fills a volume with some 200 MB of all kinds of files, and runs the service. */
export async function startSampleService(fleet: string, server: string): Promise<void> {
  const image = 'demo/web:1';
  const importing = importTinyImage(fleet, server, image, {
    files: {
      '/start': { content: START, mode: 0o755 },
      '/www/health': 'ok\n',
      '/www/cgi-bin/append': { content: APPEND, mode: 0o755 },
    },
    changes: ['CMD ["/start"]', `EXPOSE ${PORT}`],
  });
  const filling = fleetExec(fleet, server, ['docker', 'volume', 'create', VOLUME]).then(() =>
    fleetExec(fleet, server, ['sh', '-c', FILL]),
  );
  await Promise.all([importing, filling]);
  await fleetExec(fleet, server, [
    ...['docker', 'run', '-d', '--name', CONTAINER, '--restart', 'unless-stopped'],
    ...['-p', `${PORT}:${PORT}`, '-v', `${VOLUME}:/data`, '-e', 'GREETING=hello', image],
  ]);
}

export interface Fingerprint {
  readonly digest: string;
  readonly files: number;
  readonly bytes: number;
}

/**
 * What is in the volume on a server, found out with GNU tar and without any of Gridferry's own code: names, content,
 * owners, modes, times to the nanosecond, links, extended attributes. The counter is left out, as it grows.
 */
export async function fingerprint(fleet: string, server: string): Promise<Fingerprint> {
  const script = `set -e
cd "$(docker volume inspect -f '{{.Mountpoint}}' ${VOLUME})"
tar --sort=name --format=posix --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime --numeric-owner \\
  --xattrs --xattrs-include='*' --exclude=./${COUNTER} -cf - . | sha256sum | cut -c 1-64
find . -type f ! -path ./${COUNTER} | wc -l
du -sb --exclude=./${COUNTER} . | cut -f 1
`;
  const { stdout } = await fleetExec(fleet, server, ['sh', '-c', script]);
  const [digest = '', files = '', bytes = ''] = stdout.split('\n');
  return { digest, files: Number(files), bytes: Number(bytes) };
}

/** The writes that the volume on a server has. */
export async function recordedWrites(fleet: string, server: string): Promise<ReadonlySet<number>> {
  const script = `cat "$(docker volume inspect -f '{{.Mountpoint}}' ${VOLUME})/${COUNTER}"`;
  const { stdout } = await fleetExec(fleet, server, ['sh', '-c', script]);
  return new Set(stdout.split('\n').filter(Boolean).map(Number));
}

export interface ContainerState {
  readonly running: boolean;
  readonly restartPolicy: string;
}

/** What Docker says of the service's container on a server; `undefined` when there is none. */
export async function containerState(fleet: string, server: string): Promise<ContainerState | undefined> {
  const format = '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}';
  const { stdout, exitCode } = await fleetExec(fleet, server, ['docker', 'inspect', '-f', format, CONTAINER], {
    reject: false,
  });
  if (exitCode !== 0) return undefined;
  const [running, restartPolicy = ''] = stdout.trim().split(' ');
  return { running: running === 'true', restartPolicy };
}
