import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * A second cable to a sandbox server on which every packet takes its time: for kernels without sch_netem. Two TUN
 * devices, one on this machine and one in the server's network, and a program that carries IP packets from one to the
 * other, late. The kernels at both ends see a real round trip, so that TCP's windows and slow start are the real ones.
 * Packets are up to 64 KiB, or the program, not the delay, would be what is measured.
 */
export interface DelayedLink {
  /** The server's address on this cable. */
  readonly address: string;
  close(): Promise<void>;
}

const pump = String.raw`
import collections, ctypes, fcntl, os, select, struct, subprocess, sys, time
pid, here, there, delay = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]) / 1000
libc = ctypes.CDLL(None, use_errno=True)
def device(name, address, peer):
    fd = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, 0x400454ca, struct.pack('16sH', name.encode(), 0x1001))
    subprocess.check_call(['ip', 'address', 'add', address, 'peer', peer, 'dev', name])
    subprocess.check_call(['ip', 'link', 'set', name, 'mtu', '65000', 'txqueuelen', '2000', 'up'])
    return fd
near = device('gfd' + here.replace('.', '')[-8:], here, there)
own = os.open('/proc/self/ns/net', os.O_RDONLY)
other = os.open('/proc/%s/ns/net' % pid, os.O_RDONLY)
if libc.setns(other, 0x40000000): raise OSError(ctypes.get_errno(), 'setns')
far = device('gfdelay0', there, here)
libc.setns(own, 0x40000000)
queues = {near: (far, collections.deque()), far: (near, collections.deque())}
print('up', flush=True)
poll = select.poll()
for fd in (near, far, 0): poll.register(fd, select.POLLIN)
while True:
    now = time.monotonic()
    nexts = []
    for to, queue in queues.values():
        while queue and queue[0][0] <= now:
            try:
                os.write(to, queue.popleft()[1])
            except OSError:
                pass
        if queue: nexts.append(queue[0][0])
    wait = max(0, (min(nexts) - time.monotonic()) * 1000) if nexts else 1000
    for fd, event in poll.poll(wait):
        if fd == 0: sys.exit(0)
        queue = queues[fd][1]
        due = time.monotonic() + delay
        try:
            for _ in range(64): queue.append((due, os.read(fd, 65536)))
        except BlockingIOError:
            pass
`;

/**
 * Lays the cable. As root.
 *
 * @param pid a process in the server's network
 * @param number tells cables apart, 1 to 250
 */
export async function layDelayedLink(pid: number, number: number, roundTripMs: number): Promise<DelayedLink> {
  const [here, there] = [`10.98.${String(number)}.1`, `10.98.${String(number)}.2`];
  const carrier = spawn('python3', ['-c', pump, String(pid), here, there, String(roundTripMs / 2)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(carrier, 'exit');
  await Promise.race([
    once(carrier.stdout, 'data'),
    ended.then(() => Promise.reject(new Error('the delayed link did not come up'))),
  ]);
  return {
    address: there,
    async close() {
      carrier.stdin.end();
      await ended;
    },
  };
}
