/** One thing that is wrong with an object, in the words of the Kubernetes API (apimachinery `field/errors.go`). */
export interface Violation {
  /** A Kubernetes cause type: `FieldValueRequired`, `FieldValueInvalid`, `FieldValueNotSupported`, … */
  readonly reason: string;
  /** Such as `spec.healthCheck.http.port` or `spec.addons[0].name`; `<nil>` for the object itself. */
  readonly field: string;
  readonly message: string;
}

/** What stands for a value of a Secret, in the API server's own words. */
export const REDACTED = '<secret contents redacted>';

export function invalidValue(field: string, value: unknown, problem: string): Violation {
  return { reason: 'FieldValueInvalid', field, message: `Invalid value: ${show(value)}: ${problem}` };
}

export function forbidden(field: string, problem: string): Violation {
  return { reason: 'FieldValueForbidden', field, message: `Forbidden: ${problem}` };
}

export function required(field: string, problem = ''): Violation {
  return {
    reason: 'FieldValueRequired',
    field,
    message: problem === '' ? 'Required value' : `Required value: ${problem}`,
  };
}

export function tooLong(field: string, bytes: number): Violation {
  return {
    reason: 'FieldValueTooLong',
    field,
    message: `Too long: may not be more than ${String(bytes)} bytes`,
  };
}

/** A value as Go prints it: strings by `%q`, all else as JSON. */
export function show(value: unknown): string {
  return typeof value === 'string' ? goQuote(value) : JSON.stringify(value ?? null);
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};

/** Go's `strconv.Quote`: what cannot be seen is written as an escape. */
export function goQuote(text: string): string {
  const body = text.replace(/["\\]|[^\P{C}]|[^\P{Z} ]/gu, (char) => {
    const known = ESCAPES[char];
    if (known !== undefined) return known;
    const code = char.codePointAt(0) ?? 0;
    if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`;
    return code < 0x1_0000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\U${code.toString(16).padStart(8, '0')}`;
  });
  return `"${body}"`;
}

const BLOCKING = new Set([
  'FieldValueRequired',
  'FieldValueNotSupported',
  'FieldValueTooLong',
  'FieldValueTooMany',
  'FieldValueTypeInvalid',
]);

/** Whether CEL rules cannot be trusted with the object (apiextensions `hasBlockingErr`). */
export function keepsRulesFromRunning(violations: readonly Pick<Violation, 'reason'>[]): boolean {
  return violations.some(({ reason }) => BLOCKING.has(reason));
}

/** What the API server adds to a list of violations when it left the CEL rules out. */
export const RULES_NOT_CHECKED: Violation = invalidValue(
  '<nil>',
  null,
  'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation',
);
