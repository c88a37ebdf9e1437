/**
 * Plain scalars that kubectl (go-yaml v2, by and large YAML 1.1; its `resolve.go`) and YAML 1.2 readers take for
 * different values. The same file has to mean the same in both homes, so these are refused instead of guessed at.
 */
export interface Ambiguity {
  readonly kubectl: string;
  readonly yaml12: string;
}

const BOOLEANS = /^(y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF)$/;
const TRUTHS = /^(y|Y|yes|Yes|YES|on|On|ON)$/;
const DECIMAL = /^[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$/;
const SEXAGESIMAL = /^[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$/;

/** The two readings of a plain scalar, or `undefined` when there is only one. `hidden` keeps its value out of them. */
export function ambiguityOf(source: string, hidden = false): Ambiguity | undefined {
  const first = source.charCodeAt(0);
  const digitLike = (first >= 48 && first <= 57) || first === 43 || first === 45 || first === 46;
  if (!digitLike) {
    if (source.length > 3 || !BOOLEANS.test(source)) return undefined;
    return { kubectl: `the boolean ${String(TRUTHS.test(source))}`, yaml12: show('the text', source, hidden) };
  }
  const sign = source.startsWith('-') ? -1 : 1;
  const unsigned = source.replace(/^[-+]/, '');
  const plain = unsigned.replaceAll('_', '');
  if (/^\.(inf|Inf|INF|nan|NaN|NAN)$/.test(unsigned))
    return { kubectl: 'an error', yaml12: 'a number that JSON lacks' };
  if (/^0[0-7]+$/.test(plain)) {
    const yaml12 =
      plain === unsigned ? show('the number', String(sign * Number(plain)), hidden) : show('the text', source, hidden);
    return { kubectl: show('the octal number', String(sign * parseInt(plain, 8)), hidden), yaml12 };
  }
  if (/^0\d+$/.test(plain)) return { kubectl: 'a number or a text, by version', yaml12: 'a number' };
  const radix = /^0([xX])[0-9a-fA-F]+$/.test(plain)
    ? 16
    : /^0[oO][0-7]+$/.test(plain)
      ? 8
      : /^0[bB][01]+$/.test(plain)
        ? 2
        : 0;
  if (radix !== 0) {
    // `0x1F` is the one form that everybody reads alike.
    if (/^0x[0-9a-fA-F]+$/.test(source)) return undefined;
    const kubectl = show('the number', String(sign * parseInt(plain.slice(2), radix)), hidden);
    return radix === 8
      ? { kubectl: `${kubectl} or a text, by version`, yaml12: 'a number' }
      : { kubectl, yaml12: show('the text', source, hidden) };
  }
  if (unsigned.includes('_') && !unsigned.startsWith('.') && DECIMAL.test(plain)) {
    return {
      kubectl: show('the number', String(sign * Number(plain)), hidden),
      yaml12: show('the text', source, hidden),
    };
  }
  if (SEXAGESIMAL.test(source)) {
    return {
      kubectl: 'the text, and a number to base 60 in other YAML 1.1 readers',
      yaml12: show('the text', source, hidden),
    };
  }
  if (/^\d{16,}$/.test(plain) && !Number.isSafeInteger(Number(plain))) {
    return { kubectl: 'a 64-bit number', yaml12: 'a number that loses its last digits' };
  }
  return undefined;
}

function show(what: string, value: string, hidden: boolean): string {
  return hidden
    ? what.replace('the ', 'a ').replace('a octal', 'an octal')
    : `${what} ${what === 'the text' ? JSON.stringify(value) : value}`;
}
