import { parseAllDocuments, stringify } from 'yaml';

export interface HelmRelease {
  readonly namespace: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/**
 * Renders as much of Helm's template language as the chart uses: `.Values.x`, `.Release.Namespace`, `.`, `if`/`else`,
 * `range`, `with` and `toYaml … | nindent n`, with the trimming of `{{-`. Anything else throws.
 */
export function renderHelm(template: string, release: HelmRelease): unknown[] {
  const parts = template.split(/(\{\{-?.*?\}\})/).map((text, index) => ({ text, isAction: index % 2 === 1 }));
  let at = 0;

  function value(expression: string, dot: unknown): unknown {
    if (expression === '.') return dot;
    if (expression === '.Release.Namespace') return release.namespace;
    const name = /^\.Values\.(\w+)$/.exec(expression)?.[1];
    if (name === undefined) throw new Error(`${expression} is not understood`);
    return release.values[name];
  }

  /** Up to the `else` or `end` of the block, which is consumed; answers the text and what ended it. */
  function block(dot: unknown): { text: string; end: string } {
    let text = '';
    for (let part = parts[at++]; part !== undefined; part = parts[at++]) {
      if (!part.isAction) {
        text += part.text;
        continue;
      }
      const [, trim, action = ''] = /^\{\{(-?)\s*(.*?)\s*\}\}$/.exec(part.text) ?? [];
      if (trim === '-') text = text.trimEnd();
      if (action === 'end' || action === 'else') return { text, end: action };
      const [, word, subject = ''] = /^(if|range|with) (.*)$/.exec(action) ?? [];
      if (word === undefined) text += inline(action, dot);
      else text += branch(word, value(subject, dot), dot);
    }
    return { text, end: '' };
  }

  function branch(word: string, subject: unknown, dot: unknown): string {
    const start = at;
    const rounds = word === 'range' ? (subject as unknown[]) : [word === 'with' ? subject : dot];
    let text = '';
    let first = block(rounds[0]);
    if (isTrue(subject)) {
      text = first.text;
      for (const round of rounds.slice(1)) {
        at = start;
        text += block(round).text;
      }
    }
    if (first.end === 'else') {
      first = block(dot);
      if (!isTrue(subject)) text = first.text;
    }
    return text;
  }

  function inline(action: string, dot: unknown): string {
    const [, subject, indent] = /^toYaml (\S+) \| nindent (\d+)$/.exec(action) ?? [];
    if (subject === undefined) return String(value(action, dot));
    const pad = ' '.repeat(Number(indent));
    return `\n${stringify(value(subject, dot)).trimEnd().replaceAll(/^/gm, pad)}`;
  }

  const { text } = block(release.values);
  return parseAllDocuments(text)
    .map((document) => document.toJS() as unknown)
    .filter((object) => object !== null && object !== undefined);
}

/** As Go templates see it: empty lists and maps count as nothing. */
function isTrue(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}
