/**
 * The texts of `Warning` headers: `299 - "text"`, several separated by commas, quotes inside escaped. (RFC 7234 §5.5; the
 * API server sends code 299 only)
 */
export function warningTexts(headers: readonly string[]): string[] {
  return headers.flatMap((header) =>
    [...header.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) => text.replaceAll(/\\(.)/g, '$1')),
  );
}
