const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1000,
  M: 1000 ** 2,
  G: 1000 ** 3,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
};

/**
 * The number that a quantity such as "50Mi" or "10M" means: decimal `k`, `M`, `G`, binary `Ki`, `Mi`, `Gi`, as in
 * Kubernetes.
 *
 * @throws Error on anything else; the schemas let nothing else through.
 */
export function parseQuantity(text: string): number {
  const match = /^([1-9]\d*)(k|M|G|Ki|Mi|Gi)?$/.exec(text);
  if (match === null) throw new Error(`"${text}" is not a quantity such as "10M" or "50Mi"`);
  return Number(match[1]) * FACTORS[match[2] ?? '']!;
}
