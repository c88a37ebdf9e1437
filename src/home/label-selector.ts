import { labelValueProblem, qualifiedNameProblem } from './names.ts';
import { selectorError } from './selector-error.ts';

export type LabelMatcher = (labels: Readonly<Record<string, string>> | undefined) => boolean;

/** Operators of one or two signs, a value or key, brackets and commas. */
const TOKEN = /\s*(==|!=|=|!|\(|\)|,|[^\s=!(),]+)/gy;

/**
 * The grammar of `kubectl -l`: `a`, `!a`, `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, joined by commas.
 *
 * @throws ApiError `BadRequest` that says where the selector goes wrong.
 */
export function parseLabelSelector(selector: string): LabelMatcher {
  const matchers: LabelMatcher[] = [];
  const all = tokenize(selector);
  let at = 0;
  const fail = (problem: string): never => {
    throw selectorError('label', selector, problem);
  };
  const next = (): string | undefined => all[at++];
  const isWord = (token: string | undefined): token is string =>
    token !== undefined && !/^(==|!=|=|!|\(|\)|,)$/.test(token);
  const key = (): string => {
    const token = next();
    if (!isWord(token)) return fail(`expected a label key but found ${shown(token)}`);
    const problem = qualifiedNameProblem(token);
    return problem === undefined ? token : fail(`${JSON.stringify(token)} is not a label key: ${problem}`);
  };
  const checkedValue = (value: string): string => {
    const problem = labelValueProblem(value);
    return problem === undefined ? value : fail(`${JSON.stringify(value)} is not a label value: ${problem}`);
  };
  const values = (): Set<string> => {
    if (next() !== '(') return fail('"in" and "notin" need a list such as (a,b)');
    const found = new Set<string>();
    for (;;) {
      // An empty value is legal, in `(a,)` as in `()`.
      found.add(checkedValue(isWord(all[at]) ? (next() ?? '') : ''));
      const token = next();
      if (token === ')') return found;
      if (token !== ',') return fail(`expected "," or ")" but found ${shown(token)}`);
    }
  };
  const requirement = (): LabelMatcher => {
    if (all[at] === '!') {
      at++;
      const name = key();
      return (labels) => !has(labels, name);
    }
    const name = key();
    const operator = all[at];
    if (operator === undefined || operator === ',') return (labels) => has(labels, name);
    at++;
    switch (operator) {
      case '=':
      case '==': {
        const value = checkedValue(isWord(all[at]) ? (next() ?? '') : '');
        return (labels) => has(labels, name) && labels?.[name] === value;
      }
      case '!=': {
        const value = checkedValue(isWord(all[at]) ? (next() ?? '') : '');
        return (labels) => !has(labels, name) || labels?.[name] !== value;
      }
      case 'in': {
        const wanted = values();
        return (labels) => has(labels, name) && wanted.has(labels?.[name] ?? '');
      }
      case 'notin': {
        const refused = values();
        return (labels) => !has(labels, name) || !refused.has(labels?.[name] ?? '');
      }
      default:
        return fail(`expected =, ==, !=, in or notin after ${JSON.stringify(name)} but found ${shown(operator)}`);
    }
  };
  while (at < all.length) {
    matchers.push(requirement());
    const separator = next();
    if (separator === undefined) break;
    if (separator !== ',') fail(`expected "," but found ${shown(separator)}`);
    if (at === all.length) fail('it ends with a comma');
  }
  return (labels) => matchers.every((matches) => matches(labels));
}

function has(labels: Readonly<Record<string, string>> | undefined, key: string): boolean {
  return labels !== undefined && Object.hasOwn(labels, key);
}

function tokenize(selector: string): string[] {
  return [...selector.trim().matchAll(TOKEN)].map((match) => match[1] ?? '');
}

function shown(token: string | undefined): string {
  return token === undefined ? 'the end' : JSON.stringify(token);
}
