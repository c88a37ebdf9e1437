import { fleetExec } from '../../src/sandbox/fleet.ts';

/** Everything that a transfer could leave on a server, a line each; the service itself is not one of them. */
const script = String.raw`
docker ps -a --filter label=gridferry.io/transfer --format 'container {{.Names}}'
docker ps -a --filter label=gridferry.io/workbench --format 'workbench {{.Names}}'
docker volume ls --filter label=gridferry.io/transfer --format 'volume {{.Name}}'
docker volume ls -q | sed -n 's/^gridferry-/volume &/p'
docker network ls --filter label=gridferry.io/transfer --format 'network {{.Name}}'
find /var/lib/gridferry /root/.local/state/gridferry -mindepth 1 2>/dev/null
find /tmp /run /dev/shm -name '*gridferry*' 2>/dev/null
cat /root/.ssh/authorized_keys
iptables-save | grep -i gridferry
# What is in no container: programs, and not the threads and helpers of Docker and of this look.
ps -eo pid=,comm=,args= | while read -r pid name args; do
  case "$name" in
    sshd* | dockerd | containerd* | docker* | runc* | sh | ps | setpriv | sleep | httpd | start | kworker*) continue ;;
  esac
  [ ! -d "/proc/$pid" ] || echo "process $args"
done
true`;

/** What there is of it now. Programs that are about to end are among it: ask again. */
export async function serverTraces(fleet: string, server: string): Promise<string[]> {
  const { stdout } = await fleetExec(fleet, server, ['sh', '-c', script]);
  return stdout.split('\n').filter((line) => line !== '');
}
