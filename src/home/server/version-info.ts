/**
 * The Kubernetes release whose behaviour this API follows. kubectl compares it with its own: it warns when the two are
 * more than one minor version apart.
 */
const KUBERNETES = { major: '1', minor: '36' } as const;

/** What `kubectl version` asks for; the build of Gridferry is told behind the plus sign, as semantic versioning allows. */
export function versionInfo(version: string): Record<string, string> {
  const { major, minor } = KUBERNETES;
  return {
    major,
    minor,
    gitVersion: `v${major}.${minor}.0+gridferry-${version}`,
    gitCommit: '',
    gitTreeState: '',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: `node${process.versions.node}`,
    compiler: 'node',
    platform: `${process.platform}/${process.arch}`,
  };
}
