/** One thing that has to hold for the demo to have worked. */
export interface Claim {
  readonly holds: boolean;
  readonly what: string;
  readonly evidence: string;
}

/** The claims as a table. */
export function proofLines(claims: readonly Claim[], color: boolean): string[] {
  const paint = (code: number, text: string): string => (color ? `\u001b[${code}m${text}\u001b[0m` : text);
  const width = Math.max(...claims.map(({ what }) => what.length));
  return claims.map(
    ({ holds, what, evidence }) => `  ${holds ? paint(32, '✔') : paint(31, '✘')} ${what.padEnd(width)}  ${evidence}`,
  );
}
