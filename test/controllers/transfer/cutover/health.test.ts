import t from 'tap';
import { endpointsOf } from '../../../../controllers/transfer/cutover/health.ts';
import type { TransferContext } from '../../../../controllers/transfer/context.ts';
import type { HealthCheckSpec } from '../../../../src/api/resources.ts';

const container = (name: string, ports: Readonly<Record<string, string>>, running = true) => ({
  name,
  running,
  hostConfig: {
    PortBindings: Object.fromEntries(Object.entries(ports).map(([port, host]) => [port, [{ HostPort: host }]])),
  },
});

/** `container:port` of each endpoint, with the path where it is asked over HTTP. */
async function chosen(
  containers: readonly object[],
  onTransfer?: HealthCheckSpec,
  onService?: HealthCheckSpec,
): Promise<string[]> {
  const context = {
    transfer: { spec: { healthCheck: onTransfer } },
    service: { spec: { healthCheck: onService } },
    session: { capture: async () => ({ containers }) },
  };
  const endpoints = await endpointsOf(context as unknown as TransferContext);
  return endpoints.map(
    ({ container: one, containerPort, published, http }) =>
      `${one.name}:${containerPort}${http?.path ?? ''} ${String(published?.hostPort ?? '-')}`,
  );
}

const db = container('db', {});
const web = container('web', { '80/tcp': '8080', '443/tcp': '8443', '53/udp': '53' });
const http = (port: number): HealthCheckSpec => ({
  http: { path: '/health', port, scheme: 'http', expectedStatus: '200-399' },
  timeout: '5s',
});

void t.test('without a check each published TCP port of what runs is asked', async (t) => {
  t.same(await chosen([db, web, container('old', { '81/tcp': '81' }, false)]), ['web:80 8080', 'web:443 8443']);
  t.same(await chosen([db]), []);
});

void t.test('a check asks the container that publishes its port', async (t) => {
  t.same(await chosen([db, web, container('last', {})], http(443)), ['web:443/health 8443']);
});

void t.test('a port that nobody publishes belongs to the container that is started last', async (t) => {
  t.same(await chosen([db, web], http(3000)), ['web:3000/health -']);
  t.same(await chosen([], http(3000)), []);
});

void t.test('the check of the transfer outweighs that of the Service', async (t) => {
  t.same(await chosen([web], http(80), http(443)), ['web:80/health 8080']);
  t.same(await chosen([web], undefined, { tcp: { port: 443 }, timeout: '5s' }), ['web:443 8443']);
});
