import { readFileSync } from 'node:fs';
import { Option } from 'commander';
import type { Command } from 'commander';

export function registerVersion(program: Command): void {
  program
    .command('version')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text'))
    .action(({ output }: { output: 'text' | 'json' }) => {
      const gridferry = packageVersion();
      const node = process.versions.node;
      process.stdout.write(
        output === 'json'
          ? `${JSON.stringify({ gridferry, node, platform: process.platform, arch: process.arch }, undefined, 2)}\n`
          : `gridferry ${gridferry} (node ${node}, ${process.platform} ${process.arch})\n`,
      );
    });
}

/** From package.json, two levels above the source and three above what is built from it. */
export function packageVersion(): string {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as Record<
        string,
        string
      >;
      if (name === 'gridferry' && version !== undefined) return version;
    } catch {
      // Not here: the next place is tried.
    }
  }
  return 'unknown';
}
