import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { CONTAINER, IMAGE, PORT, VOLUME } from './service.ts';
import type { Workshop } from './workshop.ts';

/** What an admin would write: stop; save | load; tar | tar; run. Answers how long all of it took, in ms. */
export async function plainScript(workshop: Workshop): Promise<number> {
  const ssh = `ssh -i ${workshop.fleet.privateKeyPath} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR`;
  const source = `${ssh} root@${workshop.address('alpha')}`;
  const target = `${ssh} root@${workshop.address('beta')}`;
  const folder = `/var/lib/docker/volumes/${VOLUME}/_data`;
  const script = `set -eu
${source} docker stop ${CONTAINER}
${source} docker save ${IMAGE} | ${target} docker load
${target} docker volume create ${VOLUME}
${source} tar -C ${folder} --numeric-owner -cf - . | ${target} tar -C ${folder} --numeric-owner -xf -
${target} docker run -d --name ${CONTAINER} -p ${String(PORT)}:80 -v ${VOLUME}:/data ${IMAGE}
`;
  const begun = performance.now();
  const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'ignore', 'pipe'] });
  let problems = '';
  child.stderr.on('data', (chunk: Buffer) => (problems += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`the script ended with ${String(code)}: ${problems}`);
  return performance.now() - begun;
}
