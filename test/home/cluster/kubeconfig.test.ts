import { mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import t from 'tap';
import { loadAccess } from '../../../src/home/cluster/kubeconfig.ts';
import { proxyFor } from '../../../src/home/cluster/proxy-settings.ts';

interface Parts {
  readonly current?: string;
  readonly clusters?: Readonly<Record<string, unknown>>;
  readonly users?: Readonly<Record<string, unknown>>;
  readonly contexts?: Readonly<Record<string, unknown>>;
}

function config({ current, clusters = {}, users = {}, contexts = {} }: Parts): string {
  const entries = (section: Readonly<Record<string, unknown>>, member: string): unknown[] =>
    Object.entries(section).map(([name, value]) => ({ name, [member]: value }));
  return JSON.stringify({
    'current-context': current ?? '',
    clusters: entries(clusters, 'cluster'),
    users: entries(users, 'user'),
    contexts: entries(contexts, 'context'),
  });
}

const simple = config({
  current: 'one',
  clusters: { one: { server: 'https://one.example:6443/' }, two: { server: 'https://two.example/k8s/clusters/c1' } },
  users: { me: { token: 't' } },
  contexts: { one: { cluster: 'one', user: 'me' }, two: { cluster: 'two', user: 'me', namespace: 'there' } },
});

void t.test('the current context is taken, or the one that is named', async (t) => {
  const kubeconfig = join(t.testdir({ config: simple }), 'config');
  t.match(await loadAccess({ kubeconfig, env: {} }), {
    server: { href: 'https://one.example:6443/' },
    user: { token: 't' },
  });
  const two = await loadAccess({ kubeconfig, context: 'two', env: {} });
  t.match(two, { server: { pathname: '/k8s/clusters/c1' }, namespace: 'there' });
});

void t.test(
  'of several files the first that says something wins; those that are not there are passed over',
  async (t) => {
    const folder = t.testdir({
      first: config({ clusters: { one: { server: 'https://first.example' } } }),
      second: simple,
      empty: '',
    });
    const files = ['missing', 'empty', 'first', 'second'].map((name) => join(folder, name)).join(delimiter);
    const access = await loadAccess({ env: { KUBECONFIG: files } });
    t.equal(access.server.host, 'first.example');
    t.match(access.user, { token: 't' });
  },
);

void t.test('~/.kube/config is the last place', async (t) => {
  const HOME = t.testdir({ '.kube': { config: simple } });
  t.equal((await loadAccess({ env: { HOME } })).server.host, 'one.example:6443');
});

void t.test('paths are relative to the file that says them', async (t) => {
  const folder = t.testdir();
  mkdirSync(join(folder, 'sub'));
  writeFileSync(
    join(folder, 'sub/config'),
    config({
      current: 'x',
      clusters: { x: { server: 'https://x', 'certificate-authority': 'ca.pem' } },
      users: {
        x: { 'client-certificate': '../cert.pem', 'client-key': '/etc/key.pem', exec: { command: './bin/login' } },
        y: { exec: { command: 'aws' } },
      },
      contexts: { x: { cluster: 'x', user: 'x' }, y: { cluster: 'x', user: 'y' } },
    }),
  );
  const kubeconfig = join(folder, 'sub/config');
  const access = await loadAccess({ kubeconfig, env: {} });
  t.equal(access.caFile, join(folder, 'sub/ca.pem'));
  t.match(access.user, {
    certFile: join(folder, 'cert.pem'),
    keyFile: '/etc/key.pem',
    exec: { command: join(folder, 'sub/bin/login') },
  });
  t.match((await loadAccess({ kubeconfig, context: 'y', env: {} })).user, { exec: { command: 'aws' } });
});

void t.test('what cannot be used is named', async (t) => {
  const folder = t.testdir({
    yaml: 'a: [',
    list: '[]',
    nameless: JSON.stringify({ clusters: [{ cluster: {} }] }),
    none: config({}),
    lost: config({ current: 'x', contexts: { x: { cluster: 'gone', user: 'x' } } }),
    odd: config({ current: 'x', clusters: { x: { server: 'ftp://x' } }, contexts: { x: { cluster: 'x', user: 'x' } } }),
  });
  for (const [name, problem] of Object.entries({
    yaml: /cannot be read/,
    list: /is not a kubeconfig/,
    nameless: /an entry of clusters .* has no name/,
    none: /no current-context/,
    lost: /no cluster called "gone"/,
    odd: /"ftp:\/\/x" .* is not an http/,
  })) {
    const kubeconfig = join(folder, name);
    await t.rejects(loadAccess({ kubeconfig, env: {} }), { code: 'GF_KUBECONFIG_INVALID', message: problem }, name);
  }
  for (const options of [
    { kubeconfig: join(folder, 'nowhere'), env: {} },
    { env: { KUBECONFIG: '/nowhere/at/all' } },
    { env: { HOME: folder } },
  ]) {
    await t.rejects(loadAccess(options), { code: 'GF_KUBECONFIG_NOT_FOUND' });
  }
});

void t.test('a proxy is used where the kubeconfig or the environment says so', (t) => {
  const server = new URL('https://api.prod.example:6443');
  const env = { HTTPS_PROXY: 'proxy.example:3128' };
  t.equal(proxyFor(server, undefined, env)?.href, 'http://proxy.example:3128/');
  t.equal(proxyFor(server, 'socks5://p:1', env)?.href, 'socks5://p:1');
  for (const exemption of ['prod.example', '.prod.example', '*.example', '*', 'x, api.prod.example:6443']) {
    t.equal(proxyFor(server, undefined, { ...env, NO_PROXY: exemption }), undefined, exemption);
  }
  for (const other of ['rod.example', 'api.prod.example:443', '10.0.0.0/8', '']) {
    t.ok(proxyFor(server, undefined, { ...env, NO_PROXY: other }), other);
  }
  t.equal(proxyFor(new URL('https://10.1.2.3'), undefined, { ...env, no_proxy: '10.0.0.0/8' }), undefined);
  for (const here of ['https://127.0.0.1:1', 'https://localhost', 'https://[::1]:1']) {
    t.equal(proxyFor(new URL(here), undefined, env), undefined, here);
  }
  t.throws(() => proxyFor(server, 'ftp://x', {}), { code: 'GF_KUBECONFIG_INVALID' });
  t.end();
});
