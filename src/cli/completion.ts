import { Argument } from 'commander';
import type { Command } from 'commander';

export function registerCompletion(program: Command): void {
  program
    .command('completion')
    .description(
      'bash:  source <(gridferry completion bash)\n' +
        'zsh:   source <(gridferry completion zsh)\n' +
        'fish:  gridferry completion fish | source',
    )
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { completionScripts } = await import('./completion-scripts.ts');
      process.stdout.write(completionScripts[shell]);
    });
}

/** What the scripts call at each completion. */
export function registerComplete(program: Command): void {
  program
    .command('__complete', { hidden: true })
    .argument('[words...]', 'the words so far; the last one is being typed')
    .action(async (words: string[]) => {
      const { completions } = await import('./completions.ts');
      for (const candidate of await completions(program, words)) process.stdout.write(`${candidate}\n`);
    });
}
