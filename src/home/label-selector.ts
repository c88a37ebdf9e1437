import { badRequest } from './api-messages.ts';
import { labelValueProblems, qualifiedNameProblems } from './names.ts';

export type LabelMatcher = (labels: Readonly<Record<string, string>> | undefined) => boolean;

/** Operators of one or two signs, a value or key, brackets and commas. */
const TOKEN = /\s*(==|!=|=|!|<|>|\(|\)|,|[^\s=!<>(),]+)/gy;
const MAX_INT64 = 2n ** 63n - 1n;

/**
 * The grammar of `kubectl -l`: `a`, `!a`, `a=b`, `a==b`, `a!=b`, `a>1`, `a<1`, `a in (b,c)`, `a notin (b,c)`, joined by
 * commas.
 *
 * @throws ApiError `BadRequest` that says where the selector goes wrong, in the API server's words (apimachinery
 * `labels/selector.go`).
 */
export function parseLabelSelector(selector: string): LabelMatcher {
  const matchers: LabelMatcher[] = [];
  const all = tokenize(selector);
  let at = 0;
  const fail = (problem: string): never => {
    throw badRequest(`unable to parse requirement: ${problem}`);
  };
  /** '' at the end. */
  const peek = (): string => all[at] ?? '';
  const next = (): string => all[at++] ?? '';
  const isWord = (token: string): boolean => !/^(==|!=|=|!|<|>|\(|\)|,|)$/.test(token);
  const key = (): string => {
    const token = next();
    if (!isWord(token)) return fail(`found '${token}', expected: identifier`);
    const [problem] = qualifiedNameProblems(token);
    return problem === undefined ? token : fail(`<nil>: Invalid value: ${JSON.stringify(token)}: ${problem}`);
  };
  const checkedValue = (value: string, label: string, index = 0): string => {
    const [problem] = labelValueProblems(value);
    return problem === undefined
      ? value
      : fail(`values[${String(index)}][${label}]: Invalid value: ${JSON.stringify(value)}: ${problem}`);
  };
  const values = (label: string): Set<string> => {
    const open = next();
    if (open !== '(') return fail(`found '${open}' expected: '('`);
    const found = new Set<string>();
    for (;;) {
      // An empty value is legal, in `(a,)` as in `()`.
      found.add(checkedValue(isWord(peek()) ? next() : '', label, found.size));
      const token = next();
      if (token === ')') return found;
      if (token !== ',') return fail(`found '${token}', expected: ',' or ')'`);
    }
  };
  const exactValue = (label: string): string => {
    const token = peek();
    if (token === '' || token === ',') return checkedValue('', label);
    if (!isWord(token)) return fail(`found '${token}', expected: identifier`);
    at++;
    return checkedValue(token, label);
  };
  const bound = (label: string): bigint => {
    const text = exactValue(label);
    const value = integerIn(text);
    if (value !== undefined) return value;
    const problem = "for 'Gt', 'Lt' operators, the value must be an integer";
    return fail(`values[0]: Invalid value: ${JSON.stringify(text)}: ${problem}`);
  };
  const requirement = (): LabelMatcher => {
    if (peek() === '!') {
      at++;
      const name = key();
      return (labels) => !has(labels, name);
    }
    const name = key();
    const operator = peek();
    if (operator === '' || operator === ',') return (labels) => has(labels, name);
    at++;
    switch (operator) {
      case '=':
      case '==': {
        const value = exactValue(name);
        return (labels) => has(labels, name) && labels?.[name] === value;
      }
      case '!=': {
        const value = exactValue(name);
        return (labels) => !has(labels, name) || labels?.[name] !== value;
      }
      case '>':
      case '<': {
        const limit = bound(name);
        return (labels) => {
          const value = has(labels, name) ? integerIn(labels?.[name] ?? '') : undefined;
          return value !== undefined && (operator === '>' ? value > limit : value < limit);
        };
      }
      case 'in': {
        const wanted = values(name);
        return (labels) => has(labels, name) && wanted.has(labels?.[name] ?? '');
      }
      case 'notin': {
        const refused = values(name);
        return (labels) => !has(labels, name) || !refused.has(labels?.[name] ?? '');
      }
      default:
        return fail(`found '${operator}', expected: in, notin, =, ==, !=, gt, lt`);
    }
  };
  while (at < all.length) {
    matchers.push(requirement());
    const separator = next();
    if (separator === '') break;
    if (separator !== ',') throw badRequest(`found '${separator}', expected: ',' or 'end of string'`);
    const following = peek();
    if (following !== '!' && !isWord(following)) {
      throw badRequest(`found '${following}', expected: identifier after ','`);
    }
  }
  return (labels) => matchers.every((matches) => matches(labels));
}

function has(labels: Readonly<Record<string, string>> | undefined, key: string): boolean {
  return labels !== undefined && Object.hasOwn(labels, key);
}

/** A label value has no sign: what is an integer of 64 bits is all digits. */
function integerIn(text: string): bigint | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const value = BigInt(text);
  return value <= MAX_INT64 ? value : undefined;
}

function tokenize(selector: string): string[] {
  return [...selector.trim().matchAll(TOKEN)].map((match) => match[1] ?? '');
}
