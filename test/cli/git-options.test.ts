import t from 'tap';
import { gitRunOptions } from '../../src/cli/git-options.ts';

void t.test('a Git source is read from the command line, with what is usual for the rest', async (t) => {
  t.match(await gitRunOptions(undefined, { git: 'https://example.com/fleet.git' }), {
    url: { remote: 'https://example.com/fleet.git' },
    branch: 'main',
    path: '',
    interval: '30s',
    intervalMs: 30_000,
    credentials: {},
    allowRewrittenHistory: false,
  });
  t.match(await gitRunOptions(undefined, { git: '/srv/fleet', path: './eu/', interval: '1m30s', branch: 'live' }), {
    branch: 'live',
    path: 'eu',
    intervalMs: 90_000,
  });
  t.equal(await gitRunOptions('fleet', {}), undefined);
});

void t.test('what does not go together is said so', async (t) => {
  const git = 'https://example.com/fleet.git';
  const refused = async (code: string, ...args: Parameters<typeof gitRunOptions>): Promise<void> => {
    await t.rejects(gitRunOptions(...args), { code } as never, JSON.stringify(args));
  };
  await refused('GF_CLI_USAGE', 'fleet', { git });
  await refused('GF_CLI_USAGE', 'fleet', { branch: 'main' });
  await refused('GF_CLI_USAGE', undefined, { git, cluster: true });
  await refused('GF_CLI_USAGE', undefined, { git, webhookTokenFile: 'x' });
  await refused('GF_CLI_USAGE', undefined, { git, path: '../x' });
  await refused('GF_CLI_USAGE', undefined, { git, interval: 'often' });
  await refused('GF_CLI_USAGE', undefined, { git, interval: '10ms' });
  await refused('GF_GIT_URL', undefined, { git: 'ext::sh' });
  await refused('GF_GIT_BRANCH_NAME', undefined, { git, branch: '--upload-pack=x' });
});
